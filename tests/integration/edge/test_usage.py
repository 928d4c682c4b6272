"""Limits over HTTP: shown, used up, refused with a problem that says which and what to do, and told to the owners."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from prog_contracts.ids import new_id
from prog_contracts.quotas import FREE_LIMITS
from prog_edge.quotas import month_of
from tests.integration.edge.stage import Person, Stage
from tests.integration.edge.test_roles import browser_of, change, join
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def acme(stage: Stage) -> Person:
    owner = await stage.person("owner@usage.example")
    await stage.tenant_of(owner, "Usage Ltd")
    return owner


async def used(person: Person) -> dict[str, dict[str, Any]]:
    usage = await person.get(f"/v1/tenants/{person.tenant_id}/usage")
    return {item["name"]: item for item in usage["data"]}


async def publish(person: Person, count: int = 1) -> Any:
    events = [
        {"specversion": "1.0", "id": new_id("e"), "source": "/shop", "type": "com.acme.sold"} for _ in range(count)
    ]
    return await person.request("POST", "/v1/events", json=events)


async def counted(stage: Stage, person: Person, events: int) -> None:
    """As if the tenant had published so many this month."""
    await change(
        stage,
        "INSERT INTO bus.tenant_usage VALUES ($1, $2, $3)"
        " ON CONFLICT (tenant_id, month) DO UPDATE SET events = EXCLUDED.events",
        person.tenant_id,
        month_of(datetime.now(UTC)),
        events,
    )
    assert person.tenant_id is not None
    stage.platform.quotas._events.forget(person.tenant_id)


async def limited(stage: Stage, person: Person, quota: str, value: int) -> None:
    """As an operator may do for one customer: the tenant has a limit of its own."""
    query = "UPDATE tenants.limits SET value = $3 WHERE tenant_id = $1 AND name = $2"
    await change(stage, query, person.tenant_id, quota, value)


async def test_limits_and_usage_are_shown(stage: Stage, acme: Person) -> None:
    limits = await acme.get(f"/v1/tenants/{acme.tenant_id}/limits")
    assert limits["plan"] is None
    assert {name: limits["limits"][name] for name in FREE_LIMITS} == dict(FREE_LIMITS)
    answer = await acme.request("GET", f"/v1/tenants/{acme.tenant_id}")
    assert f'"reads";q={limits["limits"]["reads_per_minute"]}' in answer.headers["ratelimit-policy"], answer.headers
    before = await used(acme)
    assert (before["members"]["used"], before["members"]["percent"]) == (1, 20)
    await acme.post(f"/v1/tenants/{acme.tenant_id}/invitations", {"email": "guest@usage.example"})
    key = await acme.post("/v1/api-keys", {"name": "Import", "scopes": ["event.read"]})
    assert (await publish(acme, 3)).status_code == 201

    async def there() -> bool:
        now = await used(acme)
        return (now["members"]["used"], now["api_keys"]["used"], now["events_per_month"]["used"]) == (2, 1, 3)

    await wait_until(there, within_seconds=60, what="what was used to be counted")
    await acme.request("DELETE", f"/v1/api-keys/{key['id']}")
    assert (await used(acme))["api_keys"]["used"] == 0
    viewer = await join(stage, acme, "viewer")
    assert (await used(viewer))["members"]["used"] == 3
    async with browser_of(viewer) as browser:
        page = (await browser.get(f"/account/tenants/{acme.tenant_id}/usage")).text
        assert "3 of 5" in page


async def test_events_beyond_the_plan_are_refused_and_the_owners_are_told(stage: Stage, acme: Person) -> None:
    limit = FREE_LIMITS["events_per_month"]
    assert limit is not None
    await counted(stage, acme, limit - 2)
    assert (await publish(acme, 2)).status_code == 201
    await counted(stage, acme, limit - 1)
    refused = await publish(acme, 2)
    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (409, "event_limit")
    assert "allows 10,000 events a month" in problem["detail"]
    assert "larger plan" in problem["detail"]
    await counted(stage, acme, limit)
    assert (await publish(acme)).status_code == 409

    async def told() -> bool:
        mails = (await acme.get("/v1/messages"))["data"]
        return any("100% of its events a month" in mail["subject"] for mail in mails)

    await wait_until(told, within_seconds=60, what="the mail to the owner")
    other = await stage.person("other@usage.example")
    await stage.tenant_of(other, "Room Ltd")
    assert (await publish(other)).status_code == 201, "another tenant has its own"
    await limited(stage, acme, "events_per_month", limit + 10)

    async def has_more() -> bool:
        return bool((await publish(acme)).status_code == 201)

    await wait_until(has_more, within_seconds=60, what="the tenant's own limit to hold, whatever the plan says")


async def test_keys_beyond_the_plan_are_refused(stage: Stage) -> None:
    owner = await stage.person("keys@usage.example")
    await stage.tenant_of(owner, "Keys Ltd")
    limit = FREE_LIMITS["api_keys"]
    assert limit is not None
    wish = {"name": "Import", "scopes": ["event.read"]}
    for _ in range(limit):
        assert (await owner.request("POST", "/v1/api-keys", json=wish)).status_code == 201
    refused = await owner.request("POST", "/v1/api-keys", json=wish)
    assert (refused.status_code, refused.json()["code"]) == (409, "api_key_limit")
    assert "allows 20 API keys" in refused.json()["detail"]
    await limited(stage, owner, "api_keys", limit + 1)

    async def has_more() -> bool:
        return (await owner.request("POST", "/v1/api-keys", json=wish)).status_code == 201

    await wait_until(has_more, within_seconds=60, what="the tenant's own limit to hold, whatever the plan says")
    assert (await owner.request("POST", "/v1/api-keys", json=wish)).status_code == 409
    async with browser_of(owner) as browser:
        assert "21 of 21" in (await browser.get(f"/account/tenants/{owner.tenant_id}/usage")).text

    async def told() -> bool:
        mails = (await owner.get("/v1/messages"))["data"]
        return {"80% of its API keys", "100% of its API keys"} <= {
            mail["subject"].removeprefix("Keys Ltd has used ") for mail in mails
        }

    await wait_until(told, within_seconds=60, what="the mails to the owner")
