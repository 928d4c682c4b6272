"""Commands that were handled, and how one operation stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import asyncpg
import orjson

from prog_contracts.ids import is_id
from prog_contracts.messages import Command
from prog_kit.database import Connection
from prog_kit.pages import Page, Where, bounded, decode_cursor, page_of
from prog_workers.events.queries.searching import as_message_id, types_with

MessageStatus = Literal["succeeded", "failed", "pending", "retrying", "dead", "dropped"]
OperationStatus = Literal["pending", "succeeded", "failed"]

# In step with the index inbox_commands.
_COMMANDS: Final = "split_part(i.type, '.', 2) = i.consumer_group AND i.consumer_group <> 'monitoring'"


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A command that a domain has handled, refused, put off or given up.

    `sent_at` is on the tenant's clock, `handled_at` on the machine's; `error` is the answer of one that failed.
    """

    message_id: UUID
    consumer_group: str
    type: str
    tenant_id: str
    subject: str | None
    actor: str | None
    correlation_id: UUID
    causation_id: UUID | None
    status: MessageStatus
    attempts: int
    microseconds: int | None
    sent_at: datetime
    handled_at: datetime
    error: Mapping[str, Any] | None

    @classmethod
    def of(cls, row: asyncpg.Record) -> MessageRow:
        fields = dict(row)
        error = fields.pop("error")
        return cls(**fields, error=None if error is None else orjson.loads(error))


async def messages(
    connection: Connection,
    *,
    status: MessageStatus | None = None,
    domain: str | None = None,
    tenant_id: str | None = None,
    search: str = "",
    limit: int = 50,
    cursor: str | None = None,
) -> Page[MessageRow]:
    """Handled commands, the last one first. Raises Invalid for a cursor of another list.

    `search` is a whole id, of a message, or of whom or what it is of or about, or a part of a type's name.

    Commands that wait for another try have no place in this order: status `retrying` lists them alone, the next due
    first, without further pages.
    """
    if status == "retrying":
        return await _retrying(connection, domain=domain, tenant_id=tenant_id, search=search, limit=limit)
    where = Where()
    if domain == "monitoring":
        where.add("i.consumer_group = 'monitoring' AND split_part(i.type, '.', 2) = 'monitoring'")
    else:
        where.add(_COMMANDS)
        if domain is not None:
            where.add("i.consumer_group = {}", domain)
    if status is not None:
        where.add("i.status = {}", status)
        if status != "succeeded":
            where.add("i.status <> 'succeeded'")  # in step with the index inbox_unsettled
    if tenant_id is not None:
        where.add("i.tenant_id = {} AND i.type IS NOT NULL", tenant_id)
    _search(where, search, "i.message_id", "i.actor", "i.subject", "i.type")
    if cursor is not None:
        where.add("(i.handled_at, i.message_id) < ({}, {})", *decode_cursor(cursor, datetime, UUID))
    size = bounded(limit)
    query = f"""
        SELECT found.*, coalesce(r.attempts, 1) AS attempts
        FROM (
            SELECT i.message_id, i.consumer_group, i.type, i.tenant_id, i.subject, i.actor, i.correlation_id,
                   i.causation_id, i.status, i.handler_microseconds AS microseconds, i.sent_at, i.handled_at, i.error
            FROM bus.inbox AS i
            WHERE {where} ORDER BY i.handled_at DESC, i.message_id DESC LIMIT {where.value(size + 1)}
        ) AS found
        LEFT JOIN bus.retries AS r USING (consumer_group, message_id)
        ORDER BY found.handled_at DESC, found.message_id DESC
    """
    rows = [MessageRow.of(row) for row in await connection.fetch(query, *where.values)]
    return page_of(rows, size, lambda row: (row.handled_at, row.message_id))


def _search(where: Where, search: str, message_id: str, actor: str, subject: str, type_name: str) -> None:
    """Adds what is searched for; the other arguments are the list's columns."""
    if not search:
        return
    if as_message_id(search) is not None:
        where.add(f"{message_id} = {{}}", as_message_id(search))
    elif is_id(search.partition("/")[0]):
        where.add(f"({actor} = {{}} OR {subject} = {{}})", search, search)
    else:
        where.add(f"{type_name} = ANY ({{}}::text[])", types_with(search, Command))


async def _retrying(
    connection: Connection, *, domain: str | None, tenant_id: str | None, search: str, limit: int
) -> Page[MessageRow]:
    where = Where()
    where.add("r.state <> 'dead'")  # as the index retries_next says it
    if domain is not None:
        where.add("r.consumer_group = {}", domain)
    if tenant_id is not None:
        where.add("r.tenant_id = {}", tenant_id)
    _search(where, search, "r.message_id", "ce ->> 'actor'", "ce ->> 'subject'", "ce ->> 'type'")
    query = f"""
        SELECT r.message_id, r.consumer_group, r.tenant_id, ce ->> 'type' AS type, ce ->> 'subject' AS subject,
               ce ->> 'actor' AS actor, (ce ->> 'correlationid')::uuid AS correlation_id,
               (ce ->> 'causationid')::uuid AS causation_id, 'retrying' AS status,
               greatest(r.attempts, 1) AS attempts, NULL::bigint AS microseconds,
               (ce ->> 'time')::timestamptz AS sent_at, r.recorded_at AS handled_at, r.error
        FROM bus.retries AS r CROSS JOIN LATERAL (SELECT r.attributes::jsonb AS ce) AS attributes
        WHERE {where} ORDER BY r.due_at, r.position LIMIT {where.value(bounded(limit))}
    """
    return Page([MessageRow.of(row) for row in await connection.fetch(query, *where.values)])


@dataclass(frozen=True, slots=True)
class Operation:
    """How a command stands. `sealed_result` is an answer that only `prog_kit.secrets.Sealer` opens."""

    message_id: UUID
    status: OperationStatus
    type: str | None = None
    tenant_id: str | None = None
    handled_at: datetime | None = None
    result: Mapping[str, Any] | None = None
    sealed_result: str | None = None
    error: Mapping[str, Any] | None = None
    actor: str | None = None
    causation_id: UUID | None = None


_MAY_READ_PROMISES: Final = "SELECT has_table_privilege('bus.command_outbox', 'SELECT')"
_PROMISED: Final = "SELECT tenant_id, attributes::jsonb AS ce FROM bus.command_outbox WHERE message_id = $1 UNION ALL "


async def operation(connection: Connection, message_id: UUID) -> Operation | None:
    """The state of the command with this message id, in the caller's tenant; None when nobody knows of it.

    It is pending from the moment it is stored in the outbox or waits for another try, until its group has settled it.
    """
    row = await connection.fetchrow(
        "SELECT type, tenant_id, status, handled_at, result, sealed_result, error, actor, causation_id FROM bus.inbox"
        " WHERE message_id = $1 AND type IS NOT NULL"
        " ORDER BY split_part(type, '.', 2) = consumer_group DESC LIMIT 1",
        message_id,
    )
    if row is None:
        # The role that reads across tenants may not read the edge's promises, which hold what people typed.
        promised = _PROMISED if await connection.fetchval(_MAY_READ_PROMISES) else ""
        known = await connection.fetchrow(
            "SELECT tenant_id, ce ->> 'type' AS type, ce ->> 'actor' AS actor,"
            " (ce ->> 'causationid')::uuid AS causation_id FROM ("
            f"{promised}SELECT tenant_id, attributes::jsonb AS ce FROM bus.retries WHERE message_id = $1) AS parked"
            " UNION ALL SELECT tenant_id, type, actor, causation_id FROM bus.event_log"
            " WHERE message_id = $1 AND kind = 'command' LIMIT 1",
            message_id,
        )
        return None if known is None else Operation(message_id, "pending", **dict(known))
    return Operation(
        message_id,
        status=_operation_status(row["status"]),
        type=row["type"],
        tenant_id=row["tenant_id"],
        handled_at=None if row["status"] == "pending" else row["handled_at"],
        result=None if row["result"] is None else orjson.loads(row["result"]),
        sealed_result=row["sealed_result"],
        error=None if row["error"] is None else orjson.loads(row["error"]),
        actor=row["actor"],
        causation_id=row["causation_id"],
    )


def _operation_status(inbox_status: str) -> OperationStatus:
    if inbox_status in ("dead", "dropped"):
        return "failed"
    status: OperationStatus = "pending" if inbox_status == "pending" else "failed"
    return "succeeded" if inbox_status == "succeeded" else status
