"""Suspension and deletion over HTTP: what can still be done, held against every route, and how a tenant ends."""

from __future__ import annotations

from datetime import datetime, timedelta

import httpx
import pytest
from fastapi.routing import APIRoute

from prog_contracts.ids import new_id
from prog_contracts.permissions import POSSIBLE
from prog_contracts.tenants import TenantStatus
from prog_edge.access import Needs
from prog_edge.api import ROUTERS
from prog_edge.api.contract import api_routes, declaration_of
from tests.integration.edge.stage import Person, Stage
from tests.integration.edge.test_isolation import STREAMS
from tests.integration.edge.test_roles import browser_of, change, join
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENDING = {"/v1/tenants/{tenant_id}/restore", "/v1/tenants/{tenant_id}/leave"}
"""What the table would undo under the feet of the rest: each has a test of its own."""


class Ids(dict[str, str]):
    """Some id for every path parameter that a route may have."""

    def __missing__(self, name: str) -> str:
        return new_id(name.removesuffix("_id")) if name.endswith("_id") else "1"


def routes() -> list[tuple[str, APIRoute, Needs]]:
    """Every method and route that needs a role in a tenant."""
    found = []
    for route in api_routes(ROUTERS):
        declared = declaration_of(route)
        if isinstance(declared, Needs) and route.path not in ENDING | STREAMS:
            found += [(method, route, declared) for method in sorted(route.methods or ()) if method != "HEAD"]
    assert len(found) > 30
    return found


def tells_closed(answer: httpx.Response) -> bool:
    """Whether it is the tenant's status that does not let it happen. SCIM has no code for that, and no other status."""
    if answer.request.url.path.startswith("/scim/"):
        return answer.status_code == 403 and answer.json()["detail"].startswith("The tenant is ")
    return answer.status_code == 409 and answer.json()["code"] == "tenant_closed"


async def company(stage: Stage, name: str) -> tuple[Person, str]:
    owner = await stage.person(f"{name}@lifecycle.example", "Olga Owner")
    return owner, f"/v1/tenants/{await stage.tenant_of(owner, name)}"


async def stale(stage: Stage, person: Person) -> None:
    """As if the person had signed in an hour ago."""
    query = "UPDATE users.sessions SET created_at = created_at - interval '1 hour' WHERE session_id = $1"
    await change(stage, query, person.tokens["session_id"])


@pytest.mark.parametrize("status", ["suspended", "deleting"])
async def test_every_route_does_in_a_closed_tenant_what_the_table_says(stage: Stage, status: TenantStatus) -> None:
    owner, path = await company(stage, f"table-{status}")
    operator = await stage.operator()
    operator.tenant_id = owner.tenant_id
    if status == "suspended":
        closed = await operator.post(f"{path}/suspend", {"reason": "Unpaid invoices"})
        assert closed["suspension_reason"] == "Unpaid invoices"
    else:
        closed = (await owner.request("DELETE", path)).json()
    assert closed["status"] == status
    assert owner.tenant_id is not None
    ids = Ids(tenant_id=owner.tenant_id, user_id=owner.user_id)
    refused: dict[bool, int] = {True: 0, False: 0}
    for method, route, declared in routes():
        if (method, route.path) == ("DELETE", "/v1/tenants/{tenant_id}"):
            continue
        possible = declared.any_status or declared.action in POSSIBLE[status]
        for person in (owner, operator):
            answer = await person.request(
                method, route.path_format.format_map(ids), json=None if method == "GET" else {},
                headers={"Idempotency-Key": new_id("key")},
            )  # fmt: skip
            is_closed = tells_closed(answer)
            assert is_closed is not possible, f"{method} {route.path}: {answer.status_code} {answer.text[:300]}"
            assert answer.status_code < 500, answer.text
        refused[possible] += 1
    assert min(refused.values()) >= 5, "the table has routes of both kinds"
    async with browser_of(owner) as browser:
        page = await browser.get(f"/account/tenants/{owner.tenant_id}")
        assert page.status_code == 200
        assert "This tenant is" in page.text


async def test_a_suspended_tenant_reads_and_pays_and_works_again_when_resumed(stage: Stage) -> None:
    owner, path = await company(stage, "unpaid")
    operator = await stage.operator()
    price = (await owner.get("/v1/prices"))["data"][0]
    await operator.post(f"{path}/suspend", {"reason": "Unpaid invoices"})
    assert (await owner.get(path))["suspension_reason"] == "Unpaid invoices"
    assert (await owner.get("/v1/events"))["data"]
    await owner.post("/v1/subscriptions", {"price_id": price["id"], "payment_method": "pm_ok"})
    renamed = await owner.request("PATCH", path, json={"name": "Other"})
    assert (renamed.status_code, renamed.json()["code"]) == (409, "tenant_closed")
    published = await owner.request(
        "POST", "/v1/events", json={"specversion": "1.0", "id": "1", "source": "/", "type": "a.b"}
    )
    assert (published.status_code, published.json()["code"]) == (409, "tenant_closed")
    again = await operator.request("POST", f"{path}/suspend", json={"reason": "twice"})
    assert (again.status_code, again.json()["code"]) == (409, "wrong_status")
    resumed = await operator.post(f"{path}/resume")
    assert (resumed["status"], resumed["suspension_reason"]) == ("active", None)
    assert (await owner.request("PATCH", path, json={"name": "Other"})).status_code == 200

    async def told() -> bool:
        mails = (await owner.get("/v1/messages"))["data"]
        return {"tenant_suspended", "tenant_resumed"} <= {mail["template"] for mail in mails}

    await wait_until(told, within_seconds=60, what="the owners' mails")


@pytest.mark.parametrize("page", [False, True])
async def test_a_key_that_got_out_is_revoked_in_a_suspended_tenant_too(stage: Stage, page: bool) -> None:
    owner, path = await company(stage, f"leaked-{page}".lower())
    operator = await stage.operator()
    wish = {"name": "Import", "scopes": ["event.read"], "expires_at": None}
    made = await owner.post("/v1/api-keys", wish)
    await operator.post(f"{path}/suspend", {"reason": "Unpaid invoices"})
    assert [key["id"] for key in (await owner.get("/v1/api-keys"))["data"]] == [made["id"]]
    if page:
        keys = f"/account/tenants/{owner.tenant_id}/keys"
        async with browser_of(owner) as browser:
            text = (await browser.get(f"{keys}/{made['id']}")).text
            token = text.partition('name="csrf_token" value="')[2].partition('"')[0]
            answer = await browser.post(f"{keys}/{made['id']}/revoke", data={"csrf_token": token})
            assert answer.status_code == 303, answer.text
    else:
        assert (await owner.request("DELETE", f"/v1/api-keys/{made['id']}")).status_code == 204
    assert (await owner.get(f"/v1/api-keys/{made['id']}"))["revoked_at"] is not None
    refused = await owner.request("POST", "/v1/api-keys", json=wish)
    assert (refused.status_code, refused.json()["code"]) == (409, "tenant_closed")


async def test_suspending_is_for_operators_alone(stage: Stage) -> None:
    owner, path = await company(stage, "mine")
    for act in ("suspend", "resume"):
        refused = await owner.request("POST", f"{path}/{act}", json={"reason": "why not"} if act == "suspend" else None)
        assert refused.status_code == 403, refused.text
    operator = await stage.operator()
    for body in ({}, {"reason": ""}, {"reason": "x" * 501}, {"reason": "ok", "more": 1}):
        assert (await operator.request("POST", f"{path}/suspend", json=body)).status_code == 422
    assert (await operator.request("POST", "/v1/tenants/nonsense/suspend", json={"reason": "x"})).status_code == 404
    unknown = await operator.request("POST", f"/v1/tenants/{new_id('tenant')}/suspend", json={"reason": "x"})
    assert unknown.status_code == 404


async def test_deleting_takes_an_owner_and_a_fresh_sign_in(stage: Stage) -> None:
    owner, path = await company(stage, "careful")
    admin = await join(stage, owner, "admin")
    assert (await admin.request("DELETE", path)).status_code == 403
    await stale(stage, owner)
    refused = await owner.request("DELETE", path)
    assert (refused.status_code, refused.json()["code"]) == (403, "fresh_sign_in_required")
    assert (await owner.get(path))["status"] == "active"
    again = await stage.sign_in(owner.email)
    deleted = await again.request("DELETE", path)
    assert deleted.status_code == 200, deleted.text
    assert deleted.json()["status"] == "deleting"
    await stale(stage, again)
    restored = await again.post(f"{path}/restore")
    assert (restored["status"], restored["purge_at"]) == ("active", None)
    twice = await again.request("POST", f"{path}/restore")
    assert (twice.status_code, twice.json()["code"]) == (409, "wrong_status")


async def test_the_page_sends_to_a_fresh_sign_in_first(stage: Stage) -> None:
    owner, _ = await company(stage, "bypage")
    page = f"/account/tenants/{owner.tenant_id}/delete"
    async with browser_of(owner) as browser:
        await change(
            stage,
            "UPDATE users.sessions SET created_at = created_at - interval '1 hour' WHERE user_id = $1",
            owner.user_id,
        )
        text = (await browser.get(page)).text
        slug = text.partition("Type its short name, ")[2].partition("<")[0].strip()
        token = text.partition('name="csrf_token" value="')[2].partition('"')[0]
        answer = await browser.post(page, data={"csrf_token": token, "short_name": slug})
        assert answer.status_code == 303
        assert answer.headers["location"] == f"/account/sign-in/again?next={page}"
    assert (await owner.get(f"/v1/tenants/{owner.tenant_id}"))["status"] == "active"


async def test_a_deleted_tenant_is_gone_for_its_people_and_a_tombstone_for_operators(stage: Stage) -> None:
    """The grace period is on the tenant's clock; the scheduler's part is played by the timer itself."""
    owner, path = await company(stage, "gone")
    guest = await join(stage, owner, "viewer")
    await owner.post(f"{path}/clock", {"at": "2027-01-31T00:00:00Z"})
    deleted = (await owner.request("DELETE", path)).json()
    purge_at = datetime.fromisoformat(deleted["purge_at"])
    assert purge_at == datetime.fromisoformat("2027-01-31T00:00:00Z") + timedelta(days=30)
    await fire(stage, owner, purge_at)

    async def gone() -> bool:
        return (await owner.request("GET", path)).status_code == 404

    await wait_until(gone, within_seconds=60, what="the purge")
    assert (await guest.request("GET", path)).status_code == 404
    assert (await owner.get("/v1/me"))["tenants"] == []
    operator = await stage.operator()
    tombstone = await operator.get(path)
    assert (tombstone["name"], tombstone["status"], tombstone["member_count"]) == ("Deleted tenant", "deleted", 0)
    operator.tenant_id = owner.tenant_id

    async def mails_gone() -> bool:
        return not (await operator.get("/v1/messages"))["data"]

    await wait_until(mails_gone, within_seconds=60, what="the mails to go")
    assert await stage.token_mailed_to(owner.email, "verify"), "mails that arrived stay where they arrived"
    refused = await operator.request("PATCH", path, json={"name": "Zombie"})
    assert (refused.status_code, refused.json()["code"]) == (409, "tenant_closed")


async def fire(stage: Stage, owner: Person, at: datetime) -> None:
    """Moves the tenant's clock to `at` and fires what is due, as the scheduler does."""
    from prog_kit.database import Database
    from prog_scheduler import timers

    assert owner.tenant_id is not None
    await change(stage, "UPDATE bus.tenant_clocks SET stands_at = $2 WHERE tenant_id = $1", owner.tenant_id, at)
    scheduler = await Database.connect(stage.settings.database_url, "prog_scheduler", max_size=1)
    try:
        async with scheduler.transaction() as connection:
            assert await timers.fire_of_tenant(connection, owner.tenant_id, at) >= 1
    finally:
        await scheduler.close()
