"""SQL of test clocks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from prog_broker.transaction import Transaction


@dataclass(frozen=True, slots=True)
class TestClock:
    """`operation_id` is set from the advance's command until its completion is recorded."""

    __test__ = False

    stands_at: datetime
    operation_id: UUID | None


async def clock(tx: Transaction) -> TestClock | None:
    """The tenant's test clock, locked until the transaction ends; None on the wall clock."""
    row = await tx.fetchrow(
        "SELECT stands_at, operation_id FROM bus.tenant_clocks WHERE tenant_id = $1 FOR UPDATE", tx.tenant_id
    )
    return None if row is None else TestClock(**dict(row))


async def insert_clock(tx: Transaction, at: datetime) -> None:
    await tx.execute("INSERT INTO bus.tenant_clocks (tenant_id, stands_at) VALUES ($1, $2)", tx.tenant_id, at)


async def start_advance(tx: Transaction, to: datetime) -> None:
    """Leaves the advance to the scheduler, which finds it here; the envelope lets it answer in the same story."""
    await tx.execute(
        """
        UPDATE bus.tenant_clocks
        SET advancing_to = $2, operation_id = $3, operation_attributes = $4, fired_timers = 0,
            advance_started_at = clock_timestamp()
        WHERE tenant_id = $1
        """,
        tx.tenant_id,
        to,
        tx.message_id,
        tx.envelope.attributes().decode(),
    )


async def finish_advance(tx: Transaction, operation_id: UUID) -> bool:
    """Closes an advance; False when it is closed already."""
    values: tuple[Any, ...] = (tx.tenant_id, operation_id)
    return (
        await tx.fetchval(
            """
        UPDATE bus.tenant_clocks
        SET advancing_to = NULL, operation_id = NULL, operation_attributes = NULL, advance_started_at = NULL
        WHERE tenant_id = $1 AND operation_id = $2 RETURNING true
        """,
            *values,
        )
        is True
    )
