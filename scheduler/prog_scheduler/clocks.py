"""Walking a test clock: from timer to timer, each time waiting until all that was caused has come to rest.

All state is in PostgreSQL: where the clock stands, where it is to go, and what was fired. So the walk goes on after a
crash at any point, and a slice of it can be done by anybody; an advisory lock for each tenant lets one do so at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from enum import Enum
from typing import Any, Final

import prog_contracts.catalogue  # noqa: F401 - the registry must be whole
from prog_contracts.envelope import Envelope, wrap
from prog_contracts.tenants import FinishClockAdvance
from prog_contracts.topics import topic_of
from prog_kit.database import Connection, Database
from prog_kit.telemetry import child_traceparent
from prog_scheduler import timers

LOCK_CLASS: Final = 0x434C4F43  # "CLOC"
LOOK_BACK_MINUTES: Final = 10
"""What was said this long before the advance is waited for too: it may still be on its way."""
SHORTEST_POLL_SECONDS: Final = 0.01
LONGEST_POLL_SECONDS: Final = 0.1

REST: Final = """
SELECT coalesce(max(e.position), $2) AS position,
       coalesce(bool_or(EXISTS (
           SELECT FROM bus.subscriptions AS s
           WHERE s.type = e.type
             AND NOT EXISTS (
                 SELECT FROM bus.inbox AS i
                 WHERE i.consumer_group = s.consumer_group AND i.message_id = e.message_id
             )
             AND NOT EXISTS (
                 SELECT FROM bus.retries AS r
                 WHERE r.consumer_group = s.consumer_group AND r.message_id = e.message_id
                   AND (r.state = 'dead' OR r.state = 'waiting' AND EXISTS (
                       SELECT FROM bus.retries AS d
                       WHERE d.consumer_group = r.consumer_group AND d.tenant_id = r.tenant_id AND d.state = 'dead'))
             )
       )), false) AS busy
FROM bus.event_log AS e
WHERE e.tenant_id = $1 AND e.position > $2
  AND e.recorded_at > (
      SELECT advance_started_at - make_interval(mins => $3) FROM bus.tenant_clocks WHERE tenant_id = $1
  )
"""
"""Whether a message of the tenant is still to be handled by a group that subscribes to its type.

A handler's transaction writes its inbox row and what it sends at once, so nothing falls between the two. A message in
the retry table is on its way until it is dead; what waits behind a dead letter waits for a person, and time goes on.
"""

CLOCK: Final = """
SELECT stands_at, advancing_to, operation_id, operation_attributes, fired_timers FROM bus.tenant_clocks
WHERE tenant_id = $1 AND advancing_to IS NOT NULL FOR UPDATE
"""

NEXT_DUE: Final = "SELECT min(due_at) FROM bus.timers WHERE tenant_id = $1 AND due_at <= $2"

MOVE: Final = """
UPDATE bus.tenant_clocks SET stands_at = $2, fired_timers = fired_timers + $3 WHERE tenant_id = $1
"""

ARRIVE: Final = "UPDATE bus.tenant_clocks SET stands_at = advancing_to, advancing_to = NULL WHERE tenant_id = $1"


class Walk(Enum):
    """How a slice of an advance ended."""

    ARRIVED = "arrived"
    UNFINISHED = "unfinished"
    ELSEWHERE = "elsewhere"
    """Somebody else is walking this clock."""


async def walk(
    database: Database,
    tenant_id: str,
    wake: Callable[[], Awaitable[None]],
    *,
    budget_seconds: float = 5.0,
    stopping: Callable[[], bool] = lambda: False,
) -> Walk:
    """Moves a tenant's clock towards where it is to go, for at most about `budget_seconds`.

    `wake` tells the relay that something is to be published. Raises asyncpg errors when the database goes away; what
    was committed by then stays, and the next slice goes on from there.
    """
    async with database.pool.acquire() as connection:
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1, hashtext($2))", LOCK_CLASS, tenant_id):
            return Walk.ELSEWHERE
        try:
            deadline = asyncio.get_running_loop().time() + budget_seconds
            return await _walk(connection, tenant_id, wake, deadline, stopping)
        finally:
            if not connection.is_closed():
                await connection.execute("SELECT pg_advisory_unlock($1, hashtext($2))", LOCK_CLASS, tenant_id)


async def _walk(
    connection: Connection,
    tenant_id: str,
    wake: Callable[[], Awaitable[None]],
    deadline: float,
    stopping: Callable[[], bool],
) -> Walk:
    loop = asyncio.get_running_loop()
    settled_until = 0
    pause = SHORTEST_POLL_SECONDS
    while loop.time() < deadline and not stopping():
        rest = await connection.fetchrow(REST, tenant_id, settled_until, LOOK_BACK_MINUTES)
        assert rest is not None
        if rest["busy"]:
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LONGEST_POLL_SECONDS)
            continue
        settled_until = rest["position"]
        pause = SHORTEST_POLL_SECONDS
        async with connection.transaction():
            arrived = await _step(connection, tenant_id)
        await wake()
        if arrived:
            return Walk.ARRIVED
    return Walk.UNFINISHED


async def _step(connection: Connection, tenant_id: str) -> bool:
    """Moves to the next instant at which something is due and fires it, or to the end; True at the end."""
    clock = await connection.fetchrow(CLOCK, tenant_id)
    if clock is None:
        return True
    next_due: datetime | None = await connection.fetchval(NEXT_DUE, tenant_id, clock["advancing_to"])
    if next_due is not None:
        # A timer may be overdue where the clock was started ahead of it; the clock never goes back for one.
        at = max(clock["stands_at"], next_due)
        fired = await timers.fire_of_tenant(connection, tenant_id, at)
        await connection.execute(MOVE, tenant_id, at, fired)
        return False
    await connection.execute(ARRIVE, tenant_id)
    await timers.append(connection, [_completion(tenant_id, clock)])
    return True


def _completion(tenant_id: str, clock: Any) -> timers.Entry:
    """The command that completes the operation, in the story of the one that asked for it."""
    asked = Envelope.parse(clock["operation_attributes"].encode(), b"")
    command = FinishClockAdvance(
        tenant_id=tenant_id,
        operation_id=str(clock["operation_id"]),
        at=clock["advancing_to"],
        fired_timers=clock["fired_timers"],
    )
    envelope = wrap(
        command,
        tenant_id=tenant_id,
        source="/prognetwork/scheduler",
        now=clock["advancing_to"],
        correlation_id=asked.correlation_id,
        causation_id=asked.id,
        actor=asked.actor,
        traceparent=child_traceparent(asked.traceparent),
    )
    return timers.Entry(topic_of(command).name, "scheduler", clock["advancing_to"], envelope)
