"""The product's own projections, rebuilt from the log: they end as live traffic had made them."""

from __future__ import annotations

from typing import Any

import pytest

from prog_broker import replaying
from prog_broker.replaying import ReplayRequest, ReplayRunner, Scope
from prog_contracts.events import PublishEvent
from prog_contracts.ids import new_id
from prog_kit.database import Database
from prog_kit.secrets import Sealer
from prog_workers.events.app import domain as events
from prog_workers.monitoring.app import domain as monitoring
from tests.component.harness import SECRET_KEYS, Harness
from tests.integration.broker.replays import write_history

SUBJECTS = "SELECT * FROM events.subjects ORDER BY object_id, message_id"
COUNTS = "SELECT type, window_start, messages, succeeded FROM monitoring.windows WHERE scope = 'event' ORDER BY 1, 2"


async def rebuilt(platform: Harness, group: str, scope: Scope | None = None) -> Any:
    """Runs a rebuild of the group to its end; returns the replay."""
    domain = {"events": events, "monitoring": monitoring}[group]
    database = await Database.connect(platform.url, f"prog_{group}", max_size=2)
    try:
        runner = ReplayRunner(domain, database, Sealer(SECRET_KEYS), member="tester")
        await runner.announce()
        request = ReplayRequest(group, "a test", scope or Scope(), rebuild=True)
        replay_id = await replaying.start(database, request, by="ada")
        assert await runner.round()
        async with database.scope() as connection:
            return await replaying.found(connection, replay_id)
    finally:
        await database.close()


async def lively(platform: Harness) -> list[str]:
    """Two tenants with events of the platform and of their own, all of it delivered live."""
    tenants = [new_id("tenant"), new_id("tenant")]
    await write_history(platform.admin, tenants, 700)
    for tenant in tenants:
        command = PublishEvent(name="order.placed", subject_id=new_id("invoice"), payload={"buyer": new_id("user")})
        answer = await platform.request(command, tenant_id=tenant)
        assert answer.status == "succeeded"
    await platform.settle(at_once=500)
    return tenants


async def test_requirement_27_the_index_of_objects_is_rebuilt_as_it_was(postgres: str) -> None:
    async with Harness(postgres, events, monitoring) as platform:
        await lively(platform)
        live = await platform.fetch(SUBJECTS)
        assert len(live) == 700 + 2 * 2
        logged = await platform.admin.fetchval("SELECT count(*) FROM bus.event_log")
        await platform.admin.execute("UPDATE events.subjects SET correlation_id = message_id, occurred_at = 'epoch'")
        replay = await rebuilt(platform, "events")
        assert replay.state == "done", replay.failure
        assert await platform.fetch(SUBJECTS) == live
        assert await platform.admin.fetchval("SELECT count(*) FROM bus.event_log") == logged


async def test_the_index_of_one_tenant_is_rebuilt_alone(postgres: str) -> None:
    async with Harness(postgres, events) as platform:
        tenants = await lively(platform)
        live = await platform.fetch(SUBJECTS)
        await platform.admin.execute("UPDATE events.subjects SET occurred_at = 'epoch'")
        replay = await rebuilt(platform, "events", Scope(tenant_id=tenants[0]))
        assert replay.state == "done", replay.failure
        now = await platform.fetch(SUBJECTS)
        assert [row for row in now if row["tenant_id"] == tenants[0]] == [
            row for row in live if row["tenant_id"] == tenants[0]
        ]
        assert all(row["occurred_at"].year == 1970 for row in now if row["tenant_id"] == tenants[1])


async def test_requirement_27_the_counts_of_events_are_rebuilt_as_they_were(postgres: str) -> None:
    async with Harness(postgres, events, monitoring) as platform:
        await lively(platform)
        live = await platform.fetch(COUNTS)
        assert sum(row["messages"] for row in live) == 702
        replay = await rebuilt(platform, "monitoring")
        assert replay.state == "done", replay.failure
        assert await platform.fetch(COUNTS) == live


async def test_what_is_older_than_the_figures_are_kept_is_not_counted(postgres: str) -> None:
    async with Harness(postgres, events, monitoring) as platform:
        await lively(platform)
        old = "01000000-0000-7000-8000-000000000001"  # a UUIDv7 of the year 2004
        await platform.admin.execute(
            "UPDATE bus.event_log SET message_id = $1 WHERE position = (SELECT min(position) FROM bus.event_log)", old
        )
        replay = await rebuilt(platform, "monitoring")
        assert replay.state == "done", replay.failure
        assert sum(row["messages"] for row in await platform.fetch(COUNTS)) == 701


@pytest.mark.parametrize(
    ("group", "scope"),
    [
        ("events", Scope(types=("prognetwork.tenants.tenant_updated",))),
        ("events", Scope(subject="tenant_1")),
        ("monitoring", Scope(tenant_id="tenant_01m8bs9ft5ekcbjvm5h1nkyapg")),
    ],
)
async def test_a_scope_that_cannot_be_emptied_alone_is_refused_before_anything_is_emptied(
    group: str, scope: Scope, postgres: str
) -> None:
    async with Harness(postgres, events, monitoring) as platform:
        await lively(platform)
        live = [await platform.fetch(SUBJECTS), await platform.fetch(COUNTS)]
        replay = await rebuilt(platform, group, scope)
        assert replay.state == "failed"
        assert "leave out" in replay.failure["reason"]
        assert not replay.holds_live
        assert [await platform.fetch(SUBJECTS), await platform.fetch(COUNTS)] == live
