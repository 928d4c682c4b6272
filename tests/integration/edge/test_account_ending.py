"""The end of an account over HTTP: asked for, refused, taken back, and carried out by the whole platform."""

from __future__ import annotations

import base64
import io
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from prog_contracts.ids import new_id
from prog_kit.database import Database
from prog_scheduler import timers
from tests.component.test_erased_people import TABLES
from tests.integration.edge.stage import Person, Stage
from tests.integration.edge.test_lifecycle import stale
from tests.integration.edge.test_roles import browser_of, change, join
from tests.unit.edge.test_logos import picture
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def fetch(stage: Stage, query: str, *values: object) -> list[object]:
    """With the administrator's rights: sees every row."""
    return [row[0] for row in await stage.administrator.fetch(query, *values)]


async def fire(stage: Stage, name: str) -> None:
    """As if the time of a timer had come; the scheduler's part is played here."""
    now = datetime.now(UTC)
    await change(stage, "UPDATE bus.timers SET due_at = $2 WHERE name = $1", name, now)
    scheduler = await Database.connect(stage.settings.database_url, "prog_scheduler", max_size=1)
    try:
        async with scheduler.pool.acquire() as connection:
            assert await timers.fire_on_the_wall(connection, now) >= 1
    finally:
        await scheduler.close()


async def code_of(person: Person, method: str, path: str, **options: object) -> tuple[int, str]:
    answer = await person.request(method, path, **options)
    return answer.status_code, answer.json().get("code", "")


async def test_an_account_is_deleted_and_kept_after_all(stage: Stage) -> None:
    person = await stage.person("back@ending.example")
    other = await stage.sign_in(person.email)
    answer = await other.request("DELETE", "/v1/me")
    assert answer.status_code == 200, answer.text
    erase_at = datetime.fromisoformat(answer.json()["erase_at"])
    assert timedelta(days=13) < erase_at - datetime.now(UTC) <= timedelta(days=14)

    async def shut_out() -> bool:
        return (await person.request("GET", "/v1/me")).status_code == 401

    await wait_until(shut_out, within_seconds=60, what="the other session to end")
    assert (await other.get("/v1/me"))["erase_at"] == answer.json()["erase_at"]
    async with browser_of(other) as browser:
        assert "Your account is deleted on" in (await browser.get("/account")).text
    assert (await other.post("/v1/me/restore"))["erase_at"] is None
    assert (await other.get("/v1/me"))["erase_at"] is None
    assert await code_of(other, "POST", "/v1/me/restore") == (409, "not_being_deleted")


async def test_what_is_in_the_way_is_told(stage: Stage) -> None:
    owner = await stage.person("owner@ending.example")
    await stage.tenant_of(owner, "Needs Its Owner")
    answer = await owner.request("DELETE", "/v1/me")
    assert (answer.status_code, answer.json()["code"]) == (409, "last_owner")
    assert "Needs Its Owner" in answer.json()["detail"]
    await stale(stage, owner)
    assert await code_of(owner, "DELETE", "/v1/me") == (403, "fresh_sign_in_required")


async def test_a_key_deletes_nobody(stage: Stage) -> None:
    owner = await stage.person("keys@ending.example")
    await stage.tenant_of(owner, "Keys")
    made = await owner.post("/v1/api-keys", {"name": "All", "scopes": ["tenant.read", "member.manage"]})
    headers = {"Authorization": f"Bearer {made['key']}"}
    for method, path in (("DELETE", "/v1/me"), ("POST", "/v1/me/restore")):
        answer = await stage.http.request(method, path, headers=headers)
        assert answer.status_code == 403, answer.text


async def test_operators_delete_others_with_a_reason_and_nobody_else_does(stage: Stage) -> None:
    person, operator = await stage.person("other@ending.example"), await stage.operator()
    path = f"/v1/users/{person.user_id}"
    assert (await person.request("DELETE", path, params={"reason": "x"})).status_code == 403
    assert (await person.request("POST", f"{path}/restore")).status_code == 403
    assert (await operator.request("DELETE", path)).status_code == 422
    assert (await operator.request("DELETE", path, params={"reason": "x" * 501})).status_code == 422
    for nobody in (new_id("user"), "somebody", new_id("tenant")):
        assert (await operator.request("DELETE", f"/v1/users/{nobody}", params={"reason": "x"})).status_code == 404
    answer = await operator.request("DELETE", path, params={"reason": "Asked for on the phone"})
    assert answer.status_code == 200, answer.text
    assert (await operator.get(path))["erase_at"] == answer.json()["erase_at"]
    assert (await operator.post(f"{path}/restore"))["erase_at"] is None
    own = f"/v1/users/{operator.user_id}"
    assert await code_of(operator, "DELETE", own, params={"reason": "x"}) == (409, "last_owner")


async def test_once_the_time_is_over_nothing_names_the_person(stage: Stage) -> None:
    """With the relay, the recorder of the audit trail and mails that really go out."""
    email, name = "quentin@vanishing.example", "Quentin Vanishing"
    owner = await stage.person("stays@ending.example", "Olga Owner")
    await stage.tenant_of(owner, "Goes On")
    leaver = await stage.person(email, name)
    await owner.post(f"/v1/tenants/{owner.tenant_id}/invitations", {"email": email, "role": "owner"})
    await leaver.post("/v1/invitations/accept", {"token": await stage.token_mailed_to(email, "invite")})
    leaver.tenant_id = owner.tenant_id
    await join(stage, leaver, "viewer")
    assert (await leaver.request("DELETE", "/v1/me")).status_code == 200
    await change(stage, "UPDATE users.users SET erase_at = now() WHERE user_id = $1", leaver.user_id)
    await fire(stage, f"erase:{leaver.user_id}")

    async def gone() -> bool:
        return (await leaver.request("GET", "/v1/me")).status_code == 401

    await wait_until(gone, within_seconds=60, what="the account to go")
    operator = await stage.operator()
    assert (await operator.request("GET", f"/v1/users/{leaver.user_id}")).status_code == 404
    people = [row["user_id"] for row in (await owner.get(f"/v1/tenants/{owner.tenant_id}/members"))["data"]]
    assert leaver.user_id not in people
    told = "SELECT subject_line FROM email.mailbox WHERE $1 = ANY (recipients)"

    async def told_of_it() -> bool:
        return "Your account is deleted" in await fetch(stage, told, email)

    await wait_until(told_of_it, within_seconds=60, what="the last mail")
    await fire(stage, f"forget:{leaver.user_id}")

    async def entries() -> set[str]:
        found = await operator.get("/v1/audit", params={"subject": leaver.user_id, "limit": 100})
        return {row["action"] for row in found["data"]}

    async def forgotten() -> bool:
        return "events.person_forgotten" in await entries()

    await wait_until(forgotten, within_seconds=60, what="the person to be forgotten")
    assert await entries() >= {"users.user_deletion_requested", "users.user_leaving", "users.user_deleted"}
    tables = [str(table) for table in await fetch(stage, TABLES)]
    needles = [needle for text in (email, name) for needle in (text.lower(), text.encode().hex())]
    for table in tables:
        query = (
            f"SELECT EXISTS (SELECT FROM {table} AS t, unnest($1::text[]) AS u (needle)"
            " WHERE position(needle IN lower(t::text)) > 0)"
        )
        assert await fetch(stage, query, needles) == [False], table


async def test_people_see_what_they_did_and_what_was_done_to_them(stage: Stage) -> None:
    person, operator = await stage.person("active@ending.example"), await stage.operator()
    other = await stage.person("quiet@ending.example")
    await person.request("PATCH", "/v1/me", json={"name": "Somebody Else"})
    path = f"/v1/users/{person.user_id}"
    await operator.request("DELETE", path, params={"reason": "Asked for on the phone"})
    signed_in = await stage.sign_in(person.email)

    async def told() -> dict[str, str]:
        found = await signed_in.get("/v1/me/activity", params={"limit": 100})
        return {row["action"]: row["by"] for row in found["data"]}

    async def whole() -> bool:
        return {"users.user_updated", "users.user_deletion_requested", "users.user_authenticated"} <= set(await told())

    await wait_until(whole, within_seconds=60, what="the trail to be written")
    acts = await told()
    assert (acts["users.user_updated"], acts["users.user_deletion_requested"]) == ("you", "operator")
    first = await signed_in.get("/v1/me/activity", params={"limit": 1})
    assert len(first["data"]) == 1
    assert (await signed_in.request("GET", "/v1/me/activity", params={"cursor": "x"})).status_code == 422
    assert person.user_id not in (await other.request("GET", "/v1/me/activity")).text
    async with browser_of(signed_in) as browser:
        page = (await browser.get("/account/activity")).text
        assert "Deletion of the account asked for" in page
        assert "an operator of the platform" in page


def opened(content: bytes) -> dict[str, list[dict[str, Any]]]:
    """The rows of an export by its files."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {
            name.removesuffix(".jsonl"): [orjson.loads(line) for line in archive.read(name).splitlines()]
            for name in archive.namelist()
            if name.endswith(".jsonl")
        }


async def test_who_has_more_than_a_file_may_have_is_told_before_any_of_it_is_sent(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await stage.person("much@export.example", "Much")
    with monkeypatch.context() as small:
        small.setattr("prog_edge.exporting.MIB", 4)
        refused = await person.request("POST", "/v1/me/export")
        assert (refused.status_code, refused.json()["code"]) == (409, "export_too_large")
        assert "256 MiB" in refused.json()["detail"]
        async with browser_of(person) as browser:
            page = (await browser.get("/account/data")).text
            token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
            shown = await browser.post("/account/data/export", data={"csrf_token": token})
        assert shown.status_code == 422
        assert "Ask whoever runs this platform to allow more" in shown.text
    answer = await person.request("POST", "/v1/me/export")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip"), (
        "nothing was counted as one"
    )


async def test_people_take_their_data_along_and_nobody_else_s(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prog_edge.exporting.MAX_LIMIT", 2)  # page by page
    person, other = await stage.person("mine@export.example", "Mine"), await stage.person("theirs@export.example")
    await stage.http.post("/v1/leads", json={"email": person.email, "name": "Mine", "note": "Hello"})
    await stage.tenant_of(person, "Exported")
    tenant = person.tenant_id
    await person.post(f"/v1/tenants/{tenant}/invitations", {"email": other.email, "role": "viewer"})
    await person.post("/v1/api-keys", {"name": "Import", "scopes": ["event.read"]})
    assert (await person.request("POST", "/v1/me/export", headers={"Authorization": "Bearer x"})).status_code == 401
    session = await stage.sign_in(person.email)
    shown = await session.request("PUT", "/v1/me/avatar", json={"image": base64.b64encode(picture()).decode()})
    assert shown.status_code == 200, shown.text

    async def written() -> bool:
        return len((await session.get("/v1/me/activity"))["data"]) > 3

    await wait_until(written, within_seconds=60, what="the trail to be written")
    answer = await session.request("POST", "/v1/me/export", headers={"Idempotency-Key": "once"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    assert answer.headers["cache-control"] == "no-store"
    found = opened(answer.content)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        told = {line.split()[0] for line in archive.read("README.txt").decode().splitlines() if line}
        assert told >= set(found), "each file is told of"
        assert archive.read("picture.webp") == (await stage.http.get(shown.json()["picture"])).content
    assert set(found) == {
        "account", "sessions", "second-factor", "identities", "memberships", "invitations", "api-keys", "mails",
        "leads", "activity", "support",
    }  # fmt: skip
    empty = {name for name, rows in found.items() if not rows}
    assert empty == {"second-factor", "identities", "support"}, "there is something of every other kind"
    assert [row["user_id"] for row in found["account"]] == [person.user_id]
    assert {row["user_id"] for row in found["sessions"]} == {person.user_id}
    assert {row["recipient"] for row in found["mails"]} == {person.email}
    assert {row["created_by"] for row in found["api-keys"]} == {person.user_id}
    assert [row["email"] for row in found["invitations"]] == [other.email]
    assert len(found["mails"]) >= 2
    assert other.user_id not in str({name: rows for name, rows in found.items() if name != "activity"})
    retried = await session.request("POST", "/v1/me/export", headers={"Idempotency-Key": "once"})
    assert (retried.status_code, retried.json()["code"]) == (409, "idempotency_answer_gone"), "no file without a mail"
    again = await session.request("POST", "/v1/me/export", headers={"Idempotency-Key": "twice"})
    assert (again.status_code, again.json()["code"]) == (409, "exported_just_now")
    await stale(stage, other)
    assert await code_of(other, "POST", "/v1/me/export") == (403, "fresh_sign_in_required")
    async with browser_of(other) as browser:
        page = (await browser.get("/account/data")).text
        token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
        file = await browser.post("/account/data/export", data={"csrf_token": token})
        assert {row["user_id"] for row in opened(file.content)["account"]} == {other.user_id}
