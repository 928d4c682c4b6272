"""Causal stories: everything that led to an object and came from it, as trees."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Path
from pydantic import Field

from prog_contracts.errors import NotFound
from prog_edge.access import Access, Needs
from prog_edge.api.shapes import Resource, problems
from prog_workers.events import queries

router = APIRouter(prefix="/v1/story", tags=["Stories"])

_SEALED = "[sealed]"


class HandlingResource(Resource):
    """What one consumer group made of a message."""

    group: str
    status: str
    handled_at: datetime | None
    microseconds: int | None
    attempts: int
    error: dict[str, Any] | None = None


class StoryMessage(Resource):
    """One message and what it caused. `occurred_at` is on the tenant's clock, `recorded_at` on the machine's."""

    id: UUID
    kind: Literal["command", "event", "timer"]
    type: str
    tenant_id: str
    subject: str | None
    actor: str | None
    occurred_at: datetime
    recorded_at: datetime
    body: dict[str, Any] | None = Field(description="What it said; null for a command that came from outside.")
    handled: list[HandlingResource]
    children: list[StoryMessage]


class StoryResource(Resource):
    """The trees that touch an object, oldest first."""

    id: str
    truncated: bool = Field(description="There is more than one answer holds.")
    roots: list[StoryMessage]


@router.get("/{any_id}", responses=problems(400, 401, 404))
async def get_story(
    any_id: Annotated[str, Path(max_length=100, description="Id of any object, message, operation or correlation.")],
    access: Annotated[Access, Depends(Needs("event.read"))],
) -> StoryResource:
    """The causal story of anything."""
    async with access.rows() as connection:
        story = await queries.story(connection, any_id, billing=access.sees_billing)
    if story is None:
        raise NotFound("Nothing is known of this id.")
    return StoryResource(id=story.id, truncated=story.truncated, roots=_trees(story))


def _trees(story: queries.Story) -> list[StoryMessage]:
    """Bottom up, without recursion: a chain of renewals may be deep."""
    built: dict[UUID, StoryMessage] = {}
    for node in reversed(list(story.walk())):
        children = [built[child.message_id] for child in node.children]
        built[node.message_id] = _message(node, children)
    return [built[root.message_id] for root in story.roots]


def _message(node: queries.StoryNode, children: list[StoryMessage]) -> StoryMessage:
    return StoryMessage(
        id=node.message_id,
        kind=node.kind,
        type=node.type,
        tenant_id=node.tenant_id,
        subject=node.subject,
        actor=node.actor,
        occurred_at=node.occurred_at,
        recorded_at=node.recorded_at,
        body=None if node.body is None else readable(node.body),
        handled=[
            HandlingResource(
                group=item.group,
                status=item.status,
                handled_at=item.handled_at,
                microseconds=item.microseconds,
                attempts=item.attempts,
                error=None if item.error is None else dict(item.error),
            )
            for item in node.handled
        ],
        children=children,
    )


def readable(body: Mapping[str, Any]) -> dict[str, Any]:
    """A message's body without the noise of its sealed values."""
    return {name: _SEALED if name.startswith("sealed_") and value else value for name, value in body.items()}


def restored(body: Mapping[str, Any], original: Mapping[str, Any] | str) -> dict[str, Any]:
    """A body that somebody edited as `readable` shows it, with the sealed values that it stands for."""
    before = original if isinstance(original, Mapping) else {}
    return {
        name: before.get(name, value) if name.startswith("sealed_") and value == _SEALED else value
        for name, value in body.items()
    }
