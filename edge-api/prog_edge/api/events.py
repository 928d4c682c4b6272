"""The event log: lists, one event, and the live stream."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import StreamingResponse

from prog_contracts.errors import Invalid, NotFound
from prog_edge.access import Access, Needs
from prog_edge.api.shapes import Listing, Paging, Resource, problems
from prog_edge.sse import cloud_event, follow, guarded, stream
from prog_edge.tail import Interest
from prog_workers.events import queries
from prog_workers.events.queries import EventRow

router = APIRouter(prefix="/v1/events", tags=["Events"])

MAX_TYPES = 20


class EventResource(Resource):
    """An event as CloudEvents 1.0 with this platform's extension attributes. `time` is on the tenant's clock."""

    specversion: str
    id: UUID
    source: str
    type: str = Field(examples=["prognetwork.tenants.tenant_created"])
    subject: str | None
    time: datetime
    datacontenttype: str
    tenantid: str
    correlationid: UUID
    causationid: UUID | None
    actor: str | None
    traceparent: str | None
    schemaversion: int
    position: int = Field(description="Its place in the log; what a stream resumes after.")
    recordedat: datetime
    data: dict[str, Any]


class Filters(Paging):
    types: str | None = Field(None, max_length=2000, description="Full type names, with commas between.")
    domain: str | None = Field(None, pattern=r"^[a-z]{3,20}$", description="All types of a domain.")
    subject: str | None = Field(None, max_length=100, description="Id of the object that the event is about.")
    correlation_id: UUID | None = Field(None, description="Events of one causal story.")


class StreamFilters(BaseModel):
    model_config = ConfigDict(extra="forbid")

    types: str | None = Field(None, max_length=2000, description="Full type names, with commas between.")
    subject: str | None = Field(None, max_length=100, description="Id of the object that the event is about.")


@router.get("", responses=problems(400, 401, 404, 422))
async def list_events(
    filters: Annotated[Filters, Query()], access: Annotated[Access, Depends(Needs("event.read"))]
) -> Listing[EventResource]:
    """Events, newest first."""
    async with access.rows() as connection:
        page = await queries.events(
            connection,
            types=split_types(filters.types),
            domain=filters.domain,
            subject=filters.subject,
            correlation_id=filters.correlation_id,
            limit=filters.limit,
            cursor=filters.cursor,
            billing=access.sees_billing,
        )
    return Listing(data=[resource(row) for row in page.rows], next_cursor=page.next_cursor)


@router.get(
    "/stream",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "The stream"}, **problems(400, 401, 404)},
)
async def stream_events(
    filters: Annotated[StreamFilters, Query()],
    access: Annotated[Access, Depends(Needs("event.read"))],
    last_event_id: Annotated[str | None, Header(description="The id of the last event seen: resumes after it.")] = None,
) -> StreamingResponse:
    """Events as they are recorded, as Server-Sent Events. A comment every 10 seconds keeps the connection alive.

    The stream ends when the access token runs out, the session ends or the caller's role changes: come back then.
    """
    interest = Interest(
        access.tenant_id, frozenset(split_types(filters.types)), filters.subject, billing=access.sees_billing
    )
    platform = access.platform

    heartbeat = platform.heartbeat_seconds
    found = follow(platform.tail, access.rows, interest, after=_position(last_event_id), heartbeat_seconds=heartbeat)
    events = guarded(
        found, until=access.caller.expires_at, still_allowed=access.still_granted, heartbeat_seconds=heartbeat
    )
    body = stream(events)
    return StreamingResponse(
        body, media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )


@router.get("/{event_id}", responses=problems(400, 401, 404))
async def get_event(event_id: UUID, access: Annotated[Access, Depends(Needs("event.read"))]) -> EventResource:
    """One event."""
    async with access.rows() as connection:
        row = await queries.event(connection, event_id, billing=access.sees_billing)
    if row is None:
        raise NotFound("There is no such event.")
    return resource(row)


def resource(row: EventRow) -> EventResource:
    return EventResource.model_validate(cloud_event(row))


def split_types(types: str | None) -> Sequence[str]:
    """The type names of a comma-separated list. Raises Invalid when there are too many."""
    names = [name.strip() for name in (types or "").split(",") if name.strip()]
    if len(names) > MAX_TYPES:
        raise Invalid.field("types", "too_many", f"At most {MAX_TYPES} types can be asked for at once.")
    return names


def _position(last_event_id: str | None) -> int | None:
    """The position that a client resumes after; an id that is none of ours starts from now."""
    if last_event_id is None or not last_event_id.isdigit() or len(last_event_id) > 18:
        return None
    return int(last_event_id)
