"""Dead letters: messages that were given up, each with the reason. For the platform's staff."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from prog_contracts.errors import NotFound
from prog_edge.access import Access, Staff
from prog_edge.api.shapes import Listing, Paging, Resource, problems
from prog_edge.api.stories import readable
from prog_workers.events import queries

router = APIRouter(prefix="/v1/dead-letters", tags=["Operations"])


class DeadLetterResource(Resource):
    id: UUID
    group: str
    topic: str
    type: str | None
    tenant_id: str
    message_id: UUID | None
    correlation_id: UUID | None
    attempts: int
    code: str
    reason: str
    traceback: str | None
    body: dict[str, Any] | str
    state: Literal["open", "redriven", "dropped"]
    recorded_at: datetime
    decided_at: datetime | None
    decided_by: str | None


class Filters(Paging):
    state: Literal["open", "redriven", "dropped"] = "open"
    group: str | None = Field(None, pattern=r"^[a-z]{3,20}$", description="A consumer group, which is a domain.")


@router.get("", responses=problems(401, 403, 422))
async def list_dead_letters(
    filters: Annotated[Filters, Query()], access: Annotated[Access, Depends(Staff("platform.read"))]
) -> Listing[DeadLetterResource]:
    """Messages that were given up, the last one first."""
    async with access.rows() as connection:
        page = await queries.dead_letters(
            connection, state=filters.state, group=filters.group, limit=filters.limit, cursor=filters.cursor
        )
    return Listing(data=[_resource(letter) for letter in page.rows], next_cursor=page.next_cursor)


@router.get("/{letter_id}", responses=problems(401, 403, 404))
async def get_dead_letter(
    letter_id: UUID, access: Annotated[Access, Depends(Staff("platform.read"))]
) -> DeadLetterResource:
    """One of them."""
    async with access.rows() as connection:
        letter = await queries.dead_letter(connection, letter_id)
    if letter is None:
        raise NotFound("There is no such dead letter.")
    return _resource(letter)


def _resource(letter: queries.DeadLetter) -> DeadLetterResource:
    return DeadLetterResource(
        id=letter.id,
        group=letter.consumer_group,
        topic=letter.topic,
        type=letter.type,
        tenant_id=letter.tenant_id,
        message_id=letter.message_id,
        correlation_id=letter.correlation_id,
        attempts=letter.attempts,
        code=letter.code,
        reason=letter.reason,
        traceback=letter.traceback,
        body=letter.body if isinstance(letter.body, str) else readable(letter.body),
        state=letter.state,
        recorded_at=letter.recorded_at,
        decided_at=letter.decided_at,
        decided_by=letter.decided_by,
    )
