"""The caller, and for the platform's staff everybody."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field
from starlette.responses import Response

from prog_contracts.errors import NotFound
from prog_contracts.ids import PLATFORM_TENANT_ID
from prog_contracts.inputs import NAME_MAX_LENGTH
from prog_contracts.tenants import TenantRole
from prog_contracts.users import PlatformRole, UpdateProfile
from prog_edge.access import Access, SignedIn, Staff
from prog_edge.api.shapes import Body, Listing, Paging, Resource, problems
from prog_edge.writes import Write, perform
from prog_workers.tenants import queries as tenants
from prog_workers.users import queries
from prog_workers.users.queries import UserRow

router = APIRouter(prefix="/v1", tags=["People"])


class User(Resource):
    """A person's account."""

    id: str = Field(examples=["user_01jd7z4c8nf3ktv9q2m6x0r5we"])
    email: str
    name: str
    email_verified: bool
    status: Literal["active", "disabled"]
    platform_role: PlatformRole | None
    created_at: datetime


class OwnTenant(Resource):
    id: str
    name: str
    role: TenantRole


class Me(User):
    tenants: list[OwnTenant]


class Profile(Body):
    name: str = Field(min_length=1, max_length=NAME_MAX_LENGTH, examples=["Ada Lovelace"])


class Filters(Paging):
    search: str = Field("", max_length=200, description="Part of an address or a name, or a whole id.")
    role: PlatformRole | None = None
    verified: bool | None = None


@router.get("/me", responses=problems(401))
async def get_me(access: Annotated[Access, Depends(SignedIn())]) -> Me:
    """The caller, with their tenants."""
    user_id = access.caller.user_id
    async with access.platform.database.scope(user_id=user_id) as connection:
        row = await queries.user(connection, user_id)
        own = await tenants.tenants_of(connection, user_id)
    if row is None:
        raise NotFound("This account does not exist any more.")
    mine = [OwnTenant(id=item.tenant_id, name=item.name, role=item.role) for item in own]
    return Me(**_fields(row), tenants=mine)


@router.patch("/me", response_model=User, responses=problems(401, 422))
async def change_me(body: Profile, request: Request, access: Annotated[Access, Depends(SignedIn())]) -> Response:
    """Change the caller's name."""
    person = await access.platform.person(access.caller.user_id)

    def renamed(result: Mapping[str, Any]) -> User:
        return User(**{**_fields(person), "name": result["name"]})

    command = UpdateProfile(user_id=person.user_id, name=body.name)
    response = await perform(request, access, Write(command, PLATFORM_TENANT_ID, renamed))
    access.platform.people.forget(person.user_id)
    return response


@router.get("/users", responses=problems(401, 403, 422))
async def list_users(
    filters: Annotated[Filters, Query()], access: Annotated[Access, Depends(Staff("platform.read"))]
) -> Listing[User]:
    """Everybody's accounts, newest first."""
    async with access.platform.reader.operator() as connection:
        page = await queries.list_users(
            connection,
            search=filters.search,
            role=filters.role,
            verified=filters.verified,
            limit=filters.limit,
            cursor=filters.cursor,
        )
    return Listing(data=[User(**_fields(row)) for row in page.rows], next_cursor=page.next_cursor)


@router.get("/users/{user_id}", responses=problems(401, 403, 404))
async def get_user(
    user_id: Annotated[str, Path(max_length=100)], access: Annotated[Access, Depends(Staff("platform.read"))]
) -> User:
    """One account."""
    async with access.platform.reader.operator() as connection:
        row = await queries.user(connection, user_id)
    if row is None:
        raise NotFound("There is no such user.")
    return User(**_fields(row))


def _fields(row: UserRow) -> dict[str, Any]:
    return {
        "id": row.user_id,
        "email": row.email,
        "name": row.name,
        "email_verified": row.email_verified,
        "status": row.status,
        "platform_role": row.platform_role,
        "created_at": row.created_at,
    }
