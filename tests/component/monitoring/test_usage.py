"""What tenants publish is counted by the month, each tenant's alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime

import asyncpg
import pytest

from prog_contracts.envelope import Envelope
from prog_contracts.events import EventPublished
from prog_contracts.ids import new_id, new_message_id
from prog_contracts.tenants import TenantDeleted
from prog_kit.database import Database
from prog_workers.monitoring import handlers, queries
from prog_workers.monitoring.handlers import monitoring
from tests.component.harness import Harness, MovableClock

MONTH = date(2027, 3, 1)
ALPHA, OMEGA = new_id("tenant"), new_id("tenant")


@pytest.fixture
async def platform(postgres: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Harness]:
    monkeypatch.setattr(handlers, "clock", MovableClock(datetime(2027, 3, 31, 23, 59, tzinfo=UTC)))
    async with Harness(postgres, monitoring) as platform:
        yield platform


async def publish(platform: Harness, tenant_id: str, type_name: str = "com.acme.order.placed") -> Envelope:
    envelope = Envelope(
        id=new_message_id(), type=type_name, source="/shop", tenant_id=tenant_id, partition_key=tenant_id,
        correlation_id=new_message_id(), time=datetime(2020, 1, 1, tzinfo=UTC), data=b"{}",
    )  # fmt: skip
    await platform.deliver(envelope, "monitoring")
    return envelope


async def counted(platform: Harness, tenant_id: str, month: date = MONTH) -> int:
    edge = await Database.connect(platform.url, "prog_edge", max_size=1)
    try:
        async with edge.scope(tenant_id=tenant_id) as connection:
            return await queries.events_published(connection, tenant_id, month)
    finally:
        await edge.close()


async def test_events_of_a_tenants_own_making_count_and_the_platforms_do_not(platform: Harness) -> None:
    for _ in range(3):
        await publish(platform, ALPHA)
    await publish(platform, OMEGA, EventPublished.TYPE)
    await publish(platform, OMEGA, "prognetwork.tenants.tenant_updated")
    assert (await counted(platform, ALPHA), await counted(platform, OMEGA)) == (3, 1)
    assert await counted(platform, ALPHA, date(2020, 1, 1)) == 0, "the month is when it came, whatever it says itself"


async def test_one_that_comes_twice_counts_once(platform: Harness) -> None:
    envelope = await publish(platform, ALPHA)
    await platform.deliver(envelope, "monitoring")
    assert await counted(platform, ALPHA) == 1


async def test_nobody_reads_what_another_has_used(platform: Harness) -> None:
    await publish(platform, ALPHA)
    edge = await Database.connect(platform.url, "prog_edge", max_size=1)
    try:
        async with edge.scope(tenant_id=OMEGA) as connection:
            assert await queries.events_published(connection, ALPHA, MONTH) == 0
            assert await connection.fetch("SELECT FROM bus.tenant_usage") == []
        async with edge.scope() as connection:
            assert await connection.fetch("SELECT FROM bus.tenant_usage") == []
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with edge.scope(tenant_id=ALPHA) as connection:
                await connection.execute("UPDATE bus.tenant_usage SET events = 0")
    finally:
        await edge.close()


async def test_a_deleted_tenants_count_goes(platform: Harness) -> None:
    await publish(platform, ALPHA)
    await publish(platform, OMEGA)
    await platform.publish(TenantDeleted(tenant_id=ALPHA), tenant_id=ALPHA)
    assert (await counted(platform, ALPHA), await counted(platform, OMEGA)) == (0, 1)
