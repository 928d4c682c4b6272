"""The console's lists: each a page of a domain's query, in the shape that the console shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from prog_contracts.ids import is_id
from prog_contracts.messages import Event
from prog_edge.api.stories import readable
from prog_edge.web.ports import (
    AdminInvoiceRow,
    AuditRow,
    DeadLetterRow,
    EventRow,
    ListQuery,
    MessageRow,
    Page,
    SubscriptionRow,
    TenantRow,
    UserRow,
)
from prog_kit.database import Connection
from prog_workers.events import queries as log
from prog_workers.payments import queries as payments
from prog_workers.tenants import queries as tenant_queries
from prog_workers.users import queries as user_queries

_PREFIX: Final = "prognetwork."
_SHOWN_STATUS: Final[Mapping[str, Any]] = {"failed": "refused", "dropped": "dead"}
_STORED_STATUS: Final[Mapping[str, Any]] = {"refused": "failed"}
_YES_NO: Final = {"yes": True, "no": False}

# How many tenants each person of a page belongs to.
_TENANTS_BY_USER: Final = """
SELECT user_id, count(*) AS tenants FROM tenants.members WHERE user_id = ANY ($1::text[]) GROUP BY user_id
"""


async def users(connection: Connection, query: ListQuery) -> Page[UserRow]:
    role: Any = query.filters.get("role") or None
    page = await user_queries.list_users(
        connection,
        search=query.search,
        role=role,
        verified=_YES_NO.get(query.filters.get("verified", "")),
        limit=query.limit,
        cursor=query.cursor,
    )
    counted = await connection.fetch(_TENANTS_BY_USER, [row.user_id for row in page.rows])
    tenants_of = {row["user_id"]: row["tenants"] for row in counted}
    rows = [
        UserRow(
            id=row.user_id,
            name=row.name,
            email=row.email,
            email_verified=row.email_verified,
            platform_role=row.platform_role,
            tenants=tenants_of.get(row.user_id, 0),
            created_at=row.created_at,
        )
        for row in page.rows
    ]
    return Page(rows, page.next_cursor)


async def tenants(connection: Connection, query: ListQuery) -> Page[TenantRow]:
    status: Any = query.filters.get("status") or None
    page = await tenant_queries.list_tenants(
        connection, search=query.search, status=status, limit=query.limit, cursor=query.cursor
    )
    rows = [
        TenantRow(
            id=row.tenant_id,
            name=row.name,
            slug=row.slug,
            status=row.status,
            plan=row.plan,
            members=row.member_count,
            created_at=row.created_at,
            clock_at=row.clock_at,
        )
        for row in page.rows
    ]
    return Page(rows, page.next_cursor)


async def subscriptions(connection: Connection, query: ListQuery) -> Page[SubscriptionRow]:
    page = await payments.subscriptions(
        connection,
        status=query.filters.get("status") or None,
        tenant_id=query.filters.get("tenant") or None,
        search=query.search or None,
        limit=query.limit,
        cursor=query.cursor,
    )
    rows = [
        SubscriptionRow(
            id=row.id,
            tenant_id=row.tenant_id,
            tenant_name=row.company,
            plan=row.plan,
            status=row.status,
            price=row.unit_price,
            interval=row.interval,
            current_period_end=row.current_period_end,
            created_at=row.created_at,
        )
        for row in page.rows
    ]
    return Page(rows, page.next_cursor)


async def invoices(connection: Connection, query: ListQuery) -> Page[AdminInvoiceRow]:
    page = await payments.invoices(
        connection,
        status=query.filters.get("status") or None,
        tenant_id=query.filters.get("tenant") or None,
        search=query.search or None,
        limit=query.limit,
        cursor=query.cursor,
    )
    rows = [
        AdminInvoiceRow(
            id=row.id,
            number=row.number,
            tenant_id=row.tenant_id,
            tenant_name=row.company,
            status=row.status,
            total=row.total,
            amount_due=row.amount_due,
            issued_at=row.issued_at,
        )
        for row in page.rows
    ]
    return Page(rows, page.next_cursor)


async def messages(connection: Connection, query: ListQuery) -> Page[MessageRow]:
    wanted = query.filters.get("status") or ""
    status: Any = _STORED_STATUS.get(wanted, wanted) or None
    page = await log.messages(
        connection,
        status=status,
        domain=query.filters.get("domain") or None,
        tenant_id=query.filters.get("tenant") or None,
        search=query.search,
        limit=query.limit,
        cursor=query.cursor,
    )
    names = await tenant_queries.names_of(connection, [row.tenant_id for row in page.rows])
    rows = [
        MessageRow(
            id=str(row.message_id),
            type=row.type,
            tenant_id=row.tenant_id,
            tenant_name=names.get(row.tenant_id),
            actor=row.actor or _nobody(row.type),
            status=_SHOWN_STATUS.get(row.status, row.status),
            attempts=row.attempts,
            milliseconds=None if row.microseconds is None else row.microseconds / 1000,
            received_at=row.handled_at,
            error=None if row.error is None else str(row.error.get("message", "")),
        )
        for row in page.rows
    ]
    return Page(rows, page.next_cursor)


async def events(connection: Connection, query: ListQuery) -> Page[EventRow]:
    page = await _found(connection, query) if query.search else await _logged(connection, query)
    names = await tenant_queries.names_of(connection, [row.tenant_id for row in page.rows])
    return Page([event_row(row, names) for row in page.rows], page.next_cursor)


async def _logged(connection: Connection, query: ListQuery, **more: Any) -> log.Page[log.EventRow]:
    asked = {"types": full_types(query.filters.get("type", "")), "domain": query.filters.get("domain") or None}
    tenant_id = query.filters.get("tenant") or None
    return await log.events(
        connection, **{**asked, **more}, tenant_id=tenant_id, limit=query.limit, cursor=query.cursor
    )


async def _found(connection: Connection, query: ListQuery) -> log.Page[log.EventRow]:
    """What a search finds: one event by its id, those about an object, or those with the text in their type's name."""
    wanted = query.search
    if (message_id := log.as_message_id(wanted)) is not None:
        row = await log.event(connection, message_id)
        return log.Page(() if row is None else (row,))
    if is_id(wanted):
        return await _logged(connection, query, subject=wanted)
    types = log.types_with(wanted, Event)
    if (domain := query.filters.get("domain")) is not None:
        types = [name for name in types if name.split(".")[1] == domain]
    # What tenants publish has names that only the log knows: it is found by where they begin.
    return await _logged(connection, query, types=[*types, wanted, f"{wanted.rstrip('.')}{log.WILDCARD}"])


async def audit(connection: Connection, query: ListQuery) -> Page[AuditRow]:
    outcome: Any = query.filters.get("outcome") or None
    wanted = query.search
    # An id, or a key's `user_…/apikey_…`; anything else is the beginning of an action.
    is_identity = is_id(wanted.partition("/")[0])
    page = await log.audit_entries(
        connection,
        tenant_id=query.filters.get("tenant") or None,
        outcome=outcome,
        concerning=wanted if wanted and is_identity else None,
        action=f"{wanted}*" if wanted and not is_identity else None,
        limit=query.limit,
        cursor=query.cursor,
    )
    names = await tenant_queries.names_of(connection, [row.tenant_id for row in page.rows])
    rows = [
        AuditRow(
            tenant_id=row.tenant_id,
            sequence=row.sequence,
            tenant_name=names.get(row.tenant_id),
            at=row.at,
            action=row.action,
            outcome=row.outcome,
            why=row.code,
            permission=row.permission,
            actor=row.actor or "a visitor",
            subject=row.subject,
            address=row.client_address,
            count=row.count,
            story_id=None if row.message_id is None else str(row.message_id),
        )
        for row in page.rows
    ]
    return Page(rows, page.next_cursor)


async def dead_letters(connection: Connection, query: ListQuery) -> Page[DeadLetterRow]:
    page = await log.dead_letters(
        connection,
        group=query.filters.get("domain") or None,
        fingerprint=query.filters.get("cause") or None,
        search=query.search,
        limit=query.limit,
        cursor=query.cursor,
    )
    rows = [
        DeadLetterRow(
            id=str(row.id),
            message_id=str(row.message_id or ""),
            topic=row.topic,
            group=row.consumer_group,
            type=row.type or "unreadable",
            tenant_id=row.tenant_id,
            reason=row.reason,
            detail=row.traceback or row.code,
            body=row.body if isinstance(row.body, str) else readable(row.body),
            attempts=row.attempts,
            died_at=row.recorded_at,
            history=[_entry(entry) for entry in row.history],
        )
        for row in page.rows
    ]
    return Page(rows, page.next_cursor)


def _entry(entry: Mapping[str, Any]) -> str:
    """A line of a dead letter's history: what happened, who did it, why."""
    told = str(entry.get("what", "buried"))
    if "attempt" in entry:
        told += f" (attempt {entry['attempt']})"
    if entry.get("by"):
        told += f" by {entry['by']}"
    reason = f": {entry['code']}: {entry.get('reason', '')}" if entry.get("code") else ""
    at = f"{str(entry['at'])[:19].replace('T', ' ')}  " if entry.get("at") else ""
    return f"{at}{told}{reason}"


def _nobody(type_name: str) -> str:
    """Who acted where nobody was signed in: the platform about itself, else a visitor."""
    return "the platform" if type_name.startswith("prognetwork.monitoring.") else "a visitor"


def event_row(row: log.EventRow, names: Mapping[str, str]) -> EventRow:
    return EventRow(
        position=row.position,
        id=str(row.message_id),
        type=row.type,
        tenant_id=row.tenant_id,
        tenant_name=names.get(row.tenant_id),
        subject=row.subject,
        actor=row.actor or _nobody(row.type),
        recorded_at=row.recorded_at,
    )


def full_types(text: str) -> Sequence[str]:
    """The full name of a type that may be given short, as `users.user_created`."""
    if not text:
        return ()
    return (text if text.startswith(_PREFIX) else f"{_PREFIX}{text}",)
