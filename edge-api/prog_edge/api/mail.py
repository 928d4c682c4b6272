"""Mails of a tenant with what became of them, and the development mailbox."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from prog_contracts.errors import NotFound
from prog_edge.access import Access, Needs, Public, Visit
from prog_edge.api.shapes import Listing, Paging, Resource, problems
from prog_workers.email import queries
from prog_workers.email.queries import LetterRow, MailRow

router = APIRouter(prefix="/v1", tags=["Mail"])


class MailResource(Resource):
    """A mail that the platform sends. Times are on the tenant's clock."""

    id: str = Field(examples=["mail_01jd7z4c8nf3ktv9q2m6x0r5we"])
    tenant_id: str
    template: str
    to: str
    subject: str
    status: str = Field(description="queued, sending, sent, failed, held or suppressed")
    reason: str | None
    correlation_id: UUID
    queued_at: datetime
    settled_at: datetime | None


class MailStep(Resource):
    status: str
    detail: str | None
    occurred_at: datetime


class MailWithTimeline(MailResource):
    timeline: list[MailStep]


class MailFilters(Paging):
    status: str | None = Field(None, pattern=r"^(queued|sending|sent|failed|held|suppressed)$")
    to: str | None = Field(None, max_length=254)


class LetterResource(Resource):
    """A mail as the catch-all server of development got it. `mail_id` is set when the platform sent it."""

    id: str
    mail_id: str | None
    sender: str
    to: list[str]
    subject: str
    preview: str
    received_at: datetime


class LetterWithBody(LetterResource):
    text: str | None
    html: str | None


class MailboxFilters(Paging):
    to: str | None = Field(None, max_length=254, description="One recipient's whole address.")
    search: str = Field("", max_length=200, description="Part of a recipient or the subject.")


async def development_only(visit: Annotated[Visit, Depends(Public())]) -> Visit:
    """The mailbox holds live links: outside of development it does not exist."""
    if visit.platform.settings.env == "production":
        raise NotFound("There is nothing at this address.")
    return visit


@router.get("/messages", responses=problems(400, 401, 404, 422))
async def list_mails(
    filters: Annotated[MailFilters, Query()], access: Annotated[Access, Depends(Needs("event.read"))]
) -> Listing[MailResource]:
    """Mails, newest first."""
    async with access.rows() as connection:
        page = await queries.mails(
            connection,
            status=filters.status,  # type: ignore[arg-type]  # the pattern names the statuses
            recipient=filters.to,
            limit=filters.limit,
            cursor=filters.cursor,
            billing=access.sees_billing,
        )
    return Listing(data=[MailResource(**_fields(row)) for row in page.rows], next_cursor=page.next_cursor)


@router.get("/messages/{mail_id}", responses=problems(400, 401, 404))
async def get_mail(mail_id: str, access: Annotated[Access, Depends(Needs("event.read"))]) -> MailWithTimeline:
    """One mail with every status that it had."""
    async with access.rows() as connection:
        row = await queries.mail(connection, mail_id, billing=access.sees_billing)
        steps = await queries.timeline(connection, mail_id) if row is not None else []
    if row is None:
        raise NotFound("There is no such mail.")
    timeline = [MailStep(status=step.status, detail=step.detail, occurred_at=step.occurred_at) for step in steps]
    return MailWithTimeline(**_fields(row), timeline=timeline)


@router.get("/mailbox", responses=problems(404, 422))
async def list_letters(
    filters: Annotated[MailboxFilters, Query()], visit: Annotated[Visit, Depends(development_only)]
) -> Listing[LetterResource]:
    """The catch-all mailbox of development, newest first. It does not exist in production."""
    async with visit.platform.reader.scope() as connection:
        page = await queries.mailbox(
            connection, to=filters.to, search=filters.search, limit=filters.limit, cursor=filters.cursor
        )
    return Listing(data=[LetterResource(**_letter(row)) for row in page.rows], next_cursor=page.next_cursor)


@router.get("/mailbox/{letter_id}", responses=problems(404))
async def get_letter(letter_id: str, visit: Annotated[Visit, Depends(development_only)]) -> LetterWithBody:
    """One mail of the mailbox, with its text and HTML."""
    async with visit.platform.reader.scope() as connection:
        letter = await queries.letter(connection, letter_id)
    if letter is None:
        raise NotFound("There is no such mail in the mailbox.")
    return LetterWithBody(
        id=letter.letter_id,
        mail_id=letter.mail_id,
        sender=letter.sender,
        to=list(letter.recipients),
        subject=letter.subject_line,
        preview=" ".join((letter.text_body or "").split())[: queries.PREVIEW_LENGTH],
        received_at=letter.received_at,
        text=letter.text_body,
        html=letter.html_body,
    )


def _fields(row: MailRow) -> dict[str, object]:
    return {
        "id": row.mail_id,
        "tenant_id": row.tenant_id,
        "template": row.template,
        "to": row.recipient,
        "subject": row.subject_line,
        "status": row.status,
        "reason": row.reason,
        "correlation_id": row.correlation_id,
        "queued_at": row.queued_at,
        "settled_at": row.settled_at,
    }


def _letter(row: LetterRow) -> dict[str, object]:
    return {
        "id": row.letter_id,
        "mail_id": row.mail_id,
        "sender": row.sender,
        "to": list(row.recipients),
        "subject": row.subject_line,
        "preview": row.preview,
        "received_at": row.received_at,
    }
