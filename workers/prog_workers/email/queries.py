"""The read side of the email domain, which the edge may call with a connection of its own role.

What a caller sees follows from the connection: in `Database.scope(tenant_id=…)` the mails and leads of one tenant, in
`Database.operator()` those of all. The mailbox exists on a development machine only; it is the edge's duty to offer it
in no other environment, for its mails hold live links.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Generic, TypeVar
from uuid import UUID

from prog_contracts.errors import Invalid
from prog_contracts.permissions import BILLING_TEMPLATES
from prog_kit.database import Connection
from prog_kit.pages import Where
from prog_workers.email.rules import MailStatus, mail_id_of, one_line

MAX_LIMIT: Final = 500
PREVIEW_LENGTH: Final = 140

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Rows, newest first, and the cursor of the ones after them; None at the end."""

    rows: Sequence[Row]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class LetterRow:
    """A mail in the list of the mailbox. `mail_id` is set when the platform sent it."""

    letter_id: str
    mail_id: str | None
    message_id: str | None
    sender: str
    recipients: Sequence[str]
    subject_line: str
    preview: str
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail of the mailbox as it arrived. `html_body` is somebody else's markup: show it in a sandbox only."""

    letter_id: str
    mail_id: str | None
    message_id: str | None
    sender: str
    recipients: Sequence[str]
    subject_line: str
    text_body: str | None
    html_body: str | None
    raw: bytes
    received_at: datetime


@dataclass(frozen=True, slots=True)
class MailRow:
    """A mail that the platform sends. Times of the tenant's clock, but `recorded_at`."""

    mail_id: str
    tenant_id: str
    template: str
    recipient: str
    recipient_name: str | None
    subject_line: str
    status: MailStatus
    attempt: int
    provider: str | None
    provider_id: str | None
    reason: str | None
    message_id: UUID
    correlation_id: UUID
    queued_at: datetime
    settled_at: datetime | None
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class MailStep:
    """One status that a mail had."""

    status: MailStatus
    attempt: int
    detail: str | None
    occurred_at: datetime
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class LeadRow:
    lead_id: str
    tenant_id: str
    address: str
    name: str | None
    message: str | None
    source: str
    captured_at: datetime


_LETTER_COLUMNS: Final = "letter_id, message_id, sender, recipients, subject_line, received_at"
_MAIL_COLUMNS: Final = ", ".join(MailRow.__dataclass_fields__)


async def mailbox(
    connection: Connection, *, to: str | None = None, search: str = "", cursor: str | None = None, limit: int = 50
) -> Page[LetterRow]:
    """The mailbox. `to` is one recipient's whole address; `search` matches a part of a recipient or the subject."""
    after, limit = _decode(cursor), _bounded(limit)
    rows = await connection.fetch(
        f"""
        SELECT {_LETTER_COLUMNS}, left(text_body, 1000) AS beginning FROM email.mailbox
        WHERE ($1::text IS NULL OR recipients @> ARRAY[$1])
          AND ($2 = '' OR array_to_string(recipients, ' ') ILIKE $2 OR subject_line ILIKE $2)
          AND ($3::timestamptz IS NULL OR (received_at, letter_id) < ($3, $4))
        ORDER BY received_at DESC, letter_id DESC LIMIT $5
        """,
        None if to is None else to.strip().lower(),
        f"%{_literal(search)}%" if search else "",
        *after,
        limit + 1,
    )
    letters = [
        LetterRow(
            mail_id=mail_id_of(row["message_id"]),
            preview=one_line(row["beginning"] or "", PREVIEW_LENGTH),
            **{name: row[name] for name in _LETTER_COLUMNS.split(", ")},
        )
        for row in rows
    ]
    return _page(letters, limit, lambda letter: (letter.received_at, letter.letter_id))


async def letter(connection: Connection, letter_id: str) -> Letter | None:
    """One mail of the mailbox."""
    row = await connection.fetchrow(
        f"SELECT {_LETTER_COLUMNS}, text_body, html_body, raw FROM email.mailbox WHERE letter_id = $1", letter_id
    )
    return None if row is None else Letter(mail_id=mail_id_of(row["message_id"]), **dict(row))


async def duplicates(connection: Connection) -> dict[str, int]:
    """Message-IDs that arrived in the mailbox more than once, and how often. Anything here is a fault."""
    rows = await connection.fetch(
        "SELECT message_id, count(*) AS times FROM email.mailbox WHERE message_id IS NOT NULL"
        " GROUP BY message_id HAVING count(*) > 1"
    )
    return {row["message_id"]: row["times"] for row in rows}


async def mails(
    connection: Connection,
    *,
    status: MailStatus | None = None,
    recipient: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
    billing: bool = True,
) -> Page[MailRow]:
    """The mails that the viewer may see, newest first. Without `billing` none that tells how a tenant pays."""
    limit = _bounded(limit)
    where = Where()
    if status is not None:
        where.add("status = {}", status)
        if status != "sent":
            where.add("status <> 'sent'")  # in step with the index mails_unsent
    if recipient is not None:
        where.add("recipient = {}", recipient.strip().lower())
    if not billing:
        where.add("template <> ALL ({}::text[])", sorted(BILLING_TEMPLATES))
    if cursor is not None:
        where.add("(queued_at, mail_id) < ({}, {})", *_decode(cursor))
    rows = await connection.fetch(
        f"SELECT {_MAIL_COLUMNS} FROM email.mails WHERE {where}"
        f" ORDER BY queued_at DESC, mail_id DESC LIMIT {where.value(limit + 1)}",
        *where.values,
    )
    return _page([MailRow(**dict(row)) for row in rows], limit, lambda mail: (mail.queued_at, mail.mail_id))


async def mail(connection: Connection, mail_id: str, *, billing: bool = True) -> MailRow | None:
    row = await connection.fetchrow(f"SELECT {_MAIL_COLUMNS} FROM email.mails WHERE mail_id = $1", mail_id)
    if row is None or (not billing and row["template"] in BILLING_TEMPLATES):
        return None
    return MailRow(**dict(row))


async def timeline(connection: Connection, mail_id: str) -> list[MailStep]:
    """Every status that the mail had, oldest first."""
    rows = await connection.fetch(
        "SELECT status, attempt, detail, occurred_at, recorded_at FROM email.mail_events WHERE mail_id = $1"
        " ORDER BY position",
        mail_id,
    )
    return [MailStep(**dict(row)) for row in rows]


async def mails_of_stories(connection: Connection, correlation_ids: Sequence[UUID]) -> list[MailRow]:
    """The mails that belong to causal stories, oldest first; each hangs on the message in `message_id`."""
    rows = await connection.fetch(
        f"SELECT {_MAIL_COLUMNS} FROM email.mails WHERE correlation_id = ANY ($1)"
        " ORDER BY recorded_at, mail_id LIMIT $2",
        list(correlation_ids),
        MAX_LIMIT,
    )
    return [MailRow(**dict(row)) for row in rows]


async def leads(connection: Connection, *, cursor: str | None = None, limit: int = 50) -> Page[LeadRow]:
    """People who left an address on the site, newest first."""
    limit = _bounded(limit)
    where = Where()
    if cursor is not None:
        where.add("(captured_at, lead_id) < ({}, {})", *_decode(cursor))
    rows = await connection.fetch(
        "SELECT lead_id, tenant_id, address, name, message, source, captured_at FROM email.leads"
        f" WHERE {where} ORDER BY captured_at DESC, lead_id DESC LIMIT {where.value(limit + 1)}",
        *where.values,
    )
    return _page([LeadRow(**dict(row)) for row in rows], limit, lambda lead: (lead.captured_at, lead.lead_id))


async def leads_of(connection: Connection, address: str) -> Sequence[LeadRow]:
    """What somebody left on the site with this address, newest first, at most 1000."""
    rows = await connection.fetch(
        "SELECT lead_id, tenant_id, address, name, message, source, captured_at FROM email.leads WHERE address = $1"
        " ORDER BY captured_at DESC LIMIT 1000",
        address,
    )
    return [LeadRow(**dict(row)) for row in rows]


def _bounded(limit: int) -> int:
    return max(1, min(limit, MAX_LIMIT))


def _literal(text: str) -> str:
    """Text for a LIKE pattern in which nothing is a wildcard."""
    return text.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")


def _page(rows: list[Row], limit: int, key: Callable[[Row], tuple[datetime, str]]) -> Page[Row]:
    """One page of `limit` rows from a fetch of one more."""
    if len(rows) <= limit:
        return Page(rows)
    moment, name = key(rows[limit - 1])
    text = json.dumps([moment.isoformat(), name])
    return Page(rows[:limit], base64.urlsafe_b64encode(text.encode()).decode().rstrip("="))


def _decode(cursor: str | None) -> tuple[datetime | None, str | None]:
    if cursor is None:
        return None, None
    try:
        moment, name = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return datetime.fromisoformat(moment).astimezone(UTC), str(name)
    except (ValueError, TypeError, binascii.Error):
        raise Invalid.field("cursor", "bad_cursor", "the cursor is not one of this list") from None
