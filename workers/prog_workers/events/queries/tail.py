"""The log as it grows, for live views: what the relay has published, in commit order and without gaps.

A place in the log is the pair (txid, position), because a later position may commit earlier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from prog_kit.database import Connection
from prog_kit.pages import Where, bounded
from prog_workers.events.queries.log import COLUMNS, EventRow

# Lanes publish independently; what is below the slowest one is published for sure.
_PUBLISHED: Final = "SELECT txid::text::int8 AS txid, position FROM bus.relay_cursors ORDER BY txid, position LIMIT 1"


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """A place in the log, in commit order."""

    txid: int
    position: int


@dataclass(frozen=True, slots=True)
class Tail:
    """Events after a place, and the place to go on from: it moves on even when no event matched."""

    rows: Sequence[EventRow]
    cursor: Cursor


async def tail_end(connection: Connection) -> Cursor:
    """The place of the last published message: where a live view begins that wants no history."""
    row = await connection.fetchrow(_PUBLISHED)
    return Cursor(0, 0) if row is None else Cursor(row["txid"], row["position"])


async def cursor_of(connection: Connection, position: int) -> Cursor | None:
    """The place of the message at `position`; None when the viewer knows no such message."""
    txid = await connection.fetchval("SELECT txid::text::int8 FROM bus.event_log WHERE position = $1", position)
    return None if txid is None else Cursor(txid, position)


async def tail_since(
    connection: Connection,
    txid: int,
    position: int,
    limit: int = 200,
    *,
    types: Sequence[str] = (),
    beginnings: Sequence[str] = (),
    subject: str | None = None,
    tenant_id: str | None = None,
) -> Tail:
    """Up to `limit` published events after the place (txid, position), oldest first.

    Of these `types` and of those that begin with one of `beginnings`; of all with neither.
    """
    end = await tail_end(connection)
    start = Cursor(txid, position)
    if end <= start:
        return Tail((), start)
    where = Where()
    where.add("(txid, position) > ({}::text::xid8, {})", str(txid), position)
    where.add("(txid, position) <= ({}::text::xid8, {})", str(end.txid), end.position)
    where.add("kind = 'event'")
    if types or beginnings:
        where.add(
            "(type = ANY ({}::text[])"
            " OR EXISTS (SELECT FROM unnest({}::text[]) AS beginning WHERE starts_with(type, beginning)))",
            list(types),
            list(beginnings),
        )
    if subject is not None:
        where.add("subject = {}", subject)
    if tenant_id is not None:
        where.add("tenant_id = {}", tenant_id)
    size = where.value(bounded(limit))
    found = await connection.fetch(
        f"SELECT {COLUMNS} FROM bus.event_log AS e WHERE {where} ORDER BY e.txid, e.position LIMIT {size}",
        *where.values,
    )
    rows = [EventRow.of(row) for row in found]
    full = len(rows) == bounded(limit)
    return Tail(rows, Cursor(rows[-1].txid, rows[-1].position) if full else end)
