"""Operators of the platform act in somebody's name, and see who does and did (infra/adr/0029-impersonation.md)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field
from starlette.responses import Response

from prog_contracts.accounts import ImpersonationToken
from prog_contracts.errors import NotFound
from prog_contracts.ids import is_id, new_id
from prog_contracts.impersonation import (
    MINUTES_DEFAULT,
    MINUTES_MAX,
    REASON_MAX_LENGTH,
    BeginImpersonation,
    EndImpersonation,
    ImpersonationEnd,
)
from prog_edge.access import Access, Staff
from prog_edge.api.auth import personal
from prog_edge.api.shapes import Body, Listing, Paging, Resource, problems
from prog_edge.writes import perform
from prog_workers.users.queries import impersonations as queries
from prog_workers.users.queries.impersonations import ImpersonationRow

router = APIRouter(prefix="/v1", tags=["People"])

Reader = Annotated[Access, Depends(Staff("platform.read"))]
Operator = Annotated[Access, Depends(Staff("platform.manage"))]
UserId = Annotated[str, Path(max_length=100)]
ImpersonationId = Annotated[str, Path(max_length=100)]


class Beginning(Body):
    reason: str = Field(
        min_length=1,
        max_length=REASON_MAX_LENGTH,
        examples=["Ticket 4711: the invoice page is empty"],
        description="Recorded, and mailed to the person.",
    )
    minutes: int = Field(MINUTES_DEFAULT, ge=1, le=MINUTES_MAX, description="When it ends at the latest.")


class Impersonation(Resource):
    """An operator acts, or acted, in the name of a person."""

    id: str = Field(examples=["impersonation_01jd7z4c8nf3ktv9q2m6x0r5we"])
    user_id: str = Field(description="In whose name.")
    operator_id: str = Field(description="Who acts.")
    reason: str = Field(examples=["Ticket 4711: the invoice page is empty"])
    began_at: datetime
    expires_at: datetime = Field(description="When it ends at the latest.")
    ended_at: datetime | None = Field(description="Null while it goes on.")
    end: ImpersonationEnd | None = Field(
        description="Why it is over: by hand, at its limit, with the operator's session, or because of what the "
        "person's account went through meanwhile."
    )


class BegunImpersonation(Resource):
    """The access token in the person's name. There is none to refresh it with: at its end it is over."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: int = Field(description="Seconds for which the access token is good.")
    impersonation: Impersonation


class Filters(Paging):
    user_id: str | None = Field(None, max_length=100, description="In whose name.")
    operator_id: str | None = Field(None, max_length=100, description="Who acts.")
    active: bool | None = Field(None, description="Those that go on, or those that are over.")


@router.post(
    "/users/{user_id}/impersonate",
    status_code=201,
    response_model=BegunImpersonation,
    responses=problems(401, 403, 404, 409, 422, 503),
)
async def begin_impersonation(user_id: UserId, body: Beginning, request: Request, access: Operator) -> Response:
    """Act in somebody's name from now on, for some minutes.

    Needs a sign-in of the last ten minutes. Every act is told of both persons; a mail tells the person at once, with
    the reason, and so do the audit trails of their tenants, without it. Nobody acts in the name of the platform's staff
    (`staff_not_impersonated`), or of an account that is disabled or to be deleted (`account_not_impersonated`). It ends
    at its limit, by hand, with the operator's session or office, and with the person's password or account.
    """
    if not (is_id(user_id) and user_id.startswith("user_")):
        raise NotFound("There is no such user.", code="user_not_found")
    command = BeginImpersonation(
        impersonation_id=new_id("impersonation"),
        user_id=user_id,
        by_session_id=access.session_id,
        reason=body.reason,
        minutes=body.minutes,
    )
    return await perform(request, access, personal(command, _begun, status=201))


@router.get("/impersonations", responses=problems(400, 401, 403, 422))
async def list_impersonations(filters: Annotated[Filters, Query()], access: Reader) -> Listing[Impersonation]:
    """Who acts and acted in whose name, the latest first. They are listed for a year."""
    now = datetime.now(UTC)
    async with access.platform.database.operator() as connection:
        page = await queries.list_impersonations(
            connection,
            now,
            user_id=filters.user_id,
            operator_id=filters.operator_id,
            active=filters.active,
            limit=filters.limit,
            cursor=filters.cursor,
        )
    return Listing(data=[_resource(row, now) for row in page.rows], next_cursor=page.next_cursor)


@router.get("/impersonations/{impersonation_id}", responses=problems(401, 403, 404))
async def get_impersonation(impersonation_id: ImpersonationId, access: Reader) -> Impersonation:
    """One of them."""
    return _resource(await _found(access, impersonation_id), datetime.now(UTC))


@router.post(
    "/impersonations/{impersonation_id}/end", response_model=Impersonation, responses=problems(401, 403, 404, 503)
)
async def end_impersonation(impersonation_id: ImpersonationId, request: Request, access: Operator) -> Response:
    """End one before its limit, one's own or another operator's. One that is over stays as it is."""
    row = await _found(access, impersonation_id)
    now = datetime.now(UTC)
    over = row.over_at(now)

    def present(_: Mapping[str, Any]) -> Impersonation:
        found = _resource(row, now)
        return found if over is not None else found.model_copy(update={"ended_at": now, "end": "by_hand"})

    command = EndImpersonation(impersonation_id=impersonation_id)
    response = await perform(request, access, personal(command, present))
    access.platform.live_impersonations.forget(impersonation_id)
    return response


async def _found(access: Access, impersonation_id: str) -> ImpersonationRow:
    row = None
    if is_id(impersonation_id) and impersonation_id.startswith("impersonation_"):
        async with access.platform.database.operator() as connection:
            row = await queries.impersonation(connection, impersonation_id)
    if row is None:
        raise NotFound("There is no such impersonation.", code="impersonation_not_found")
    return row


def _begun(result: Mapping[str, Any]) -> BegunImpersonation:
    given = ImpersonationToken.model_validate(result)
    return BegunImpersonation(
        access_token=given.access_token,
        expires_in=int((given.expires_at - given.began_at).total_seconds()),
        impersonation=Impersonation(
            id=given.impersonation_id,
            user_id=given.user_id,
            operator_id=given.operator_id,
            reason=given.reason,
            began_at=given.began_at,
            expires_at=given.expires_at,
            ended_at=None,
            end=None,
        ),
    )


def _resource(row: ImpersonationRow, now: datetime) -> Impersonation:
    return Impersonation(
        id=row.impersonation_id,
        user_id=row.user_id,
        operator_id=row.operator_id,
        reason=row.reason,
        began_at=row.began_at,
        expires_at=row.expires_at,
        ended_at=row.over_at(now),
        end=row.end(now),
    )
