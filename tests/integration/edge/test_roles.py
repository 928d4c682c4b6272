"""Roles and endpoints: what tells how a tenant pays is shown to those alone whose role allows `billing.read`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx
import orjson
import pytest
import pytest_asyncio

from prog_contracts.ids import new_id
from prog_contracts.permissions import BILLING_TEMPLATES, concerns_billing
from tests.integration.edge.stage import PASSPHRASE, Person, Stage
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEES = {"owner": True, "billing": True, "member": False, "viewer": False}
HEARTBEATS = 5
SEALED_OFF = ("/v1/invoices", "/v1/payments", "/v1/subscriptions", "/v1/customers", "/v1/payment-methods")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def people(stage: Stage) -> dict[str, Person]:
    """One person of every role in a tenant that has paid once."""
    owner = await stage.person("owner@roles.example")
    await stage.tenant_of(owner, "Roles Ltd")
    found = {"owner": owner}
    for role in ("billing", "member", "viewer"):
        found[role] = await join(stage, owner, role)
    price = (await owner.get("/v1/prices"))["data"][0]
    await owner.post("/v1/subscriptions", {"price_id": price["id"], "payment_method": "pm_ok"})

    async def billed() -> bool:
        sent = (await owner.get("/v1/events", params={"types": "prognetwork.email.email_sent"}))["data"]
        return any(event["data"]["template"] == "receipt" for event in sent)

    await wait_until(billed, within_seconds=20, what="the receipt")
    return found


async def join(stage: Stage, owner: Person, role: str) -> Person:
    person = await stage.person(f"{role}-{new_id('x')[-8:]}@roles.example")
    await owner.post(f"/v1/tenants/{owner.tenant_id}/invitations", {"email": person.email, "role": role})
    token = await stage.token_mailed_to(person.email, "invite")
    await person.post("/v1/invitations/accept", {"token": token})
    person.tenant_id = owner.tenant_id
    return person


@asynccontextmanager
async def browser_of(person: Person) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=person.stage.settings.public_url, timeout=20, verify=False) as browser:
        page = (await browser.get("/account/sign-in")).text
        token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
        form = {"csrf_token": token, "email": person.email, "password": PASSPHRASE}
        assert (await browser.post("/account/sign-in", data=form)).status_code == 303
        yield browser


async def change(stage: Stage, statement: str, *values: object) -> None:
    """What only the administrator of the database can do, past every rule."""
    await stage.administrator.execute(statement, *values)


def told(events: list[dict[str, Any]]) -> set[str]:
    """The types among these that tell how the tenant pays."""
    return {event["type"] for event in events if concerns_billing(event["type"], event["data"])}


def flat(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [item for node in nodes for item in (node, *flat(node["children"]))]


@pytest.mark.parametrize("role", SEES)
async def test_lists_of_events(people: dict[str, Person], role: str) -> None:
    person, sees = people[role], SEES[role]
    everything = (await person.get("/v1/events", params={"limit": 200}))["data"]
    assert "prognetwork.tenants.tenant_created" in {event["type"] for event in everything}
    assert bool(told(everything)) is sees
    assert bool((await person.get("/v1/events", params={"domain": "payments"}))["data"]) is sees
    mails = (await person.get("/v1/events", params={"domain": "email", "limit": 200}))["data"]
    assert mails
    assert bool(told(mails)) is sees


@pytest.mark.parametrize("role", SEES)
async def test_single_things(people: dict[str, Person], role: str) -> None:
    owner, person = people["owner"], people[role]
    wanted = 200 if SEES[role] else 404
    for event in (await owner.get("/v1/events", params={"limit": 200}))["data"]:
        answer = await person.request("GET", f"/v1/events/{event['id']}")
        assert answer.status_code == (wanted if told([event]) else 200), event["type"]
    mails = (await owner.get("/v1/messages", params={"limit": 200}))["data"]
    assert any(mail["template"] == "receipt" for mail in mails)
    for mail in mails:
        answer = await person.request("GET", f"/v1/messages/{mail['id']}")
        assert answer.status_code == (wanted if mail["template"] in BILLING_TEMPLATES else 200), mail["template"]
    shown = {mail["template"] for mail in (await person.get("/v1/messages", params={"limit": 200}))["data"]}
    assert shown
    assert bool(shown & BILLING_TEMPLATES) is SEES[role]


@pytest.mark.parametrize("role", SEES)
async def test_stories(people: dict[str, Person], role: str) -> None:
    owner, person = people["owner"], people[role]
    nodes = flat((await person.get(f"/v1/story/{owner.tenant_id}"))["roots"])
    assert any(node["type"] == "prognetwork.tenants.create_tenant" for node in nodes)
    assert any(concerns_billing(node["type"], node["body"]) for node in nodes) is SEES[role]
    invoice = (await owner.get("/v1/invoices"))["data"][0]
    receipt = next(mail for mail in (await owner.get("/v1/messages"))["data"] if mail["template"] == "receipt")
    for any_id in (invoice["id"], receipt["id"], receipt["correlation_id"]):
        answer = await person.request("GET", f"/v1/story/{any_id}")
        if SEES[role]:
            assert answer.status_code == 200
        else:
            shown = answer.text.replace(any_id, "", 1)
            assert not {mark for mark in (invoice["id"], receipt["id"], "payments.") if mark in shown}


@pytest.mark.parametrize("role", SEES)
async def test_lists_of_billing(people: dict[str, Person], role: str) -> None:
    for path in SEALED_OFF:
        assert (await people[role].request("GET", path)).status_code == (200 if SEES[role] else 403), path


@pytest.mark.parametrize("role", SEES)
async def test_pages_of_the_account(people: dict[str, Person], role: str) -> None:
    person, sees = people[role], SEES[role]
    async with browser_of(person) as browser:
        tenant = await browser.get(f"/account/tenants/{person.tenant_id}")
        assert tenant.status_code == 200
        assert ("Open billing" in tenant.text) is sees
        assert "Choose a plan" not in tenant.text
        billing = await browser.get(f"/account/tenants/{person.tenant_id}/billing")
        assert billing.status_code == (200 if sees else 403)


async def test_an_operation_of_billing_is_shown_to_those_who_see_billing(people: dict[str, Person]) -> None:
    headers = {"Idempotency-Key": new_id("key"), "Prefer": "respond-async"}
    accepted = await people["billing"].request("POST", "/v1/payment-methods", json={"token": "pm_ok"}, headers=headers)
    location = accepted.headers["location"]

    async def done() -> bool:
        answer = await people["owner"].request("GET", location)
        return answer.status_code == 200 and answer.json()["status"] == "succeeded"

    await wait_until(done, what="the card")
    for role, sees in SEES.items():
        assert (await people[role].request("GET", location)).status_code == (200 if sees else 404), role


@pytest.mark.parametrize("role", ["owner", "billing", "viewer"])
async def test_the_stream_with_what_was_missed_and_what_comes(people: dict[str, Person], role: str) -> None:
    owner, person = people["owner"], people[role]
    first = (await owner.get("/v1/events", params={"types": "prognetwork.tenants.tenant_created"}))["data"][0]

    connected = asyncio.Event()

    async def read() -> list[dict[str, Any]]:
        headers = {**person.headers, "Last-Event-ID": str(first["position"])}
        found: list[dict[str, Any]] = []
        async with (
            asyncio.timeout(15),
            person.stage.http.stream("GET", "/v1/events/stream", headers=headers) as response,
        ):
            async for line in response.aiter_lines():
                if line == ": connected":
                    connected.set()
                if line.startswith("data: "):
                    found.append(orjson.loads(line.removeprefix("data: ")))
                    if found[-1]["data"].get("name") == f"Roles for {role}":
                        break
        return found

    reading = asyncio.ensure_future(read())
    await asyncio.wait_for(connected.wait(), timeout=15)
    await owner.post("/v1/payment-methods", {"token": "pm_ok"})
    await owner.request("PATCH", f"/v1/tenants/{owner.tenant_id}", json={"name": f"Roles for {role}"})
    assert bool(told(await reading)) is SEES[role]


@pytest_asyncio.fixture(loop_scope="module")
async def quick(stage: Stage) -> AsyncIterator[Stage]:
    usual = stage.platform.heartbeat_seconds
    stage.platform.heartbeat_seconds = 0.1
    yield stage
    stage.platform.heartbeat_seconds = usual


class Stream:
    """Read to its end by `task`; `lines` is what came."""

    def __init__(self, client: httpx.AsyncClient, path: str, headers: dict[str, str] | None = None) -> None:
        self.lines: list[str] = []
        self.task = asyncio.create_task(self._read(client, path, headers or {}))

    async def _read(self, client: httpx.AsyncClient, path: str, headers: dict[str, str]) -> None:
        async with client.stream("GET", path, headers=headers) as response:
            assert response.status_code == 200
            async for line in response.aiter_lines():
                self.lines.append(line)

    def goes_on(self) -> bool:
        """Whether it was looked a few times whether its reader may still read, or it is over."""
        return sum(line.startswith(": ") for line in self.lines) > HEARTBEATS or self.task.done()


async def all_go_on(*streams: Stream) -> list[asyncio.Task[None]]:
    await wait_until(lambda: all(each.goes_on() for each in streams), within_seconds=60, what="some heartbeats of each")
    assert not any(stream.task.done() for stream in streams), "a stream stays open as long as its reader may read"
    return [stream.task for stream in streams]


async def open_streams(*people: Person) -> list[asyncio.Task[None]]:
    return await all_go_on(*(Stream(item.stage.http, "/v1/events/stream", item.headers) for item in people))


async def test_a_stream_ends_with_the_session(quick: Stage, people: dict[str, Person]) -> None:
    again = await quick.sign_in(people["viewer"].email)
    again.tenant_id = people["viewer"].tenant_id
    (stream,) = await open_streams(again)
    await again.request("POST", "/v1/auth/logout", json={"refresh_token": again.tokens["refresh_token"]})
    await asyncio.wait_for(stream, 10)


async def test_a_stream_ends_with_the_membership_and_with_the_role(quick: Stage, people: dict[str, Person]) -> None:
    owner = people["owner"]
    stays = people["viewer"]
    clerk = await join(quick, owner, "billing")
    guest = people["member"]
    kept, *ended = await open_streams(stays, clerk, guest)
    await change(quick, "UPDATE tenants.members SET role = 'viewer' WHERE user_id = $1", clerk.user_id)
    await change(quick, "DELETE FROM tenants.members WHERE user_id = $1", guest.user_id)
    await asyncio.wait_for(asyncio.gather(*ended), 10)
    assert not kept.done()
    kept.cancel()
    await asyncio.gather(kept, return_exceptions=True)


async def test_streams_of_staff_end_with_their_office(quick: Stage) -> None:
    operator = await quick.operator()
    async with browser_of(operator) as browser:
        streams = await open_streams(operator)
        streams += await all_go_on(*(Stream(browser, path) for path in ("/admin/live", "/admin/events/live")))
        await change(quick, "UPDATE users.users SET platform_role = NULL WHERE user_id = $1", operator.user_id)
        await asyncio.wait_for(cast("Any", asyncio.gather(*streams)), 10)
