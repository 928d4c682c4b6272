"""Use cases of the monitoring domain: count every event, count what consumers report, tell of closed windows."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final

from prog_broker.domain import Domain
from prog_broker.outcome import Reply
from prog_broker.purging import purge_rows
from prog_broker.replaying import Scope
from prog_broker.transaction import Transaction
from prog_contracts.envelope import Envelope
from prog_contracts.errors import Invalid
from prog_contracts.monitoring import CloseWindows, RecordConsumption
from prog_contracts.tenants import TenantDeleted
from prog_kernels import engine
from prog_kit.clock import Clock, SystemClock
from prog_kit.database import Connection
from prog_workers.monitoring import rules, store
from prog_workers.monitoring.sampling import Sampler

if TYPE_CHECKING:
    from prog_broker.worker import Resources

monitoring = Domain("monitoring", linger_seconds=0.5)
monitoring.owns(deleted=("bus.tenant_usage",), kept={})

clock: Clock = SystemClock()
"""The machine's clock, and not a tenant's: how fast messages flow is not a matter of any tenant's time."""

_WARM_AFTER_SECONDS: Final = 5.0


@monitoring.observes_everything(replay="rebuild")
async def count_events(envelopes: list[Envelope], tx: Transaction) -> None:
    """Counts events by type, and how long they took to arrive. The log does not tell the latter: a replay counts."""
    arrivals = [(envelope.type, envelope.id) for envelope in envelopes]
    now = clock.now()
    await store.add(tx, rules.tally_events(arrivals, now, replaying=tx.replaying))
    if not tx.replaying:
        published = Counter(envelope.tenant_id for envelope in envelopes if rules.is_published(envelope.type))
        await store.count_published(tx, now, published)


@monitoring.handles(TenantDeleted, replay="rebuild")
async def purge_tenant(event: TenantDeleted, tx: Transaction) -> None:
    """Counts the event as any other, and forgets what the tenant has used."""
    await count_events([tx.envelope], tx)
    while not tx.replaying and await purge_rows(tx, monitoring.tenant_rows.deleted):
        pass


@monitoring.resets
async def forget_event_counts(connection: Connection, scope: Scope) -> None:
    """Drops the windows of events, of some types or of all. They are of the whole platform and know no tenant."""
    if scope.tenant_id or scope.subject or scope.stream:
        raise Invalid("Counts of events are the platform's: leave out tenant, subject and stream.")
    await store.forget_events(connection, scope.types)


@monitoring.handles_batch(RecordConsumption)
async def record_consumption(reports: list[RecordConsumption], tx: Transaction) -> Reply:
    """Counts what consumers did, and tells of the windows that are over by now."""
    await store.add(tx, rules.tally_reports(reports, clock.now()))
    return await _tell_of_closed(tx)


@monitoring.handles_batch(CloseWindows)
async def close_windows(_: list[CloseWindows], tx: Transaction) -> Reply:
    """Tells of the windows that are over, after the last report has come in."""
    return await _tell_of_closed(tx)


@monitoring.on_start
async def start_sampling(resources: Resources) -> None:
    """Samples what waits in the broker, and gets the compiled kernels ready once the process has found its feet."""
    engine.warm(after_seconds=_WARM_AFTER_SECONDS)
    resources.tasks.append(asyncio.create_task(Sampler(resources, clock).run()))


async def _tell_of_closed(tx: Transaction) -> Reply:
    closed = await store.close(tx, clock.now())
    return Reply(None, *(rules.metrics_updated(group, start, seen) for group, start, seen in closed))
