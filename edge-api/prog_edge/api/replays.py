"""Replays: messages of the event log run again in a consumer group. For the platform's staff."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, Field
from starlette.requests import Request
from starlette.responses import Response

from prog_broker import replaying
from prog_edge.access import Access, Staff
from prog_edge.api.shapes import Body, Listing, Paging, Resource, problems
from prog_edge.deciding import decide, group_database
from prog_kit.pages import decode_cursor, page_of

router = APIRouter(prefix="/v1/replays", tags=["Operations"])

State = Literal["pending", "running", "paused", "done", "failed", "cancelled"]


class ReplayScope(Body):
    types: list[str] = Field(default=[], max_length=100, description="Event types; none: all that the group replays.")
    tenant_id: str | None = Field(None, max_length=100)
    subject: str | None = Field(None, max_length=200)
    stream: str | None = Field(None, max_length=200)
    from_position: int | None = Field(None, ge=0, le=2**63 - 1)
    to_position: int | None = Field(None, ge=0, le=2**63 - 1, description="The last one.")
    from_time: AwareDatetime | None = None
    to_time: AwareDatetime | None = Field(None, description="Recorded before this time.")


class NewReplay(Body):
    group: str = Field(max_length=64, description="A consumer group, which is a domain.")
    reason: str = Field(min_length=1, max_length=500, description="Why; others will read it.")
    scope: ReplayScope = ReplayScope()
    reset: bool = Field(False, description="Empty the projection first, and rebuild all of it.")
    skip_failing: bool = Field(False, description="Pass over messages whose handler raises.")


class ReplayCancellation(Body):
    leave_incomplete: bool = Field(
        False, description="Also when it has emptied a projection, which then stays incomplete until it is rebuilt."
    )


class ReplayResource(Resource):
    id: UUID
    group: str
    state: State
    waits_for_worker: bool = Field(description="It is to run, and no process serves the group.")
    requested_by: str
    reason: str
    scope: dict[str, Any]
    reset: bool
    skip_failing: bool
    position: int = Field(description="The position of the last message that was run.")
    total: int | None
    done: int
    failed: int
    suppressed: int = Field(description="Messages and timers of handlers, none of which left the replay.")
    per_second: float | None
    eta_seconds: float | None
    failure: dict[str, Any] | None
    history: list[dict[str, Any]]
    requested_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class Filters(Paging):
    group: str | None = Field(None, max_length=64)
    state: State | None = None


Reader = Annotated[Access, Depends(Staff("platform.read"))]
Operator = Annotated[Access, Depends(Staff("platform.manage"))]


@router.get("", responses=problems(401, 403, 422))
async def list_replays(filters: Annotated[Filters, Query()], access: Reader) -> Listing[ReplayResource]:
    """Replays, the newest first."""
    before = None
    if filters.cursor is not None:
        at, last = decode_cursor(filters.cursor, datetime, UUID)
        before = (at, last)
    async with access.platform.database.operator() as connection:
        found = await replaying.listed(
            connection, group=filters.group, state=filters.state, limit=filters.limit + 1, before=before
        )
    page = page_of(found, filters.limit, lambda replay: (replay.requested_at, replay.id))
    return Listing(data=[_resource(replay) for replay in page.rows], next_cursor=page.next_cursor)


@router.get("/{replay_id}", responses=problems(401, 403, 404))
async def get_replay(replay_id: UUID, access: Reader) -> ReplayResource:
    """One replay, with its progress."""
    return await _shown(access, replay_id)


@router.post("", status_code=201, response_model=ReplayResource, responses=problems(401, 403, 409, 422))
async def start_replay(request: Request, body: NewReplay, access: Operator) -> Response:
    """Ask for a replay; a worker of the group takes it up. Nothing that its handlers send leaves it."""
    scope = body.scope.model_dump()
    wanted = replaying.ReplayRequest(
        body.group,
        body.reason,
        replaying.Scope(**scope | {"types": tuple(scope["types"])}),
        rebuild=body.reset,
        skip_failing=body.skip_failing,
    )
    replaying.check_group(body.group)

    async def start() -> ReplayResource:
        async with group_database(access.platform, body.group) as group:
            replay_id = await replaying.start(group, wanted, by=access.caller.user_id)
        return await _shown(access, replay_id)

    return await decide(request, access, start, status=201)


@router.post("/{replay_id}/pause", response_model=ReplayResource, responses=problems(401, 403, 404, 409))
async def pause_replay(request: Request, replay_id: UUID, access: Operator) -> Response:
    """Pause a replay where it is."""
    return await _decided(request, access, replay_id, replaying.pause)


@router.post("/{replay_id}/resume", response_model=ReplayResource, responses=problems(401, 403, 404, 409))
async def resume_replay(request: Request, replay_id: UUID, access: Operator) -> Response:
    """Resume a replay where it was paused, or where it failed."""
    return await _decided(request, access, replay_id, replaying.resume)


@router.post("/{replay_id}/cancel", response_model=ReplayResource, responses=problems(401, 403, 404, 409))
async def cancel_replay(
    request: Request, replay_id: UUID, access: Operator, body: ReplayCancellation | None = None
) -> Response:
    """End a replay for good; what it did stays."""
    leave = body is not None and body.leave_incomplete
    return await _decided(request, access, replay_id, replaying.cancel, leave_incomplete=leave)


async def _decided(request: Request, access: Access, replay_id: UUID, decision: Any, **options: Any) -> Response:
    replay = await _shown(access, replay_id)

    async def take() -> ReplayResource:
        async with group_database(access.platform, replay.group) as group:
            await decision(group, replay_id, by=access.caller.user_id, **options)
        return await _shown(access, replay_id)

    return await decide(request, access, take)


async def _shown(access: Access, replay_id: UUID) -> ReplayResource:
    async with access.platform.database.operator() as connection:
        return _resource(await replaying.shown(connection, replay_id))


def _resource(replay: replaying.Replay) -> ReplayResource:
    scope = {name: getattr(replay.scope, name) for name in ReplayScope.model_fields}
    return ReplayResource(
        id=replay.id,
        group=replay.group,
        state=replay.state,
        waits_for_worker=replay.waits_for_worker,
        requested_by=replay.requested_by,
        reason=replay.reason,
        scope={name: value for name, value in scope.items() if value not in (None, ())},
        reset=replay.rebuild,
        skip_failing=replay.skip_failing,
        position=replay.cursor[1],
        total=replay.total,
        done=replay.done,
        failed=replay.failed,
        suppressed=replay.suppressed,
        per_second=replay.per_second,
        eta_seconds=replay.eta_seconds,
        failure=replay.failure,
        history=replay.history,
        requested_at=replay.requested_at,
        started_at=replay.started_at,
        ended_at=replay.ended_at,
    )
