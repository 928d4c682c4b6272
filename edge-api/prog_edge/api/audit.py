"""The audit trail: who did what, with which outcome. A tenant's own, or all tenants' for the platform's staff."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, Field
from starlette.requests import Request

from prog_edge.access import Access, Needs
from prog_edge.api.shapes import MAX_LIMIT, Listing, Paging, Resource, problems
from prog_edge.api.spreadsheets import MEDIA_TYPE, CsvResponse
from prog_workers.events import queries
from prog_workers.events.queries import AuditRow, Page

router = APIRouter(prefix="/v1/audit", tags=["Audit"])


class AuditEntry(Resource):
    """One entry of a tenant's audit trail. It stands for `count` alike, from `at` until `until`."""

    tenant_id: str
    sequence: int = Field(description="Its number in the tenant's chain.")
    at: datetime = Field(description="When it happened, on the machine's clock.")
    until: datetime | None
    action: str = Field(examples=["tenants.member_invited"])
    outcome: Literal["success", "failure", "denial"]
    code: str | None = Field(description="The code of the problem, where it did not succeed.")
    permission: str | None = Field(description="The permission that was missing.")
    actor_kind: Literal["person", "operator", "impersonator", "api_key", "client", "system", "nobody"] = Field(
        description="`operator` is one of the platform's staff, `impersonator` one who acted in the name of the person"
        " that `actor` begins with, `nobody` somebody who was not signed in."
    )
    actor: str | None = Field(
        examples=["user_01jd7z4c8nf3ktv9q2m6x0r5we"],
        description="A person, a process, or `PERSON/KEY` and `PERSON/OPERATOR` for what was done in a person's name.",
    )
    session_id: str | None
    subject: str | None = Field(description="The id of the object that it was about.")
    message_id: UUID | None = Field(description="The event that tells more, or the command that was refused.")
    correlation_id: UUID | None = Field(description="The causal story that it belongs to.")
    causation_id: UUID | None
    trace_id: str | None
    request_id: str | None
    client_address: str | None = Field(description="Null where it is not known, or was erased with a person.")
    user_agent: str | None
    count: int
    hash: str = Field(description="SHA-256 over this entry and the hash of the one before it, in hexadecimal.")


class Filters(Paging):
    actor: str | None = Field(
        None,
        max_length=100,
        description="What this person, key or process did, and what an operator did in this person's name. An"
        " operator's id finds what they did in others' names, too.",
    )
    action: str | None = Field(
        None, max_length=200, description="An action, or the beginning of some, such as `users.*`."
    )
    outcome: Literal["success", "failure", "denial"] | None = None
    subject: str | None = Field(None, max_length=100, description="What was done to this object.")
    since: AwareDatetime | None = Field(None, alias="from", description="Happened at this time or later.")
    until: AwareDatetime | None = Field(None, alias="to", description="Happened before this time.")
    format: Literal["json", "csv"] | None = Field(
        None, description="`csv` answers with all of them, as does `Accept: text/csv`."
    )


@router.get(
    "",
    response_model=Listing[AuditEntry],
    responses={200: {"content": {MEDIA_TYPE: {}}}, **problems(400, 401, 403, 404, 422)},
)
async def list_audit_entries(
    filters: Annotated[Filters, Query()], request: Request, access: Annotated[Access, Depends(Needs("audit.read"))]
) -> Any:
    """Entries, the last written first. They are written some seconds after what they tell of."""
    page = await _page(filters, access, filters.limit, filters.cursor)
    if _wants_csv(filters, request):
        return csv_file(page, lambda cursor: _page(filters, access, MAX_LIMIT, cursor))
    return Listing(data=[resource(row) for row in page.rows], next_cursor=page.next_cursor)


def resource(row: AuditRow) -> AuditEntry:
    return AuditEntry.model_validate(
        {name: row.hash.hex() if name == "hash" else getattr(row, name) for name in AuditEntry.model_fields}
    )


_COLUMNS: Final = tuple(AuditEntry.model_fields)


def _wants_csv(filters: Filters, request: Request) -> bool:
    if filters.format is not None:
        return filters.format == "csv"
    return request.headers.get("accept", "").partition(";")[0].strip().lower() == MEDIA_TYPE


async def _page(filters: Filters, access: Access, limit: int, cursor: str | None) -> Page[AuditRow]:
    async with access.rows() as connection:
        return await queries.audit_entries(
            connection,
            tenant_id=access.tenant_id,
            actor=filters.actor,
            action=filters.action,
            outcome=filters.outcome,
            subject=filters.subject,
            since=filters.since,
            until=filters.until,
            limit=limit,
            cursor=cursor,
        )


def csv_file(page: Page[AuditRow], following: Callable[[str], Awaitable[Page[AuditRow]]]) -> CsvResponse:
    """A page of entries and all that follow it, as a file."""
    return CsvResponse("audit.csv", _COLUMNS, _all(page, following))


async def _all(
    page: Page[AuditRow], following: Callable[[str], Awaitable[Page[AuditRow]]]
) -> AsyncIterator[Sequence[Sequence[object]]]:
    yield [_line(row) for row in page.rows]
    while page.next_cursor is not None:
        page = await following(page.next_cursor)
        yield [_line(row) for row in page.rows]


def _line(row: AuditRow) -> Sequence[object]:
    entry = resource(row).model_dump(mode="json")
    return [entry[name] for name in _COLUMNS]
