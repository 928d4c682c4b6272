"""What the recorder reads and writes, as the role prog_auditor and inside its transaction."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from prog_kit.database import Connection
from prog_workers.events.audit.deciding import LEFT_OUT_DOMAINS, LEFT_OUT_TYPES, REFUSAL
from prog_workers.events.audit.entries import BEFORE_THE_FIRST, SALT_BYTES, Entry, Happening

HORIZON: Final = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text"
"""Every transaction below it is over."""

_TAKE_TURN: Final = "SELECT txid::text AS txid, position FROM events.audit_cursor FOR UPDATE SKIP LOCKED"

# All rows in their order, so that the cursor gets past those that are left out; of these no more than their place.
_LOGGED: Final = """
SELECT e.txid::text AS txid, e.position, w.wanted, e.type, e.tenant_id, e.actor, e.subject, e.message_id,
       e.correlation_id, e.causation_id, e.traceparent, e.recorded_at, CASE WHEN w.wanted THEN e.data END AS data,
       n.actor_kind, n.session_id, n.request_id, n.client_address, n.user_agent
FROM bus.event_log AS e
CROSS JOIN LATERAL (
    SELECT starts_with(e.type, 'prognetwork.') AND split_part(e.type, '.', 2) <> ALL ($4::text[])
           AND e.type <> ALL ($5::text[]) AS wanted
) AS w
LEFT JOIN events.audit_notes AS n ON w.wanted AND n.message_id = e.causation_id
WHERE e.txid < $3::text::xid8 AND (e.txid, e.position) > ($1::text::xid8, $2::bigint)
ORDER BY e.txid, e.position LIMIT $6
"""

# A refusal that the domain tells of by an event of its own is not told twice.
_TOLD: Final = """
SELECT i.*, i.txid::text AS txid,
       n.actor_kind AS noted_kind, n.session_id AS noted_session, n.request_id AS noted_request,
       n.client_address AS noted_address, n.user_agent AS noted_agent,
       i.message_id IS NOT NULL AND EXISTS (
           SELECT FROM bus.event_log AS e
           WHERE e.correlation_id = i.correlation_id AND e.causation_id = i.message_id AND e.type ~ $3
       ) AS told_by_event
FROM bus.audit_intake AS i
LEFT JOIN events.audit_notes AS n ON n.message_id = i.message_id
WHERE i.txid < $1::text::xid8
ORDER BY i.txid, i.position LIMIT $2
"""

_HEADS: Final = "SELECT tenant_id, sequence, hash FROM events.audit_heads WHERE tenant_id = ANY ($1::text[]) FOR UPDATE"

_COLUMNS: Final = (
    "tenant_id", "sequence", "format", "at", "until", "action", "outcome", "code", "permission", "actor_kind", "actor",
    "session_id", "subject", "message_id", "correlation_id", "causation_id", "trace_id", "request_id", "count",
    "origin_digest", "previous",
)  # fmt: skip
_TYPES: Final = (
    "text", "bigint", "smallint", "timestamptz", "timestamptz", "text", "text", "text", "text", "text", "text",
    "text", "text", "uuid", "uuid", "uuid", "text", "text", "bigint", "bytea", "bytea",
)  # fmt: skip
_APPEND: Final = (
    f"INSERT INTO events.audit_entries ({', '.join(_COLUMNS)}, hash)"
    f" SELECT * FROM unnest({', '.join(f'${n}::{kind}[]' for n, kind in enumerate((*_TYPES, 'bytea'), 1))})"
)
_MOVE_HEADS: Final = """
INSERT INTO events.audit_heads (tenant_id, sequence, hash)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::bytea[])
ON CONFLICT (tenant_id) DO UPDATE
SET sequence = EXCLUDED.sequence, hash = EXCLUDED.hash, moved_at = clock_timestamp()
"""
_KEEP_ORIGINS: Final = """
INSERT INTO events.audit_origins (tenant_id, sequence, person, salt, client_address, user_agent)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bytea[], $5::text[], $6::text[])
"""


async def horizon(connection: Connection) -> str:
    return str(await connection.fetchval(HORIZON))


async def take_turn(connection: Connection) -> tuple[str, int] | None:
    """How far the log is read, with the right to read on until the transaction ends; None while another recorder is."""
    row = await connection.fetchrow(_TAKE_TURN)
    return None if row is None else (row["txid"], row["position"])


async def logged(connection: Connection, cursor: tuple[str, int], before: str, limit: int) -> Sequence[asyncpg.Record]:
    """The next rows of the event log below the transaction `before`; only those that are `wanted` have their body."""
    rows: Sequence[asyncpg.Record] = await connection.fetch(
        _LOGGED, *cursor, before, list(LEFT_OUT_DOMAINS), list(LEFT_OUT_TYPES), limit
    )
    return rows


async def told(connection: Connection, before: str, limit: int) -> Sequence[asyncpg.Record]:
    """The next rows of the intake below the transaction `before`."""
    rows: Sequence[asyncpg.Record] = await connection.fetch(_TOLD, before, limit, REFUSAL)
    return rows


async def append(connection: Connection, happenings: Sequence[Happening]) -> int:
    """Puts them at the ends of their tenants' chains, in their order; returns how many there are."""
    if not happenings:
        return 0
    tenants = sorted({happening.tenant_id for happening in happenings})
    heads = {row["tenant_id"]: (row["sequence"], row["hash"]) for row in await connection.fetch(_HEADS, tenants)}
    rows: list[tuple[Any, ...]] = []
    origins: list[tuple[Any, ...]] = []
    for happening in happenings:
        sequence, previous = heads.get(happening.tenant_id, (0, BEFORE_THE_FIRST))
        salt = os.urandom(SALT_BYTES)
        entry = Entry.after(sequence, previous, happening, salt)
        digest = entry.hash()
        rows.append((*(getattr(entry, name) for name in _COLUMNS), digest))
        heads[entry.tenant_id] = (entry.sequence, digest)
        if (origin := happening.origin) is not None:
            origins.append(
                (entry.tenant_id, entry.sequence, origin.person, salt, origin.client_address, origin.user_agent)
            )
    await connection.execute(_APPEND, *_columns(rows))
    if origins:
        await connection.execute(_KEEP_ORIGINS, *_columns(origins))
    moved = [(tenant, *heads[tenant]) for tenant in tenants]
    await connection.execute(_MOVE_HEADS, *_columns(moved))
    return len(rows)


async def read_up_to(connection: Connection, cursor: tuple[str, int]) -> None:
    await connection.execute("UPDATE events.audit_cursor SET txid = $1::text::xid8, position = $2", *cursor)


async def forget_told(connection: Connection, positions: Sequence[int]) -> None:
    await connection.execute("DELETE FROM bus.audit_intake WHERE position = ANY ($1::bigint[])", list(positions))


async def forget_notes(connection: Connection) -> None:
    """Takes out the notes that are older than a day."""
    await connection.execute("DELETE FROM events.audit_notes WHERE noted_at < statement_timestamp() - interval '1 day'")


async def forget_old_origins(connection: Connection, days: int, most: int) -> None:
    """Takes out up to so many of the origins that are older than `days`."""
    await connection.execute(
        "DELETE FROM events.audit_origins WHERE (tenant_id, sequence) IN ("
        " SELECT tenant_id, sequence FROM events.audit_origins"
        " WHERE noted_at < statement_timestamp() - make_interval(days => $1) ORDER BY noted_at LIMIT $2)",
        days,
        most,
    )


async def forget_origins(connection: Connection, person: str) -> dict[str, int]:
    """Deletes where a person's requests came from; how many entries of each tenant had such a row."""
    rows = await connection.fetch(
        "WITH gone AS (DELETE FROM events.audit_origins WHERE person = $1 RETURNING tenant_id)"
        " SELECT tenant_id, count(*) AS count FROM gone GROUP BY tenant_id ORDER BY tenant_id",
        person,
    )
    return {row["tenant_id"]: row["count"] for row in rows}


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
