"""How far groups are behind, as a transport tells it, on both brokers."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from prog_broker import reading
from prog_contracts.envelope import wrap
from prog_contracts.ids import new_id
from prog_contracts.tenants import ClockChanged, TenantUpdated
from prog_contracts.topics import TOPICS
from tests.integration.broker.conftest import Rig, eventually

EVENTS = TOPICS["prog.tenants.events"]


async def test_each_group_is_told_what_waits_for_it_and_since_when(rig: Rig) -> None:
    """All partitions have something, and the groups stand at different places of one."""
    tenants = {EVENTS.partition_of(tenant): tenant for tenant in (new_id("tenant") for _ in range(200))}
    assert len(tenants) == EVENTS.partitions

    async def publish() -> None:
        for tenant in tenants.values():
            event = TenantUpdated(tenant_id=tenant, name="n", status="active")
            await rig.transport.publisher.send([(EVENTS, wrap(event, tenant_id=tenant, source="/test"))])

    for _ in range(3):
        await publish()
    found = {(lag.group, lag.partition): lag for lag in await rig.transport.lags({EVENTS.name: ["payments", "users"]})}
    assert {lag.lag for lag in found.values()} == {3}
    assert all(lag.oldest_at is not None for lag in found.values())
    first = {partition: found["users", partition].oldest_at for partition in tenants}

    worker = await rig.worker()
    await eventually(lambda: len(rig.ledger.heard) == 3 * EVENTS.partitions)

    async def kept() -> bool:
        return not any(lag.lag for lag in await rig.transport.lags({EVENTS.name: ["payments"]}))

    await eventually(kept)
    await worker.stop()
    rig.workers.remove(worker)
    await publish()
    found = {(lag.group, lag.partition): lag for lag in await rig.transport.lags({EVENTS.name: ["payments", "users"]})}
    for partition in tenants:
        ahead, behind = found["payments", partition], found["users", partition]
        assert (ahead.lag, behind.lag) == (1, 4)
        assert behind.oldest_at == first[partition]
        assert ahead.oldest_at is not None
        assert behind.oldest_at is not None
        assert ahead.oldest_at > behind.oldest_at


async def test_a_worker_that_stops_leaves_no_lag_of_events_that_its_groups_do_not_handle(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "TELL_SECONDS", 3600)
    tenant = new_id("tenant")
    changed = wrap(ClockChanged(tenant_id=tenant, at=datetime.now(UTC)), tenant_id=tenant, source="/test")
    await rig.transport.publisher.send([(EVENTS, changed)])
    worker = await rig.worker()
    await eventually(lambda: any(intake.has_untold for serving in worker.serving for _, intake in serving.intakes))
    await worker.stop()
    rig.workers.remove(worker)
    assert not any(lag.lag for lag in await rig.transport.lags({EVENTS.name: ["payments"]}))
