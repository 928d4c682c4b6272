"""The event log: lists, one event, and the live stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Header, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.responses import StreamingResponse

from prog_contracts.errors import Invalid, NotFound
from prog_edge.access import Access, Needs
from prog_edge.api.shapes import MAX_LIMIT, Listing, Paging, Resource, problems
from prog_edge.api.spreadsheets import CsvResponse
from prog_edge.sse import EventStreamResponse, cloud_event, follow_batches, guarded, position_of, stream
from prog_edge.tail import Interest
from prog_workers.events import queries
from prog_workers.events.queries import WILDCARD, EventRow, Page

router = APIRouter(prefix="/v1/events", tags=["Events"])

MAX_TYPES = 20
_TYPES: Final = "Full type names, or beginnings that end in `.*`, with commas between."


class EventResource(Resource):
    """An event as CloudEvents 1.0 with this platform's extension attributes, and those that its publisher gave it.

    `time` is on the tenant's clock. `id` and `source` are the publisher's; `messageid` is the platform's own id.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    specversion: str
    id: str
    source: str
    type: str = Field(examples=["prognetwork.tenants.tenant_created"])
    subject: str | None
    time: datetime
    datacontenttype: str
    tenantid: str
    messageid: UUID
    correlationid: UUID
    causationid: UUID | None
    actor: str | None
    traceparent: str | None
    schemaversion: int | None = Field(description="Of the schema that it was held against; null where there was none.")
    stream: str | None
    streamversion: int | None = Field(description="Its number in the stream.")
    position: int = Field(description="Its place in the log; what a stream resumes after.")
    recordedat: datetime
    data: Any


class Filters(Paging):
    types: str | None = Field(None, max_length=2000, description=_TYPES)
    domain: str | None = Field(None, pattern=r"^[a-z]{3,20}$", description="All types of a domain.")
    subject: str | None = Field(None, max_length=200, description="Id of the object that the event is about.")
    stream: str | None = Field(None, max_length=200, description="Events of one stream.")
    source: str | None = Field(None, max_length=200, description="Events of one publisher.")
    correlation_id: UUID | None = Field(None, description="Events of one causal story.")
    since: AwareDatetime | None = Field(None, alias="from", description="Recorded at this time or later.")
    until: AwareDatetime | None = Field(None, alias="to", description="Recorded before this time.")
    after: int | None = Field(None, ge=0, le=2**53, description="Events after this position.")
    order: Literal["newest", "oldest"] = Field("newest", description="Which come first.")
    format: Literal["json", "csv"] = Field("json", description="`csv` answers with all of them.")


class StreamFilters(BaseModel):
    model_config = ConfigDict(extra="forbid")

    types: str | None = Field(None, max_length=2000, description=_TYPES)
    subject: str | None = Field(None, max_length=200, description="Id of the object that the event is about.")


@router.get(
    "",
    response_model=Listing[EventResource],
    responses={200: {"content": {"text/csv": {}}}, **problems(400, 401, 404, 422)},
)
async def list_events(
    filters: Annotated[Filters, Query()], access: Annotated[Access, Depends(Needs("event.read"))]
) -> Any:
    """Events in the order of their recording, newest first."""
    page = await _page(filters, access, filters.limit, filters.cursor)
    if filters.format == "csv":
        return CsvResponse("events.csv", (*_COLUMNS, "data"), _all(filters, access, page))
    return Listing(data=[resource(row) for row in page.rows], next_cursor=page.next_cursor)


async def _page(filters: Filters, access: Access, limit: int, cursor: str | None) -> Page[EventRow]:
    async with access.rows() as connection:
        return await queries.events(
            connection,
            types=split_types(filters.types),
            domain=filters.domain,
            subject=filters.subject,
            stream=filters.stream,
            source=filters.source,
            correlation_id=filters.correlation_id,
            since=filters.since,
            until=filters.until,
            after=filters.after,
            oldest_first=filters.order == "oldest",
            limit=limit,
            cursor=cursor,
            billing=access.sees_billing,
        )


async def _all(filters: Filters, access: Access, page: Page[EventRow]) -> AsyncIterator[Sequence[Sequence[object]]]:
    yield [_line(row) for row in page.rows]
    while page.next_cursor is not None:
        page = await _page(filters, access, MAX_LIMIT, page.next_cursor)
        yield [_line(row) for row in page.rows]


_COLUMNS: Final = (
    "position", "id", "source", "type", "subject", "time", "recordedat", "stream", "streamversion", "actor",
    "correlationid", "causationid", "schemaversion", "tenantid", "messageid",
)  # fmt: skip


def _line(row: EventRow) -> Sequence[object]:
    """`data` is JSON."""
    event = cloud_event(row)
    return [*(event[name] for name in _COLUMNS), orjson.dumps(event["data"]).decode()]


@router.get(
    "/stream",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "The stream"}, **problems(400, 401, 404)},
)
async def stream_events(
    filters: Annotated[StreamFilters, Query()],
    access: Annotated[Access, Depends(Needs("event.read"))],
    last_event_id: Annotated[str | None, Header(description="The id of the last event seen: resumes after it.")] = None,
) -> EventStreamResponse:
    """Events as they are recorded, as Server-Sent Events. A comment every 10 seconds keeps the connection alive.

    The stream ends when the access token runs out, the session ends or the caller's role changes: come back then. A
    client that does not keep up gets `stream.dropped` as its last event; one whose `Last-Event-ID` the log no longer
    has gets `stream.gap` first.
    """
    types, beginnings = _split(filters.types)
    interest = Interest(
        access.tenant_id, frozenset(types), filters.subject, billing=access.sees_billing, beginnings=beginnings
    )
    platform = access.platform
    heartbeat = platform.heartbeat_seconds
    found = follow_batches(
        platform.tail, access.newest_rows, interest, after=position_of(last_event_id), heartbeat_seconds=heartbeat
    )
    batches = guarded(
        found, until=access.caller.expires_at, still_allowed=access.still_granted, heartbeat_seconds=heartbeat
    )
    return EventStreamResponse(stream(batches))


class Named(BaseModel):
    model_config = ConfigDict(extra="forbid")

    source: str | None = Field(None, max_length=200, description="Where the id is a publisher's: which one's.")


@router.get("/{event_id}", responses=problems(400, 401, 404, 422))
async def get_event(
    event_id: str, named: Annotated[Named, Query()], access: Annotated[Access, Depends(Needs("event.read"))]
) -> EventResource:
    """One event, by the platform's id of it (`messageid`) or by the id that its publisher gave it."""
    message_id = _uuid(event_id)
    async with access.rows() as connection:
        row = None
        if message_id is not None:
            row = await queries.event(connection, message_id, billing=access.sees_billing)
        if row is None and access.tenant_id is not None:
            row = await queries.event_from(connection, event_id, named.source, billing=access.sees_billing)
    if row is None:
        raise NotFound("There is no such event.")
    return resource(row)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _split(types: str | None) -> tuple[list[str], tuple[str, ...]]:
    """Full names, and what other names begin with."""
    names = split_types(types)
    beginnings = tuple(name.removesuffix("*") for name in names if name.endswith(WILDCARD))
    return [name for name in names if not name.endswith(WILDCARD)], beginnings


def resource(row: EventRow) -> EventResource:
    return EventResource.model_validate(cloud_event(row))


def split_types(types: str | None) -> Sequence[str]:
    """The type names of a comma-separated list. Raises Invalid when there are too many."""
    names = [name.strip() for name in (types or "").split(",") if name.strip()]
    if len(names) > MAX_TYPES:
        raise Invalid.field("types", "too_many", f"At most {MAX_TYPES} types can be asked for at once.")
    return names
