"""What the caller did, and what was done to their account: their own part of the audit trail."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from prog_edge.access import Access, SignedIn
from prog_edge.activity import By, act_of
from prog_edge.api.shapes import Listing, Paging, Resource, problems
from prog_workers.events import queries

router = APIRouter(prefix="/v1/me/activity", tags=["People"])


class Activity(Resource):
    """Something that happened. It stands for `count` alike, from `at` until `until`."""

    at: datetime
    until: datetime | None
    action: str = Field(examples=["users.user_authenticated"])
    outcome: Literal["success", "failure", "denial"]
    code: str | None = Field(description="The code of the problem, where it did not succeed.")
    by: By = Field(
        description="Who acted: the caller, the platform's staff, one of them in the caller's name (`impersonator`), "
        "another person or a key of theirs, a process of the platform, or somebody who was not signed in."
    )
    tenant_id: str
    subject: str | None = Field(description="The id of the object that it was about.")
    session_id: str | None
    client_address: str | None = Field(description="Where the caller was; null of others, and where it is not known.")
    device: str | None = Field(examples=["Firefox on Windows"])
    count: int


@router.get("", responses=problems(400, 401, 422))
async def list_activity(
    paging: Annotated[Paging, Query()], access: Annotated[Access, Depends(SignedIn(impersonated=True))]
) -> Listing[Activity]:
    """What the caller did in any tenant and what was done to their account, the last written first.

    Entries are written some seconds after what they tell of.
    """
    user_id = access.caller.user_id
    async with access.platform.database.scope(user_id=user_id) as connection:
        page = await queries.activity(connection, user_id, limit=paging.limit, cursor=paging.cursor)
    acts = [Activity.model_validate(act_of(row, user_id), from_attributes=True) for row in page.rows]
    return Listing(data=acts, next_cursor=page.next_cursor)
