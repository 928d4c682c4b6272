"""The audit trail over HTTP: every kind of outcome lands in it, and each is shown to those alone whom it concerns."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
import pytest_asyncio

from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from tests.integration.edge.stage import PASSPHRASE, Person, Stage
from tests.integration.edge.test_roles import browser_of, join
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(stage: Stage) -> Person:
    return await stage.operator()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def owner(stage: Stage) -> Person:
    owner = await stage.person("owner@audit.example")
    await stage.tenant_of(owner, "Audited Ltd")
    return owner


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def member(stage: Stage, owner: Person) -> Person:
    return await join(stage, owner, "member")


CAUGHT_UP = """
SELECT NOT EXISTS (SELECT FROM bus.audit_intake WHERE at <= $1)
   AND NOT EXISTS (SELECT FROM bus.event_log AS e, events.audit_cursor AS c
                   WHERE (e.txid, e.position) > (c.txid, c.position) AND e.recorded_at <= $1)
"""


async def found(reader: Person, **filters: str) -> list[dict[str, Any]]:
    """The entries that a reader is shown once all that has happened by now is recorded, the last one first."""
    await reader.stage.platform.audit.flush(everything=True)
    administrator = reader.stage.administrator
    now = await administrator.fetchval("SELECT clock_timestamp()")

    async def caught_up() -> bool:
        return bool(await administrator.fetchval(CAUGHT_UP, now))

    await wait_until(caught_up, within_seconds=60, what="the trail to catch up")
    rows: list[dict[str, Any]] = (await reader.get("/v1/audit", params=filters))["data"]
    return rows


async def test_a_sign_in_is_told_with_session_address_and_agent(stage: Stage, operator: Person) -> None:
    person = await stage.person("in@audit.example")
    [entry] = await found(operator, actor=person.user_id, action="users.user_authenticated")
    assert entry["outcome"] == "success"
    assert (entry["tenant_id"], entry["subject"]) == (PLATFORM_TENANT_ID, person.user_id)
    assert entry["session_id"] == person.tokens["session_id"]
    assert entry["client_address"] == "127.0.0.1"
    assert entry["user_agent"].startswith("python-httpx/")
    assert entry["request_id"].startswith("req_")
    assert len(entry["trace_id"]) == 32


async def test_check_25_a_wrong_password_is_told_and_whose_it_was_not(stage: Stage, operator: Person) -> None:
    body = {"email": "nobody-knows@audit.example", "password": "wrong wrong wrong"}
    answer = await stage.http.post("/v1/auth/login", json=body, headers={"User-Agent": "guesser/1"})
    assert answer.status_code == 401
    entries = await found(operator, action="users.authentication_failed")
    [entry] = [entry for entry in entries if entry["user_agent"] == "guesser/1"]
    assert (entry["outcome"], entry["code"], entry["actor"]) == ("failure", "unknown_user", None)
    assert entry["client_address"] == "127.0.0.1"
    assert await found(operator, action="users.authentication_failed", outcome="failure")
    denied = (await operator.get("/v1/audit", params={"action": "POST /v1/auth/login"}))["data"]
    assert denied == [], "it is told once, by the command that refused it"


async def test_a_missing_permission_is_told_to_the_tenant(owner: Person, member: Person) -> None:
    answer = await member.request("GET", "/v1/invoices")
    assert answer.status_code == 403
    [entry] = await found(owner, action="GET /v1/invoices", outcome="denial")
    assert (entry["actor"], entry["actor_kind"], entry["code"]) == (member.user_id, "person", "denied")
    assert entry["permission"] == "billing.read"
    assert entry["tenant_id"] == owner.tenant_id
    assert entry["session_id"] == member.tokens["session_id"]


async def test_many_alike_become_few_entries_that_count_them(owner: Person, member: Person) -> None:
    for _ in range(40):
        answer = await member.request("GET", "/v1/payments")
        assert answer.status_code == 403
    rows = await found(owner, action="GET /v1/payments", outcome="denial")
    assert sum(row["count"] for row in rows) == 40
    assert len(rows) <= 4


async def test_a_stranger_is_told_to_the_platform_and_makes_no_trail(
    stage: Stage, owner: Person, operator: Person
) -> None:
    stranger = await stage.person("stranger@audit.example")
    nowhere = new_id("tenant")
    for tenant_id in (str(owner.tenant_id), nowhere):
        answer = await stranger.request("GET", f"/v1/tenants/{tenant_id}")
        assert answer.status_code == 404
    entries = await found(operator, actor=stranger.user_id, outcome="denial", subject=nowhere)
    assert [entry["permission"] for entry in entries] == ["tenant.read"]
    entries = await found(operator, actor=stranger.user_id, outcome="denial", subject=str(owner.tenant_id))
    assert {entry["tenant_id"] for entry in entries} == {PLATFORM_TENANT_ID}


async def test_nobody_and_a_bad_credential_are_told(stage: Stage, operator: Person) -> None:
    for headers in ({}, {"Authorization": "Bearer made-up"}):
        answer = await stage.http.get("/v1/me", headers={"User-Agent": "prober/1", **headers})
        assert answer.status_code == 401
    entries = await found(operator, action="GET /v1/me", outcome="denial")
    assert {(entry["code"], entry["actor_kind"], entry["actor"]) for entry in entries} == {
        ("unauthenticated", "nobody", None)
    }
    assert "made-up" not in str(entries)


async def test_a_refused_command_is_told_with_the_code_of_its_problem(owner: Person, member: Person) -> None:
    body = {"email": "guest@audit.example", "role": "owner"}
    path = f"/v1/tenants/{owner.tenant_id}/invitations"
    await owner.post(path, body)
    answer = await owner.request("POST", path, json={"email": "not an address", "role": "viewer"})
    assert answer.status_code == 422
    [entry] = await found(owner, action="tenants.invite_member", outcome="failure")
    assert (entry["actor"], entry["code"]) == (owner.user_id, answer.json()["code"])
    assert entry["request_id"] == answer.headers["X-Request-Id"]
    assert entry["client_address"] == "127.0.0.1"
    invited = await found(owner, action="tenants.member_invited", outcome="success")
    assert {entry["session_id"] for entry in invited} == {owner.tokens["session_id"]}
    assert "guest@audit.example" not in str(invited)


async def test_a_page_that_turns_somebody_away_is_told(operator: Person, owner: Person, member: Person) -> None:
    async with browser_of(member) as browser:
        assert (await browser.get("/admin", headers={"Accept": "text/html"})).status_code == 403
        answer = await browser.get(f"/account/tenants/{member.tenant_id}/billing")
        assert answer.status_code == 403
    [entry] = await found(operator, actor=member.user_id, action="GET /admin", outcome="denial")
    assert (entry["code"], entry["tenant_id"]) == ("denied", PLATFORM_TENANT_ID)
    [entry] = await found(owner, action="GET /account/tenants/{tenant_id}/billing")
    assert (entry["actor"], entry["permission"], entry["outcome"]) == (member.user_id, "billing.read", "denial")


async def test_an_operator_is_told_from_a_person(owner: Person, operator: Person) -> None:
    tenant_id = str(owner.tenant_id)
    await operator.request("PATCH", f"/v1/tenants/{tenant_id}", json={"name": "Audited Limited"})
    [entry] = await found(owner, actor=operator.user_id, action="tenants.tenant_updated")
    assert (entry["actor_kind"], entry["outcome"]) == ("operator", "success")


async def test_who_may_not_read_the_trail_does_not(stage: Stage, owner: Person, member: Person) -> None:
    assert (await member.request("GET", "/v1/audit")).status_code == 403
    assert (await stage.http.get("/v1/audit")).status_code == 401
    theirs = await stage.person("other@audit.example")
    await stage.tenant_of(theirs, "Other Ltd")
    assert {entry["tenant_id"] for entry in await found(theirs)} == {theirs.tenant_id}
    foreign = await theirs.request("GET", "/v1/audit", headers={"Prog-Tenant": str(owner.tenant_id)})
    assert foreign.status_code == 404


async def test_pages_follow_each_other_and_a_foreign_cursor_is_refused(owner: Person) -> None:
    seen: list[int] = []
    params: dict[str, Any] = {"limit": 3}
    while True:
        page = await owner.get("/v1/audit", params=params)
        seen += [entry["sequence"] for entry in page["data"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] == 1
    bad = await owner.request("GET", "/v1/audit", params={"cursor": "nonsense"})
    assert (bad.status_code, bad.json()["errors"][0]["field"]) == (422, "cursor")


async def test_csv_holds_all_of_it_and_runs_nothing(stage: Stage, operator: Person) -> None:
    await stage.http.get("/v1/me", headers={"User-Agent": "=cmd|' /C calc'!A0"})
    evil = "'=cmd|' /C calc'!A0"
    await found(operator)
    answer = await operator.request("GET", "/v1/audit", headers={"Accept": "text/csv"}, params={"limit": 2})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) > 20
    assert all(not value.startswith(("=", "+", "@")) for row in rows for value in row.values())
    assert evil in {row["user_agent"] for row in rows}
    named = await operator.request("GET", "/v1/audit", params={"format": "csv", "outcome": "denial"})
    assert {row["outcome"] for row in csv.DictReader(io.StringIO(named.text))} == {"denial"}


async def test_the_passphrase_is_nowhere_in_it(operator: Person) -> None:
    answer = await operator.request("GET", "/v1/audit", params={"format": "csv"})
    assert answer.status_code == 200
    assert PASSPHRASE not in answer.text
    assert "@audit.example" not in answer.text


async def test_the_console_finds_entries_by_person_and_by_action(operator: Person, owner: Person) -> None:
    await found(operator)
    async with browser_of(operator) as browser:
        for search, shown in (
            (owner.user_id, "users.user_authenticated"),
            ("tenants.tenant_c", "tenants.tenant_created"),
        ):
            page = await browser.get("/admin/audit", params={"search": search, "outcome": "success"})
            assert page.status_code == 200
            assert shown in page.text
        nothing = await browser.get("/admin/audit", params={"search": new_id("user")})
        assert "Nothing matches" in nothing.text


async def test_owners_see_the_trail_on_a_page_and_take_it_along_as_a_file(
    stage: Stage, owner: Person, member: Person
) -> None:
    page = f"/account/tenants/{owner.tenant_id}/audit"
    invited = {"email": "seen@audit.example", "role": "viewer"}
    await owner.post(f"/v1/tenants/{owner.tenant_id}/invitations", invited)
    [entry] = await found(owner, actor=owner.user_id, action="tenants.member_invited", limit="1")
    async with browser_of(owner) as browser:
        shown = await browser.get(f"{page}?search=tenants.member_invited&outcome=success")
        assert shown.status_code == 200
        assert "Somebody invited" in shown.text
        assert f'title="{owner.user_id}"' in shown.text
        assert "users.user_authenticated" not in shown.text
        file = await browser.get(f"{page}.csv?search={owner.user_id}")
        rows = list(csv.DictReader(io.StringIO(file.text)))
        assert entry["hash"] in {row["hash"] for row in rows}
        assert {row["tenant_id"] for row in rows} == {owner.tenant_id}
        assert all(owner.user_id in (row["actor"] + row["subject"]) for row in rows)
        assert "Nothing matches" in (await browser.get(f"{page}?to=2020-01-01")).text
    async with browser_of(member) as browser:
        assert (await browser.get(page)).status_code == 403
        assert (await browser.get(f"{page}.csv")).status_code == 403
    stranger = await stage.person("stranger-of-pages@audit.example")
    async with browser_of(stranger) as browser:
        assert (await browser.get(page)).status_code == (await browser.get(f"{page}.csv")).status_code == 404
