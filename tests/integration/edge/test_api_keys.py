"""API keys over HTTP. `check_N` in a name is the number of the security review's check that it holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio

from prog_contracts.credentials import api_key, tenant_of_api_key
from prog_contracts.ids import new_id
from prog_contracts.permissions import SCOPES
from prog_edge import idempotency
from prog_edge.access import Needs, Public, Staff
from prog_edge.api import ROUTERS
from prog_edge.api.contract import api_routes, declaration_of
from prog_edge.directory import FRESH_SECONDS
from tests.integration.edge.stage import Person, Stage
from tests.integration.edge.test_roles import browser_of, change, join
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

BAD = "This API key is not good."


@dataclass
class Key:
    """A program with an API key."""

    stage: Stage
    made: dict[str, Any]

    @property
    def id(self) -> str:
        key_id: str = self.made["id"]
        return key_id

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.made['key']}"}

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {**self.headers, **options.pop("headers", {})}
        return await self.stage.http.request(method, path, headers=headers, **options)

    async def is_let_in(self) -> bool:
        answer = await self.request("GET", "/v1/events")
        assert answer.status_code in (200, 401), answer.text
        return answer.status_code == 200


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def owner(stage: Stage) -> Person:
    owner = await stage.person("owner@keys.example")
    await stage.tenant_of(owner, "Keys Ltd")
    await change(stage, "UPDATE tenants.limits SET value = NULL WHERE tenant_id = $1", owner.tenant_id)
    # A plan with room for the keys of all these tests.
    await change(stage, "UPDATE tenants.tenants SET plan = 'Scale' WHERE tenant_id = $1", owner.tenant_id)
    return owner


async def key_of(person: Person, *scopes: str, **body: Any) -> Key:
    made = await person.post("/v1/api-keys", {"name": "Import", "scopes": scopes or ("event.read",), **body})
    return Key(person.stage, made)


async def assert_kept_out(key: Key) -> None:
    """A key that is no good any more: at the latest when what edges remember is old."""

    async def kept_out() -> bool:
        return not await key.is_let_in()

    await wait_until(kept_out, within_seconds=FRESH_SECONDS + 5, what="the key to be refused")


async def test_a_key_is_shown_once_and_gets_in(stage: Stage, owner: Person) -> None:
    body = {"name": "Order import", "scopes": ["event.publish", "event.read"], "expires_at": "2099-01-01T00:00:00Z"}
    answer = await owner.request("POST", "/v1/api-keys", json=body)
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["location"] == f"/v1/api-keys/{made['id']}"
    assert answer.headers["cache-control"] == "no-store"
    assert tenant_of_api_key(made["key"], "test") == owner.tenant_id
    assert made["hint"] in made["key"]
    shown = await owner.get(f"/v1/api-keys/{made['id']}")
    assert shown == {name: value for name, value in made.items() if name != "key"}
    listed = (await owner.get("/v1/api-keys"))["data"]
    assert shown in listed
    events = await Key(stage, made).request("GET", "/v1/events", params={"limit": 200})
    assert events.status_code == 200
    told = [event for event in events.json()["data"] if event["type"] == "prognetwork.users.api_key_created"]
    assert made["id"] in {event["data"]["key_id"] for event in told}
    everything = orjson.dumps([events.json(), listed]).decode()
    assert made["key"] not in everything
    assert made["key"].rpartition("_")[2] not in everything


async def test_check_14_no_key_is_written_down_anywhere(stage: Stage, owner: Person) -> None:
    """Not in a row, a message or an answer that is kept; what rests sealed is the answer of its Idempotency-Key."""
    key = await key_of(owner)
    secret = key.made["key"].rpartition("_")[2]
    await change(
        stage,
        """
        DO $$
        DECLARE place record; found bigint;
        BEGIN
            FOR place IN SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class AS c
                         JOIN pg_namespace AS n ON n.oid = c.relnamespace
                         WHERE c.relkind = 'r' AND n.nspname IN ('bus', 'users', 'events', 'tenants', 'monitoring')
            LOOP
                EXECUTE format('SELECT count(*) FROM %s AS t WHERE position(%L IN t::text) > 0', place.name, '"""
        + secret
        + """') INTO found;
                IF found > 0 THEN RAISE EXCEPTION 'the key stands in %', place.name; END IF;
            END LOOP;
        END $$
        """,
    )


def wrong_keys(owner: Person) -> dict[str, str]:
    tenant_id = owner.tenant_id
    assert tenant_id is not None
    good_form = api_key("test", tenant_id, "0" * 30)
    return {
        "unknown": good_form,
        "of another tenant": api_key("test", new_id("tenant"), "0" * 30),
        "of production": api_key("live", tenant_id, "0" * 30),
        "misspelt": good_form[:-1] + "_",
        "cut off": good_form[:40],
        "empty": "prog_test_",
        "endless": "prog_test_" + "a" * 5000,
    }


async def test_check_25_every_wrong_key_gets_the_same_answer(stage: Stage, owner: Person) -> None:
    revoked, expired = await key_of(owner), await key_of(owner)
    await owner.request("DELETE", f"/v1/api-keys/{revoked.id}")
    await change(
        stage, "UPDATE users.api_keys SET expires_at = created_at - interval '1 s' WHERE key_id = $1", expired.id
    )
    texts = {**wrong_keys(owner), "revoked": revoked.made["key"], "expired": expired.made["key"]}
    answers = {
        kind: await stage.http.get("/v1/events", headers={"Authorization": f"Bearer {text}"})
        for kind, text in texts.items()
    }
    for kind, answer in answers.items():
        assert answer.status_code == 401, kind
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"].startswith("Bearer")
        problem = answer.json()
        assert (problem["code"], problem["detail"], problem["errors"]) == ("unauthenticated", BAD, []), kind
    assert len({tuple(sorted(set(answer.headers) - {"x-request-id"})) for answer in answers.values()}) == 1


async def test_a_key_is_sent_as_bearer_and_in_no_other_way(stage: Stage, owner: Person) -> None:
    key = (await key_of(owner)).made["key"]
    for headers, params in (
        ({"Authorization": f"Basic {key}"}, {}),
        ({"Authorization": key}, {}),
        ({"X-API-Key": key}, {}),
        ({"Cookie": f"prog_session={key}"}, {}),
        ({}, {"access_token": key}),
    ):
        answer = await stage.http.get("/v1/events", headers=headers, params=params)
        assert answer.status_code in (401, 422), (headers, params)
    assert (await stage.http.get("/v1/events", headers={"Authorization": f"bearer {key}"})).status_code == 200


async def test_every_route_with_a_key(stage: Stage, owner: Person) -> None:
    """The table of all routes, with a key of every scope, of the one that it takes, and of all but that one: no more
    and no less than its scopes allow."""
    everything = await key_of(owner, *SCOPES)
    single = {scope: await key_of(owner, scope) for scope in SCOPES}
    others = {scope: await key_of(owner, *(other for other in SCOPES if other != scope)) for scope in SCOPES}
    ids = {"tenant_id": str(owner.tenant_id), "version": "1", "name": "prog.users.commands", "type_name": "com.acme.x"}
    seen = set()
    for route in api_routes(ROUTERS):
        declared = declaration_of(route)
        if declared is None or isinstance(declared, Public) or route.path == "/v1/events/stream":
            continue
        seen.add(declared.permission)
        path = route.path_format.format_map(Lookup(ids))
        keys = [(True, everything)]
        if isinstance(declared, Needs) and declared.action in SCOPES:
            keys += [(True, single[declared.action]), (False, others[declared.action])]
        for method in route.methods or ():
            for has_scope, key in keys:
                answer = await key.request(method, path, json=None if method in ("GET", "DELETE") else {})
                told = f"{method} {path} with {key.made['scopes']}: {answer.status_code} {answer.text[:200]}"
                if isinstance(declared, Needs) and declared.keys and declared.action in SCOPES and has_scope:
                    assert answer.status_code in (200, 400, 404, 422, 501), told
                    continue
                assert answer.status_code == 403, told
                if path.startswith("/scim/"):  # whose errors have no code
                    assert answer.json()["detail"].startswith("This API key was not made for this"), told
                    continue
                expected = {"denied"} if isinstance(declared, Staff) else {"not_for_api_keys", "insufficient_scope"}
                assert answer.json()["code"] in expected, told
    assert seen >= {"signed_in", "platform.read", "platform.manage", "api_key.manage", "billing.manage", "clock.move"}


class Lookup(dict[str, str]):
    """Ids for the parts of a path: those that are given, and for the rest such that belong to nothing."""

    def __missing__(self, name: str) -> str:
        if name in ("letter_id", "replay_id", "event_id"):
            return "01932b4e-8f00-7c3a-9d2e-5a1b2c3d4e5f"
        prefix = {"key_id": "apikey", "any_id": "user", "mail_id": "mail"}.get(name, name.removesuffix("_id"))
        return new_id(prefix)


async def test_check_21_a_key_is_bound_to_its_tenant(stage: Stage, owner: Person) -> None:
    key = await key_of(owner, *SCOPES)
    first = owner.tenant_id
    second = await stage.tenant_of(owner, "Second Ltd")
    owner.tenant_id = first
    assert (await key.request("GET", f"/v1/tenants/{first}")).status_code == 200
    assert (await key.request("GET", f"/v1/tenants/{second}")).status_code == 404
    for headers in ({"Prog-Tenant": second}, {"Prog-Tenant": new_id("tenant")}):
        assert (await key.request("GET", "/v1/events", headers=headers)).status_code == 404
    events = (await key.request("GET", "/v1/events", params={"limit": 200})).json()["data"]
    assert {event["tenantid"] for event in events} == {first}
    assert (await key.request("GET", "/v1/events", headers={"Prog-Tenant": str(first)})).status_code == 200


async def test_a_key_of_staff_has_nothing_of_their_office(stage: Stage, owner: Person) -> None:
    operator = await stage.operator()
    operator.tenant_id = owner.tenant_id
    refused = await operator.request("POST", "/v1/api-keys", json={"name": "x", "scopes": ["event.read"]})
    assert (refused.status_code, refused.json()["code"]) == (403, "no_member")
    operators = await stage.tenant_of(operator, "Operators Ltd")
    key = await key_of(operator, *SCOPES)
    assert (await key.request("GET", "/v1/events", headers={"Prog-Tenant": str(owner.tenant_id)})).status_code == 404
    assert (await key.request("GET", "/v1/users")).status_code == 403
    events = (await key.request("GET", "/v1/events")).json()["data"]
    assert {event["tenantid"] for event in events} == {operators}


async def test_nobody_makes_a_key_that_may_more_than_they(stage: Stage, owner: Person) -> None:
    answer = await owner.request("POST", "/v1/api-keys", json={"name": "x", "scopes": ["api_key.manage"]})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["code"] == "unknown_scope"
    for role in ("billing", "member", "viewer"):
        person = await join(stage, owner, role)
        body = {"name": "x", "scopes": ["tenant.read"]}
        assert (await person.request("POST", "/v1/api-keys", json=body)).status_code == 403, role
        assert (await person.request("GET", "/v1/api-keys")).status_code == 403, role


async def test_check_17_a_key_shrinks_with_its_makers_role(stage: Stage, owner: Person) -> None:
    maker = await join(stage, owner, "admin")
    key = await key_of(maker, "billing.read", "event.read")
    assert (await key.request("GET", "/v1/invoices")).status_code == 200
    await change(stage, "UPDATE tenants.members SET role = 'member' WHERE user_id = $1", maker.user_id)

    async def shrunk() -> bool:
        return (await key.request("GET", "/v1/invoices")).status_code == 403

    await wait_until(shrunk, within_seconds=FRESH_SECONDS + 5, what="the role to count")
    assert (await key.request("GET", "/v1/events")).status_code == 200, "what both still allow goes on"
    listed = (await owner.get("/v1/api-keys"))["data"]
    assert next(row for row in listed if row["id"] == key.id)["status"] == "active"


async def test_check_17_a_key_ends_when_its_maker_leaves(stage: Stage, owner: Person) -> None:
    maker = await join(stage, owner, "admin")
    key = await key_of(maker)
    assert await key.is_let_in()
    await owner.request("DELETE", f"/v1/tenants/{owner.tenant_id}/members/{maker.user_id}")
    await assert_kept_out(key)

    async def revoked() -> bool:
        return bool((await owner.get(f"/v1/api-keys/{key.id}"))["status"] == "revoked")

    await wait_until(revoked, what="the key to be revoked for good")


async def test_check_17_a_key_stops_when_its_makers_account_is_disabled(stage: Stage, owner: Person) -> None:
    maker = await join(stage, owner, "admin")
    key = await key_of(maker)
    assert await key.is_let_in()
    await change(stage, "UPDATE users.users SET status = 'disabled' WHERE user_id = $1", maker.user_id)
    await assert_kept_out(key)


async def test_check_17_a_revoked_key_is_kept_out_within_seconds(stage: Stage, owner: Person) -> None:
    key, other = await key_of(owner), await key_of(owner)
    assert await key.is_let_in()
    began = asyncio.get_running_loop().time()
    assert (await owner.request("DELETE", f"/v1/api-keys/{key.id}")).status_code == 204
    await assert_kept_out(key)
    assert asyncio.get_running_loop().time() - began < FRESH_SECONDS + 5
    assert await other.is_let_in()
    again = await owner.request("DELETE", f"/v1/api-keys/{key.id}")
    assert again.status_code == 204


async def test_check_17_an_expired_key_is_kept_out_at_once(stage: Stage, owner: Person) -> None:
    ends = datetime.now(UTC) + timedelta(seconds=2)
    key = await key_of(owner, expires_at=ends.isoformat())

    async def is_over(ahead: timedelta = timedelta()) -> bool:
        let_in = await key.is_let_in()
        assert let_in or datetime.now(UTC) >= ends
        return datetime.now(UTC) >= ends - ahead

    await wait_until(lambda: is_over(timedelta(seconds=0.2)), what="the key to expire soon")
    while not await is_over():
        pass
    assert not await key.is_let_in()


@pytest_asyncio.fixture(loop_scope="module")
async def quick(stage: Stage) -> AsyncIterator[Stage]:
    usual = stage.platform.heartbeat_seconds
    stage.platform.heartbeat_seconds = 0.1
    yield stage
    stage.platform.heartbeat_seconds = usual


async def open_stream(key: Key) -> asyncio.Task[None]:
    connected = asyncio.Event()

    async def read() -> None:
        async with key.stage.http.stream("GET", "/v1/events/stream", headers=key.headers) as response:
            assert response.status_code == 200
            async for line in response.aiter_lines():
                if line == ": connected":
                    connected.set()

    task = asyncio.create_task(read())
    await asyncio.wait_for(connected.wait(), 20)
    return task


async def test_check_17_streams_end_with_the_key(quick: Stage, owner: Person) -> None:
    maker = await join(quick, owner, "admin")
    stays, revoked, short = await key_of(owner), await key_of(owner), await key_of(owner)
    orphan = await key_of(maker)
    rolled = await key_of(owner)
    kept, *ending = [await open_stream(key) for key in (stays, revoked, short, orphan, rolled)]
    await owner.request("DELETE", f"/v1/api-keys/{revoked.id}")
    await owner.post(f"/v1/api-keys/{rolled.id}/roll", {"grace_seconds": 0})
    await change(quick, "UPDATE users.api_keys SET expires_at = now() WHERE key_id = $1", short.id)
    await change(quick, "DELETE FROM tenants.members WHERE user_id = $1", maker.user_id)
    await asyncio.wait_for(asyncio.gather(*ending), FRESH_SECONDS + 10)
    assert not kept.done()
    kept.cancel()
    await asyncio.gather(kept, return_exceptions=True)


async def test_check_17_keys_revoked_while_they_are_used(stage: Stage, owner: Person) -> None:
    """Many requests of many keys, and all keys revoked meanwhile: each answer is whole, and none gets in afterwards."""
    keys = [await key_of(owner) for _ in range(4)]
    stopping = asyncio.Event()
    statuses: list[int] = []

    async def use(key: Key) -> None:
        while not stopping.is_set():
            statuses.append((await key.request("GET", "/v1/events")).status_code)

    using = [asyncio.create_task(use(key)) for key in keys for _ in range(2)]
    answers = await asyncio.gather(*(owner.request("DELETE", f"/v1/api-keys/{key.id}") for key in keys for _ in "ab"))
    assert {answer.status_code for answer in answers} == {204}
    for key in keys:
        await assert_kept_out(key)
    stopping.set()
    await asyncio.gather(*using)
    assert set(statuses) <= {200, 401, 429}
    listed = {row["id"]: row["status"] for row in (await owner.get("/v1/api-keys", params={"limit": 200}))["data"]}
    assert {listed[key.id] for key in keys} == {"revoked"}


async def test_a_rolled_key_works_on_for_its_grace(stage: Stage, owner: Person) -> None:
    key = await key_of(owner, "event.read", "event.publish")
    body = {"grace_seconds": 60}
    answer = await owner.request("POST", f"/v1/api-keys/{key.id}/roll", json=body)
    assert answer.status_code == 201, answer.text
    successor = Key(stage, answer.json())
    assert successor.made["replaces"] == key.id
    assert successor.made["scopes"] == key.made["scopes"]
    assert await key.is_let_in()
    assert await successor.is_let_in()
    shown = await owner.get(f"/v1/api-keys/{key.id}")
    ends = datetime.fromisoformat(shown["expires_at"])
    assert shown["replaced_by"] == successor.id
    assert timedelta(seconds=0) < ends - datetime.now(UTC) <= timedelta(seconds=60)
    again = await owner.request("POST", f"/v1/api-keys/{key.id}/roll", json=body)
    assert (again.status_code, again.json()["code"]) == (409, "api_key_rolled")


async def test_a_key_keeps_its_version_when_it_is_rolled(stage: Stage, owner: Person) -> None:
    key = await key_of(owner, "tenant.update")
    made_at = "UPDATE users.api_keys SET created_at = '2026-10-01T00:00:00Z' WHERE key_id = $1"
    await change(stage, made_at, key.id)
    path, body = f"/v1/tenants/{owner.tenant_id}", {"name": "Keys Ltd"}
    older = await key.request("PATCH", path, json=body)
    assert (older.status_code, older.headers["prog-version"]) == (200, "2026-09-01")
    assert "deprecation" in older.headers
    successor = Key(stage, await owner.post(f"/v1/api-keys/{key.id}/roll", {"grace_seconds": 60}))
    third = Key(stage, await owner.post(f"/v1/api-keys/{successor.id}/roll", {"grace_seconds": 60}))
    for follower in (successor, third):
        assert "members" in (await follower.request("PATCH", path, json=body)).json()
    newest = await third.request("PATCH", path, json=body, headers={"Prog-Version": "2026-11-26"})
    assert (newest.headers["prog-version"], newest.json()["member_count"]) == ("2026-11-26", older.json()["members"])


async def test_what_a_key_has_done_tells_the_key_and_its_maker(stage: Stage, owner: Person) -> None:
    key = await key_of(owner, "tenant.update", "event.read")
    answer = await key.request("PATCH", f"/v1/tenants/{owner.tenant_id}", json={"name": "Named by a program"})
    assert answer.status_code == 200, answer.text
    actor = f"{owner.user_id}/{key.id}"

    async def told() -> bool:
        params = {"types": "prognetwork.tenants.tenant_updated", "limit": 200}
        events = (await owner.get("/v1/events", params=params))["data"]
        return any(event["actor"] == actor for event in events)

    await wait_until(told, what="the event with its actor")
    roots = (await owner.get(f"/v1/story/{owner.tenant_id}"))["roots"]
    assert actor in {node["actor"] for node in roots}


async def test_check_22_a_key_invites_for_no_role_beyond_its_scopes(stage: Stage, owner: Person) -> None:
    path = f"/v1/tenants/{owner.tenant_id}/invitations"
    narrow = await key_of(owner, "member.invite")
    wide = await key_of(owner, *SCOPES)
    for key, role, status in (
        (narrow, "viewer", 403),
        (narrow, "owner", 403),
        (wide, "owner", 403),
        (wide, "admin", 403),
        (wide, "member", 201),
    ):
        body = {"email": f"{new_id('x')[-9:]}@keys.example", "role": role}
        answer = await key.request("POST", path, json=body)
        assert answer.status_code == status, (role, answer.text)


async def test_check_22_a_key_touches_nobody_with_rights_beyond_its_scopes(stage: Stage, owner: Person) -> None:
    members = f"/v1/tenants/{owner.tenant_id}/members"
    viewer, admin = await join(stage, owner, "viewer"), await join(stage, owner, "admin")
    narrow = await key_of(owner, "member.manage", "member.invite")
    wide = await key_of(owner, *SCOPES)
    for key, person, role, status in (
        (narrow, viewer, "member", 403),
        (wide, viewer, "admin", 403),
        (wide, admin, "viewer", 403),
        (wide, viewer, "member", 200),
    ):
        answer = await key.request("PATCH", f"{members}/{person.user_id}", json={"role": role})
        assert answer.status_code == status, (role, answer.text)
    for key, person, status in ((narrow, viewer, 403), (wide, admin, 403), (wide, owner, 403), (wide, viewer, 204)):
        answer = await key.request("DELETE", f"{members}/{person.user_id}")
        assert answer.status_code == status, answer.text
    left = await wide.request("POST", f"/v1/tenants/{owner.tenant_id}/leave")
    assert (left.status_code, left.json()["code"]) == (403, "not_for_api_keys")


async def test_check_22_a_key_sends_no_invitation_again_beyond_its_scopes(stage: Stage, owner: Person) -> None:
    path = f"/v1/tenants/{owner.tenant_id}/invitations"
    narrow, wide = await key_of(owner, "member.invite"), await key_of(owner, *SCOPES)
    for role, wide_status in (("viewer", 200), ("admin", 403)):
        body = {"email": f"{new_id('x')[-9:]}@keys.example", "role": role}
        invitation = await owner.post(path, body)
        resend = f"{path}/{invitation['id']}/resend"
        assert (await narrow.request("POST", resend)).status_code == 403
        assert (await wide.request("POST", resend)).status_code == wide_status


async def test_an_operation_asked_for_with_a_key_is_shown_to_it(stage: Stage, owner: Person) -> None:
    key, other = await key_of(owner, "tenant.update"), await key_of(owner, *SCOPES)
    headers = {"Prefer": "respond-async"}
    path = f"/v1/tenants/{owner.tenant_id}"
    accepted = await key.request("PATCH", path, json={"name": "Later"}, headers=headers)
    assert accepted.status_code == 202
    location = accepted.headers["location"]

    async def done() -> bool:
        answer = await key.request("GET", location)
        return answer.status_code == 200 and answer.json()["status"] == "succeeded"

    await wait_until(done, what="the operation")
    assert (await other.request("GET", location)).status_code == 404
    assert (await owner.request("GET", location)).status_code == 200
    mine = await owner.request("PATCH", path, json={"name": "Mine"}, headers=headers)
    assert (await key.request("GET", mine.headers["location"])).status_code == 404


async def test_check_23_a_retried_making_shows_the_same_key(stage: Stage, owner: Person) -> None:
    headers = {"Idempotency-Key": new_id("retry")}
    body = {"name": "Retried", "scopes": ["event.read"]}
    answers = [await owner.request("POST", "/v1/api-keys", json=body, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].content == answers[1].content
    listed = (await owner.get("/v1/api-keys", params={"limit": 200}))["data"]
    assert len([row for row in listed if row["name"] == "Retried"]) == 1


async def test_check_23_a_key_whose_answer_was_lost_is_not_shown_wrongly(stage: Stage, owner: Person) -> None:
    """The edge died after the command and before its answer: the retry finds the first try's key, and says so."""
    headers = {"Idempotency-Key": new_id("retry")}
    body = {"name": "Lost", "scopes": ["event.read"]}
    first = (await owner.request("POST", "/v1/api-keys", json=body, headers=headers)).json()
    await change(
        stage,
        "UPDATE bus.idempotency_keys SET status = NULL, answer = NULL, recorded_at = recorded_at - interval '1 minute'"
        " WHERE key = $1",
        headers["Idempotency-Key"],
    )
    again = await owner.request("POST", "/v1/api-keys", json=body, headers=headers)
    assert (again.status_code, again.json()["code"]) == (409, "api_key_text_lost")
    assert first["id"] in again.json()["detail"]


async def test_check_23_a_retry_is_told_the_key_and_whoever_comes_later_is_not(
    stage: Stage, owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"name": "Told again", "scopes": ["event.read"]}
    headers = {"Idempotency-Key": new_id("retry")}
    first = await owner.request("POST", "/v1/api-keys", json=body, headers=headers)
    again = await owner.request("POST", "/v1/api-keys", json=body, headers=headers)
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    monkeypatch.setattr(idempotency, "SHOWN_ONCE_SECONDS", -1)  # as if those minutes were over
    late = {"Idempotency-Key": new_id("retry")}
    made = await owner.request("POST", "/v1/api-keys", json=body, headers=late)
    assert made.status_code == 201
    gone = await owner.request("POST", "/v1/api-keys", json=body, headers=late)
    assert (gone.status_code, gone.json()["code"]) == (409, "idempotency_answer_gone")
    assert made.json()["key"] not in gone.text
    names = [key["name"] for key in (await owner.get("/v1/api-keys"))["data"]]
    assert names.count("Told again") == 2, "nothing was done again"
    refused = await owner.request("POST", "/v1/api-keys", json={**body, "scopes": ["x.y"]}, headers=headers)
    assert refused.status_code == 422, "the key is that of another body all the same"


async def test_check_23_idempotency_keys_of_a_key_and_of_its_maker_are_apart(stage: Stage, owner: Person) -> None:
    key = await key_of(owner, "event.publish")
    headers = {"Idempotency-Key": new_id("retry"), "Content-Type": "application/cloudevents+json"}
    event = {"specversion": "1.0", "id": new_id("x"), "source": "/keys", "type": "com.acme.thing_happened", "data": {}}
    first = await key.request("POST", "/v1/events", content=orjson.dumps(event), headers=headers)
    assert first.is_success, first.text
    other = await owner.request(
        "POST", "/v1/events", content=orjson.dumps({**event, "id": new_id("x")}), headers=headers
    )
    assert other.is_success, other.text
    assert "idempotency-replayed" not in other.headers


async def test_the_last_use_is_seen(stage: Stage, owner: Person) -> None:
    key = await key_of(owner)
    assert (await owner.get(f"/v1/api-keys/{key.id}"))["last_used_at"] is None
    began = datetime.now(UTC)
    assert await key.is_let_in()

    async def seen() -> bool:
        return (await owner.get(f"/v1/api-keys/{key.id}"))["last_used_at"] is not None

    await wait_until(seen, within_seconds=20, what="the last use")
    shown = await owner.get(f"/v1/api-keys/{key.id}")
    used_at = datetime.fromisoformat(shown["last_used_at"])
    assert began - timedelta(seconds=1) <= used_at <= datetime.now(UTC)
    assert shown["last_used_address"] == "127.0.0.1"


async def test_a_test_clock_neither_ends_keys_nor_keeps_them(stage: Stage) -> None:
    person = await stage.person("traveller@keys.example")
    await stage.tenant_of(person, "Travellers Ltd")
    await person.post(f"/v1/tenants/{person.tenant_id}/clock", {"at": "2050-01-01T00:00:00Z"})
    key = await key_of(person, expires_at=(datetime.now(UTC) + timedelta(days=1)).isoformat())
    assert await key.is_let_in()
    assert datetime.fromisoformat(key.made["created_at"]) - datetime.now(UTC) < timedelta(minutes=1)
    past = {"name": "x", "scopes": ["event.read"], "expires_at": "2026-01-01T00:00:00Z"}
    answer = await person.request("POST", "/v1/api-keys", json=past)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "in_the_past")


async def test_the_pages_make_a_key_that_gets_in_and_revoke_it(stage: Stage, owner: Person) -> None:
    path = f"/account/tenants/{owner.tenant_id}/keys"
    async with browser_of(owner) as browser:
        page = (await browser.get(path)).text
        form = {
            name: page.partition(f'name="{name}" value="')[2].partition('"')[0]
            for name in ("csrf_token", "idempotency_key")
        }
        form |= {"name": "From the page", "lifetime": "30", "scope:event.read": "yes"}
        made = await browser.post(path, data=form)
        assert made.status_code == 200, made.text
        text = made.text.partition('data-copy="prog_test_')[2].partition('"')[0]
        again = await browser.post(path, data=form)
        assert again.status_code == 422, "the same form makes no second key, and shows none"
        assert text not in again.text
        [row] = [
            row
            for row in (await owner.get("/v1/api-keys", params={"limit": 200}))["data"]
            if row["name"] == "From the page"
        ]
        key = Key(stage, {**row, "key": f"prog_test_{text}"})
        assert await key.is_let_in()
        revoked = await browser.post(f"{path}/{key.id}/revoke", data={"csrf_token": form["csrf_token"]})
        assert revoked.headers["location"] == path
    await assert_kept_out(key)


async def test_a_key_that_is_good_is_seen_and_revoked_on_its_page_behind_any_number_of_newer_ones(stage: Stage) -> None:
    person = await stage.person("many@keys.example")
    await stage.tenant_of(person, "Many Keys Ltd")
    old = await key_of(person, name="Old and good")
    await change(
        stage,
        "INSERT INTO users.api_keys (key_id, tenant_id, name, digest, hint, scopes, created_by, created_at, revoked_at)"
        " SELECT 'apikey_' || n, $1, 'Over', encode(sha256(n::text::bytea), 'hex'), 'q7Rk0b', '{event.read}', $2,"
        " now() + n * interval '1 second', now() FROM generate_series(1, 300) AS n",
        person.tenant_id,
        person.user_id,
    )
    path = f"/account/tenants/{person.tenant_id}/keys"
    async with browser_of(person) as browser:
        shown = (await browser.get(path)).text
        assert shown.count("Old and good") >= 1
        page = await browser.get(f"{path}/{old.id}")
        assert page.status_code == 200
        token = page.text.partition('name="csrf_token" value="')[2].partition('"')[0]
        revoked = await browser.post(f"{path}/{old.id}/revoke", data={"csrf_token": token})
        assert revoked.status_code == 303
    await assert_kept_out(old)
