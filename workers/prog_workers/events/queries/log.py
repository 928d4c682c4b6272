"""Lists of the event log, newest first, and one event by id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from prog_contracts.catalogue import __all__ as _domains  # noqa: F401 - fills the registry
from prog_contracts.events import PLATFORM_SOURCE
from prog_contracts.messages import Event, all_messages
from prog_contracts.monitoring import MetricsUpdated
from prog_contracts.permissions import BILLING_PREFIX, BILLING_TEMPLATES, BILLING_TYPES, concerns_billing
from prog_kit.database import Connection
from prog_kit.pages import Page, Where, bounded, decode_cursor, page_of

COLUMNS: Final = (
    "position, txid::text::int8 AS txid, message_id, type, schema_version, tenant_id, subject, actor, correlation_id,"
    " causation_id, traceparent, occurred_at, recorded_at, data, stream, stream_version, source, source_id, extensions"
)

WILDCARD: Final = ".*"
"""Ends the beginning of type names: `com.acme.order.*` stands for all that begin with `com.acme.order.`."""

MAX_EXACT_TYPES: Final = 50
"""Of more types than these a list is filtered, rather than put together of one list for each."""


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event of the log. `occurred_at` is on the tenant's clock, `recorded_at` on the machine's.

    `source`, `source_id` and `extensions` are what a tenant that published it said; None for the platform's own.
    """

    position: int
    txid: int
    message_id: UUID
    type: str
    schema_version: int
    tenant_id: str
    subject: str | None
    actor: str | None
    correlation_id: UUID
    causation_id: UUID | None
    traceparent: str | None
    occurred_at: datetime
    recorded_at: datetime
    body: Any
    stream: str | None = None
    stream_version: int | None = None
    source: str | None = None
    source_id: str | None = None
    extensions: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, row: asyncpg.Record) -> EventRow:
        fields = dict(row)
        body = orjson.loads(fields.pop("data"))
        if fields["extensions"] is not None:
            fields["extensions"] = orjson.loads(fields["extensions"])
        return cls(**fields, body=body)


async def event(connection: Connection, message_id: UUID, *, billing: bool = True) -> EventRow | None:
    """One event by its message id; None when it is not there, or not the viewer's.

    Without `billing` an event that tells how a tenant pays is not the viewer's.
    """
    row = await connection.fetchrow(
        f"SELECT {COLUMNS} FROM bus.event_log WHERE message_id = $1 AND kind = 'event'", message_id
    )
    found = None if row is None else EventRow.of(row)
    return None if found is None or (not billing and concerns_billing(found.type, found.body)) else found


async def event_from(
    connection: Connection, source_id: str, source: str | None, *, billing: bool = True
) -> EventRow | None:
    """The event that a tenant published under this id of its own; of several sources the newest, if none is named."""
    message_id = await connection.fetchval(
        "SELECT message_id FROM bus.published_events WHERE tenant_id = bus.current_tenant() AND source_id = $1"
        " AND source = coalesce($2, source) ORDER BY recorded_at DESC LIMIT 1",
        source_id,
        source,
    )
    return None if message_id is None else await event(connection, message_id, billing=billing)


async def events(
    connection: Connection,
    *,
    types: Sequence[str] = (),
    domain: str | None = None,
    subject: str | None = None,
    stream: str | None = None,
    source: str | None = None,
    tenant_id: str | None = None,
    correlation_id: UUID | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    after: int | None = None,
    oldest_first: bool = False,
    limit: int = 50,
    cursor: str | None = None,
    billing: bool = True,
) -> Page[EventRow]:
    """Events in the order of their positions, newest first. Without `billing` none that tells how a tenant pays.

    `types` are full type names, or beginnings that end in `.*`; `domain` stands for all of its types. Without either,
    the figures that monitoring publishes every ten seconds are left out. `since` and `until` bound the time of
    recording, `after` the position. Raises Invalid for a cursor of another list.
    """
    where = Where()
    where.add("kind = 'event'")
    if not billing:
        _leave_out_billing(where)
    conditions: dict[str, Any] = {
        "subject = {}": subject,
        "tenant_id = {}": tenant_id,
        "correlation_id = {}": correlation_id,
        "stream = {}": stream,
        "recorded_at >= {}": since,
        "recorded_at < {}": until,
        "position > {}": after,
    }
    for condition, value in conditions.items():
        if value is not None:
            where.add(condition, value)
    if cursor is not None:
        where.add(f"position {'>' if oldest_first else '<'} {{}}", decode_cursor(cursor, int)[0])
    platform, _, name = (source or "").rpartition("/")
    if platform == PLATFORM_SOURCE:
        where.add("source IS NULL")  # the platform's sources are the domains
    elif source is not None:
        where.add("source = {}", source)
    wanted: tuple[str, ...] = ()
    if types or domain or platform == PLATFORM_SOURCE:
        wanted = tuple(await _exact(connection, types)) if types else event_types(domain or name)
        if platform == PLATFORM_SOURCE:
            told = set(event_types(name)) - (set() if types else {MetricsUpdated.TYPE})
            wanted = tuple(each for each in wanted if each in told)
        if not wanted:
            return Page(())
    size = bounded(limit)
    narrow = subject is not None or correlation_id is not None or stream is not None or len(wanted) > MAX_EXACT_TYPES
    query = _listing(where, wanted, size, narrow=narrow, order="ASC" if oldest_first else "DESC")
    rows = [EventRow.of(row) for row in await connection.fetch(query, *where.values)]
    return page_of(rows, size, lambda row: (row.position,))


async def _exact(connection: Connection, types: Sequence[str]) -> list[str]:
    """Full type names for names and beginnings: of the platform's types, and of those that tenants have published."""
    found = {name for name in types if not name.endswith(WILDCARD)}
    beginnings = [name.removesuffix("*") for name in types if name.endswith(WILDCARD)]
    if beginnings:
        ours = {m.TYPE for m in all_messages() if issubclass(m, Event)}
        found |= {name for name in ours if name.startswith(tuple(beginnings))}
        rows = await connection.fetch(
            "SELECT DISTINCT type FROM bus.event_types WHERE EXISTS"
            " (SELECT FROM unnest($1::text[]) AS beginning WHERE starts_with(type, beginning)) LIMIT 1000",
            beginnings,
        )
        found |= {row["type"] for row in rows}
    return sorted(found)


def _leave_out_billing(where: Where) -> None:
    """In step with `concerns_billing`. Only bodies of the email domain are parsed."""
    where.add("NOT starts_with(type, {})", BILLING_PREFIX)
    where.add("type <> ALL ({}::text[])", sorted(BILLING_TYPES))
    where.add(
        "CASE WHEN starts_with(type, 'prognetwork.email.')"
        " THEN coalesce(convert_from(data, 'UTF8')::jsonb ->> 'template', '') <> ALL ({}::text[]) ELSE true END",
        sorted(BILLING_TEMPLATES),
    )


@cache
def event_types(domain: str) -> tuple[str, ...]:
    """The names of all event types of a domain."""
    return tuple(sorted({m.TYPE for m in all_messages() if issubclass(m, Event) and m.domain() == domain}))


def _listing(where: Where, types: Sequence[str], size: int, *, narrow: bool, order: str) -> str:
    """The list's SQL.

    Types are looked up one by one in the index (type, position), so that a rare type does not cost a scan of the log;
    a narrow list (one subject, one story) reads its own index and filters.
    """
    limit = where.value(size + 1)
    if not types:
        where.add("type <> {}", MetricsUpdated.TYPE)
    elif narrow:
        where.add("type = ANY ({}::text[])", list(types))
    else:
        wanted = where.value(list(types))
        return (
            f"SELECT found.* FROM unnest({wanted}::text[]) AS wanted (type) CROSS JOIN LATERAL ("
            f"SELECT {COLUMNS} FROM bus.event_log AS e WHERE e.type = wanted.type AND {where}"
            f" ORDER BY position {order} LIMIT {limit}) AS found ORDER BY position {order} LIMIT {limit}"
        )
    return f"SELECT {COLUMNS} FROM bus.event_log WHERE {where} ORDER BY position {order} LIMIT {limit}"
