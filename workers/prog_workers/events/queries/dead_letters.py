"""What was given up: one by one, and grouped by cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import asyncpg
import orjson

from prog_kit.database import Connection
from prog_kit.pages import Page, Where, bounded, decode_cursor, page_of
from prog_workers.events.queries.searching import as_message_id

State = Literal["open", "redriven", "dropped"]

_COLUMNS: Final = (
    "id, consumer_group, tenant_id, message_id, type, topic, partition, partition_key, correlation_id, attempts, code,"
    " reason, fingerprint, traceback, attributes, data, history, state, recorded_at, decided_at, decided_by"
)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was given up. `attributes` and `body` are text where they are not JSON."""

    id: UUID
    consumer_group: str
    tenant_id: str
    message_id: UUID | None
    type: str | None
    topic: str
    partition: int
    partition_key: str | None
    correlation_id: UUID | None
    attempts: int
    code: str
    reason: str
    fingerprint: str
    traceback: str | None
    attributes: Mapping[str, Any] | str
    body: Mapping[str, Any] | str
    history: Sequence[Mapping[str, Any]]
    state: State
    recorded_at: datetime
    decided_at: datetime | None
    decided_by: str | None

    @classmethod
    def of(cls, row: asyncpg.Record) -> DeadLetter:
        fields = dict(row)
        attributes, body, history = fields.pop("attributes"), fields.pop("data"), fields.pop("history")
        return cls(**fields, attributes=_readable(attributes), body=_readable(body), history=orjson.loads(history))


@dataclass(frozen=True, slots=True)
class DeadLetterGroup:
    """Open letters with one cause. `latest_id` is one to look at; the reason is that one's."""

    fingerprint: str
    consumer_group: str
    topic: str
    type: str | None
    code: str
    reason: str
    count: int
    tenants: int
    first_at: datetime
    last_at: datetime
    latest_id: UUID


async def dead_letter(connection: Connection, letter_id: UUID) -> DeadLetter | None:
    """One letter; None when it is not there, or not the viewer's."""
    row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM bus.dead_letters WHERE id = $1", letter_id)
    return None if row is None else DeadLetter.of(row)


async def dead_letters(
    connection: Connection,
    *,
    state: State | None = "open",
    group: str | None = None,
    fingerprint: str | None = None,
    tenant_id: str | None = None,
    type_name: str | None = None,
    search: str = "",
    limit: int = 50,
    cursor: str | None = None,
) -> Page[DeadLetter]:
    """Letters, the last one first. `group` is a consumer group; `search` is a part of a type's name or of a reason, or
    the id of a letter or of its message. Raises Invalid for a cursor of another list."""
    where = Where()
    if state is not None:
        where.add("state = {}", state)
    if type_name is not None:
        where.add("type = {}", type_name)
    if group is not None:
        where.add("consumer_group = {}", group)
    if fingerprint is not None:
        where.add("fingerprint = {}", fingerprint)
    if tenant_id is not None:
        where.add("tenant_id = {}", tenant_id)
    if (message_id := as_message_id(search)) is not None:
        where.add("(id = {} OR message_id = {})", message_id, message_id)
    elif search:
        where.add("(strpos(lower(type), lower({})) > 0 OR strpos(lower(reason), lower({})) > 0)", search, search)
    if cursor is not None:
        where.add("(recorded_at, id) < ({}, {})", *decode_cursor(cursor, datetime, UUID))
    size = bounded(limit)
    query = (
        f"SELECT {_COLUMNS} FROM bus.dead_letters WHERE {where}"
        f" ORDER BY recorded_at DESC, id DESC LIMIT {where.value(size + 1)}"
    )
    rows = [DeadLetter.of(row) for row in await connection.fetch(query, *where.values)]
    return page_of(rows, size, lambda row: (row.recorded_at, row.id))


async def dead_letter_groups(connection: Connection, *, group: str | None = None) -> list[DeadLetterGroup]:
    """Open letters by cause, the largest group first, at most 200 groups."""
    rows = await connection.fetch(
        """
        SELECT fingerprint, consumer_group, topic, type, code,
               (array_agg(reason ORDER BY recorded_at DESC))[1] AS reason, count(*) AS count,
               count(DISTINCT tenant_id) AS tenants, min(recorded_at) AS first_at,
               max(coalesce(failed_at, recorded_at)) AS last_at,
               (array_agg(id ORDER BY recorded_at DESC))[1] AS latest_id
        FROM bus.dead_letters
        WHERE state = 'open' AND consumer_group = coalesce($1, consumer_group)
        GROUP BY fingerprint, consumer_group, topic, type, code
        ORDER BY count DESC, last_at DESC LIMIT 200
        """,
        group,
    )
    return [DeadLetterGroup(**dict(row)) for row in rows]


def _readable(content: bytes) -> Mapping[str, Any] | str:
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        return content.decode("utf-8", "replace")
    return value if isinstance(value, dict) else content.decode()
