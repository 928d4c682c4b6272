"""Firing: a timer's command moves from `bus.timers` into the event log, in one transaction and so exactly once.

The message keeps the id, the cause and the story that it got when it was scheduled; its time is the instant it was due.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from prog_contracts.envelope import Envelope
from prog_kit import logging
from prog_kit.database import Connection

log = logging.get("prog_scheduler.timers")

BATCH: Final = 500

DUE_ON_THE_WALL: Final = """
SELECT tenant_id, domain, name, due_at, topic, attributes, data FROM bus.timers AS t
WHERE due_at <= $1 AND NOT EXISTS (SELECT FROM bus.tenant_clocks AS c WHERE c.tenant_id = t.tenant_id)
ORDER BY due_at, domain, name LIMIT $2 FOR UPDATE SKIP LOCKED
"""

DUE_OF_TENANT: Final = """
SELECT tenant_id, domain, name, due_at, topic, attributes, data FROM bus.timers
WHERE due_at <= $1 AND tenant_id = $3
ORDER BY due_at, domain, name LIMIT $2 FOR UPDATE
"""

DROP: Final = """
DELETE FROM bus.timers AS t USING unnest($1::text[], $2::text[], $3::text[]) AS u (tenant_id, domain, name)
WHERE (t.tenant_id, t.domain, t.name) = (u.tenant_id, u.domain, u.name)
"""

SET_ASIDE: Final = "UPDATE bus.timers SET due_at = 'infinity' WHERE tenant_id = $1 AND domain = $2 AND name = $3"

APPEND: Final = """
INSERT INTO bus.event_log (message_id, kind, topic, source_domain, type, schema_version, tenant_id, partition_key,
                           subject, actor, correlation_id, causation_id, traceparent, occurred_at, data)
SELECT u.message_id, 'command', u.topic, u.source_domain, u.type, u.schema_version, u.tenant_id, u.partition_key,
       u.subject, u.actor, u.correlation_id, u.causation_id, u.traceparent, u.occurred_at, u.data
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::smallint[], $6::text[], $7::text[], $8::text[],
            $9::text[], $10::uuid[], $11::uuid[], $12::text[], $13::timestamptz[], $14::bytea[])
     WITH ORDINALITY
     AS u (message_id, topic, source_domain, type, schema_version, tenant_id, partition_key, subject, actor,
           correlation_id, causation_id, traceparent, occurred_at, data, ordinality)
ORDER BY u.ordinality
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A command for the event log. `occurred_at` is on the tenant's clock."""

    topic: str
    source_domain: str
    occurred_at: datetime
    envelope: Envelope


async def fire_on_the_wall(connection: Connection, now: datetime, *, limit: int = BATCH) -> int:
    """Fires what is due at `now` in tenants that live on the wall clock; returns how many, at most `limit`."""
    async with connection.transaction():
        return await _fire(connection, await connection.fetch(DUE_ON_THE_WALL, now, limit))


async def fire_of_tenant(connection: Connection, tenant_id: str, at: datetime, *, limit: int = BATCH) -> int:
    """Fires what is due at `at` in one tenant, as a part of the caller's transaction; at most `limit`."""
    return await _fire(connection, await connection.fetch(DUE_OF_TENANT, at, limit, tenant_id))


async def append(connection: Connection, entries: Sequence[Entry]) -> None:
    """Writes commands into the event log, in order."""
    envelopes = [entry.envelope for entry in entries]
    await connection.execute(
        APPEND,
        [e.id for e in envelopes],
        [entry.topic for entry in entries],
        [entry.source_domain for entry in entries],
        [e.type for e in envelopes],
        [e.schema_version for e in envelopes],
        [e.tenant_id for e in envelopes],
        [e.partition_key for e in envelopes],
        [e.subject for e in envelopes],
        [e.actor for e in envelopes],
        [e.correlation_id for e in envelopes],
        [e.causation_id for e in envelopes],
        [e.traceparent for e in envelopes],
        [entry.occurred_at for entry in entries],
        [e.data for e in envelopes],
    )


async def _fire(connection: Connection, rows: Sequence[Any]) -> int:
    entries = []
    for row in rows:
        try:
            envelope = Envelope.parse(row["attributes"].encode(), row["data"])
        except ValueError as error:
            # A defect of whoever scheduled it. One such timer must not hold up all others.
            log.error("timer set aside", tenant_id=row["tenant_id"], timer=row["name"], error=str(error))
            await connection.execute(SET_ASIDE, row["tenant_id"], row["domain"], row["name"])
        else:
            entries.append((row, Entry(row["topic"], row["domain"], row["due_at"], envelope)))
    if entries:
        fired = [row for row, _ in entries]
        await connection.execute(
            DROP, [r["tenant_id"] for r in fired], [r["domain"] for r in fired], [r["name"] for r in fired]
        )
        await append(connection, [entry for _, entry in entries])
    return len(entries)
