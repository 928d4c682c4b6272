"""The movable clock."""

from __future__ import annotations

from uuid import UUID

from prog_broker.outcome import Reply
from prog_broker.transaction import Transaction
from prog_contracts.ids import PLATFORM_TENANT_ID
from prog_contracts.tenants import AdvanceClock, ClockChanged, FinishClockAdvance, SetClock
from prog_workers.tenants import errors, rules, store
from prog_workers.tenants.handlers.domain import check_tenant, require, tenants


@tenants.handles(SetClock)
async def set_clock(command: SetClock, tx: Transaction) -> ClockChanged:
    """Takes the tenant off the wall clock, for good."""
    check_tenant(command.tenant_id, tx)
    await require(tx, "clock.move")
    at = rules.checked_start(command.at)
    if command.tenant_id == PLATFORM_TENANT_ID:
        raise errors.platform_clock()
    clock = await store.clock(tx)
    if clock is not None and (clock.stands_at != at or clock.operation_id is not None):
        raise errors.clock_exists()
    if clock is None:
        await store.insert_clock(tx, at)
    return ClockChanged(tenant_id=command.tenant_id, at=at)


@tenants.handles(AdvanceClock)
async def advance_clock(command: AdvanceClock, tx: Transaction) -> Reply:
    """Says where the clock is to go. The scheduler walks it there, timer by timer, and then completes the operation."""
    check_tenant(command.tenant_id, tx)
    await require(tx, "clock.move")
    clock = await store.clock(tx)
    if clock is None:
        raise errors.clock_missing()
    if clock.operation_id is not None:
        raise errors.clock_advancing()
    await store.start_advance(tx, rules.checked_advance(clock.stands_at, command.to))
    return Reply(None, pending=True)


@tenants.handles(FinishClockAdvance)
async def finish_clock_advance(command: FinishClockAdvance, tx: Transaction) -> ClockChanged | None:
    """The clock has arrived and all work on the way has come to rest."""
    check_tenant(command.tenant_id, tx)
    operation_id = UUID(command.operation_id)
    if not await store.finish_advance(tx, operation_id):
        return None
    changed = ClockChanged(tenant_id=command.tenant_id, at=command.at, fired_timers=command.fired_timers)
    tx.complete_operation(operation_id, changed.model_dump(mode="json"))
    return changed
