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
from prog_contracts.messages import Event, all_messages
from prog_contracts.monitoring import MetricsUpdated
from prog_contracts.permissions import BILLING_PREFIX, BILLING_TEMPLATES, BILLING_TYPES, concerns_billing
from prog_kit.database import Connection
from prog_workers.events.queries.pages import Page, Where, bounded, decode_cursor, encode_cursor

COLUMNS: Final = (
    "position, txid::text::int8 AS txid, message_id, type, schema_version, tenant_id, subject, actor, correlation_id,"
    " causation_id, traceparent, occurred_at, recorded_at, data"
)


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event of the log. `occurred_at` is on the tenant's clock, `recorded_at` on the machine's."""

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
    body: Mapping[str, Any]

    @classmethod
    def of(cls, row: asyncpg.Record) -> EventRow:
        fields = dict(row)
        body = orjson.loads(fields.pop("data"))
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


async def events(
    connection: Connection,
    *,
    types: Sequence[str] = (),
    domain: str | None = None,
    subject: str | None = None,
    tenant_id: str | None = None,
    correlation_id: UUID | None = None,
    limit: int = 50,
    cursor: str | None = None,
    billing: bool = True,
) -> Page[EventRow]:
    """Events, newest first. Without `billing` those are left out that tell how a tenant pays.

    `types` are full type names; `domain` stands for all of its types. Without either, the figures that monitoring
    publishes every ten seconds are left out. Raises Invalid for a cursor of another list.
    """
    where = Where()
    where.add("kind = 'event'")
    if not billing:
        _leave_out_billing(where)
    if subject is not None:
        where.add("subject = {}", subject)
    if tenant_id is not None:
        where.add("tenant_id = {}", tenant_id)
    if correlation_id is not None:
        where.add("correlation_id = {}", correlation_id)
    if cursor is not None:
        where.add("position < {}", decode_cursor(cursor, int)[0])
    wanted = tuple(types) or (event_types(domain) if domain else ())
    size = bounded(limit)
    query = _listing(where, wanted, size, narrow=subject is not None or correlation_id is not None)
    rows = [EventRow.of(row) for row in await connection.fetch(query, *where.values)]
    more = len(rows) > size
    return Page(rows[:size], encode_cursor(rows[size - 1].position) if more else None)


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


def _listing(where: Where, types: Sequence[str], size: int, *, narrow: bool) -> str:
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
            f" ORDER BY position DESC LIMIT {limit}) AS found ORDER BY position DESC LIMIT {limit}"
        )
    return f"SELECT {COLUMNS} FROM bus.event_log WHERE {where} ORDER BY position DESC LIMIT {limit}"
