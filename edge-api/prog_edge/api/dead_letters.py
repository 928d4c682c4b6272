"""Dead letters: messages that were given up, each with the reason. For the platform's staff."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Query
from pydantic import Field, model_validator
from starlette.requests import Request
from starlette.responses import Response

from prog_broker import dead_letters as decisions
from prog_broker.replaying import check_group
from prog_contracts.errors import NotFound
from prog_edge.access import Access, Staff
from prog_edge.api.shapes import Body, Listing, Paging, Resource, problems
from prog_edge.api.stories import readable, restored
from prog_edge.deciding import decide, group_database
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
    fingerprint: str
    traceback: str | None
    body: dict[str, Any] | str
    history: list[dict[str, Any]]
    state: Literal["open", "redriven", "dropped"]
    recorded_at: datetime
    decided_at: datetime | None
    decided_by: str | None


class Filters(Paging):
    state: Literal["open", "redriven", "dropped"] = "open"
    group: str | None = Field(None, pattern=r"^[a-z]{3,20}$", description="A consumer group, which is a domain.")
    fingerprint: str | None = Field(None, max_length=64, description="Letters with one cause share it.")
    tenant_id: str | None = Field(None, max_length=100)


class GroupFilters(Body):
    group: str | None = Field(None, pattern=r"^[a-z]{3,20}$", description="A consumer group, which is a domain.")


class DeadLetterGroupResource(Resource):
    fingerprint: str
    group: str
    topic: str
    type: str | None
    code: str
    reason: str = Field(description="The last letter's.")
    count: int
    tenants: int
    first_at: datetime
    last_at: datetime
    sample_id: UUID


class DeadLetterChoice(Body):
    """Letters by their ids, or all open ones of a consumer group with one cause."""

    ids: list[UUID] = Field(default=[], max_length=1000)
    group: str | None = Field(None, pattern=r"^[a-z]{3,20}$", description="The consumer group, with a fingerprint.")
    fingerprint: str | None = Field(None, max_length=64)

    @model_validator(mode="after")
    def _one_way(self) -> DeadLetterChoice:
        by_cause = self.group is not None and self.fingerprint is not None
        if bool(self.ids) == by_cause or (self.ids and (self.group or self.fingerprint)):
            raise ValueError("give ids, or a group with a fingerprint")
        return self


class RefusedLetter(Resource):
    id: UUID
    code: str
    message: str


class DecidedLetters(Resource):
    done: list[UUID]
    refused: list[RefusedLetter] = Field(description="They stay as they were.")
    more: bool = Field(description="Letters of this cause are left: send it again.")


class NewBody(Body):
    body: dict[str, Any] = Field(description="What the message is to say. It must fit the message's schema.")


@router.get("", responses=problems(401, 403, 422))
async def list_dead_letters(
    filters: Annotated[Filters, Query()], access: Annotated[Access, Depends(Staff("platform.read"))]
) -> Listing[DeadLetterResource]:
    """Messages that were given up, the last one first."""
    async with access.rows() as connection:
        page = await queries.dead_letters(
            connection,
            state=filters.state,
            group=filters.group,
            fingerprint=filters.fingerprint,
            tenant_id=filters.tenant_id,
            limit=filters.limit,
            cursor=filters.cursor,
        )
    return Listing(data=[_resource(letter) for letter in page.rows], next_cursor=page.next_cursor)


@router.get("/groups", responses=problems(401, 403, 422))
async def list_dead_letter_groups(
    filters: Annotated[GroupFilters, Query()], access: Annotated[Access, Depends(Staff("platform.read"))]
) -> Listing[DeadLetterGroupResource]:
    """Open dead letters by cause, the largest group first."""
    async with access.rows() as connection:
        groups = await queries.dead_letter_groups(connection, group=filters.group)
    return Listing(data=[_group(group) for group in groups], next_cursor=None)


@router.post("/redrive", response_model=DecidedLetters, responses=problems(401, 403, 404, 409, 422))
async def redrive_dead_letters(
    request: Request, body: DeadLetterChoice, access: Annotated[Access, Depends(Staff("platform.manage"))]
) -> Response:
    """Run messages again, each first in the line of its key. One that is refused holds up no other."""
    return await decide(request, access, lambda: _decided(access, body, decisions.redrive_all))


@router.post("/drop", response_model=DecidedLetters, responses=problems(401, 403, 404, 409, 422))
async def drop_dead_letters(
    request: Request, body: DeadLetterChoice, access: Annotated[Access, Depends(Staff("platform.manage"))]
) -> Response:
    """Give messages up for good; those that wait behind them go on."""
    return await decide(request, access, lambda: _decided(access, body, decisions.drop_all))


@router.patch("/{letter_id}", response_model=DeadLetterResource, responses=problems(401, 403, 404, 409, 422))
async def edit_dead_letter(
    request: Request, letter_id: UUID, body: NewBody, access: Annotated[Access, Depends(Staff("platform.manage"))]
) -> Response:
    """Replace what the message says; it stays a dead letter, and the history keeps what it said before."""

    async def edit() -> DeadLetterResource:
        letter = await _letter(access, letter_id)
        async with group_database(access.platform, letter.consumer_group) as group:
            mended = orjson.dumps(restored(body.body, letter.body))
            await decisions.edit(group, letter_id, mended, by=access.caller.user_id)
        return _resource(await _letter(access, letter_id))

    return await decide(request, access, edit)


@router.get("/{letter_id}", responses=problems(401, 403, 404))
async def get_dead_letter(
    letter_id: UUID, access: Annotated[Access, Depends(Staff("platform.read"))]
) -> DeadLetterResource:
    """One dead letter."""
    async with access.rows() as connection:
        letter = await queries.dead_letter(connection, letter_id)
    if letter is None:
        raise NotFound("There is no such dead letter.")
    return _resource(letter)


async def _letter(access: Access, letter_id: UUID) -> queries.DeadLetter:
    """One letter as the primary has it: a decision follows. Raises NotFound."""
    async with access.platform.database.operator() as connection:
        letter = await queries.dead_letter(connection, letter_id)
    if letter is None:
        raise NotFound("There is no such dead letter.")
    return letter


async def _decided(access: Access, choice: DeadLetterChoice, decision: Any) -> DecidedLetters:
    by = access.caller.user_id
    found: list[decisions.Decided] = []
    if choice.fingerprint is not None and choice.group is not None:
        check_group(choice.group)
        async with group_database(access.platform, choice.group) as group:
            letter_ids = await decisions.of_cause(group, choice.group, choice.fingerprint)
            found.append(await decision(group, letter_ids, by=by))
    else:
        by_group: dict[str, list[UUID]] = {}
        for letter_id in dict.fromkeys(choice.ids):
            by_group.setdefault((await _letter(access, letter_id)).consumer_group, []).append(letter_id)
        for name, letter_ids in by_group.items():
            async with group_database(access.platform, name) as group:
                found.append(await decision(group, letter_ids, by=by))
    return DecidedLetters(
        done=[letter_id for decided in found for letter_id in decided.done],
        refused=[
            RefusedLetter(id=letter_id, code=error.code, message=error.message)
            for decided in found
            for letter_id, error in decided.refused
        ],
        more=choice.fingerprint is not None and any(decided.more for decided in found),
    )


def _group(group: queries.DeadLetterGroup) -> DeadLetterGroupResource:
    return DeadLetterGroupResource(
        fingerprint=group.fingerprint,
        group=group.consumer_group,
        topic=group.topic,
        type=group.type,
        code=group.code,
        reason=group.reason,
        count=group.count,
        tenants=group.tenants,
        first_at=group.first_at,
        last_at=group.last_at,
        sample_id=group.latest_id,
    )


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
        fingerprint=letter.fingerprint,
        traceback=letter.traceback,
        body=letter.body if isinstance(letter.body, str) else readable(letter.body),
        history=[_told(entry) for entry in letter.history],
        state=letter.state,
        recorded_at=letter.recorded_at,
        decided_at=letter.decided_at,
        decided_by=letter.decided_by,
    )


def _told(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of a letter's history. What the letter said before an edit is shown as what it says now is."""
    told = dict(entry)
    if "before" in told:
        with suppress(orjson.JSONDecodeError):
            before = orjson.loads(told["before"])
            if isinstance(before, dict):
                told["before"] = orjson.dumps(readable(before)).decode()
    return told
