"""What a tenant says about its directory: which role each of the provider's groups gives, and which those get who are
in none. People alone say it; a key for SCIM only says who is in which group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from pydantic import Field
from starlette.responses import Response

from prog_contracts.directory import DefaultRole, MapDirectoryGroup, MappedRole, SetDirectoryDefault
from prog_contracts.errors import NotFound
from prog_contracts.ids import is_id
from prog_edge.access import Access, Needs
from prog_edge.api.shapes import Body, Listing, Resource, problems
from prog_edge.scim_errors import PREFIX
from prog_edge.writes import Write, perform
from prog_workers.tenants.queries import directory as queries

router = APIRouter(prefix="/v1/directory", tags=["SCIM"])

Manages = Annotated[Access, Depends(Needs("directory.manage"))]
GroupId = Annotated[str, Path(max_length=100)]


class Directory(Resource):
    """The directory as a whole. `users` are all entries, `active` those that are to get in, `joined` those who have."""

    scim_url: str = Field(examples=["https://app.example.com/scim/v2"])
    default_role: DefaultRole = Field(description="What those get who are in no group with a role.")
    users: int
    active: int
    joined: int


class DirectoryGroup(Resource):
    id: str = Field(examples=["dirgroup_01jd7z4c8nf3ktv9q2m6x0r5we"])
    name: str = Field(examples=["Engineering"])
    role: MappedRole | None = Field(description="What it gives its people; null is nothing.")
    members: int


class DefaultRoleChange(Body):
    default_role: DefaultRole


class GroupRoleChange(Body):
    role: MappedRole | None = Field(
        description="A role that the caller may give, too. Where groups give several, the first of admin, billing,"
        " member, viewer counts. Owners are made by owners alone."
    )


@router.get("", responses=problems(401, 403))
async def get_directory(access: Manages) -> Directory:
    """Where the provider sends users and groups, and how many there are."""
    return await _directory(access)


@router.patch("", response_model=Directory, responses=problems(401, 403, 409, 422))
async def change_directory(body: DefaultRoleChange, request: Request, access: Manages) -> Response:
    """Say which role those get who are in no group with a role. Members who have it change with it."""
    before = await _directory(access)

    def changed(result: Mapping[str, Any]) -> Directory:
        return before.model_copy(update={"default_role": result["role"]})

    command = SetDirectoryDefault(tenant_id=access.tenant, role=body.default_role)
    return await perform(request, access, Write(command, access.tenant, changed))


@router.get("/groups", responses=problems(401, 403))
async def list_directory_groups(access: Manages) -> Listing[DirectoryGroup]:
    """The provider's groups by name, at most 1000, with the role that each gives."""
    async with access.rows() as connection:
        rows = await queries.groups(connection, access.tenant)
    return Listing(data=[_shown(row) for row in rows], next_cursor=None)


@router.get("/groups/{directory_group_id}", responses=problems(401, 403, 404))
async def get_directory_group(directory_group_id: GroupId, access: Manages) -> DirectoryGroup:
    """One of the provider's groups."""
    return _shown(await _found(access, directory_group_id))


@router.patch(
    "/groups/{directory_group_id}", response_model=DirectoryGroup, responses=problems(401, 403, 404, 409, 422)
)
async def map_directory_group(
    directory_group_id: GroupId, body: GroupRoleChange, request: Request, access: Manages
) -> Response:
    """Say which role a group gives its people. They have it at once, and owners stay owners."""
    row = await _found(access, directory_group_id)

    def mapped(result: Mapping[str, Any]) -> DirectoryGroup:
        return _shown(row).model_copy(update={"role": result["role"]})

    command = MapDirectoryGroup(directory_group_id=row.directory_group_id, tenant_id=access.tenant, role=body.role)
    return await perform(request, access, Write(command, access.tenant, mapped))


async def _directory(access: Access) -> Directory:
    async with access.newest_rows() as connection:
        row = await queries.directory(connection, access.tenant)
    return Directory(
        scim_url=access.context.public_url + PREFIX,
        default_role=row.default_role,
        users=row.users,
        active=row.active,
        joined=row.joined,
    )


async def _found(access: Access, directory_group_id: str) -> queries.GroupRow:
    row = None
    if is_id(directory_group_id) and directory_group_id.startswith("dirgroup_"):
        async with access.newest_rows() as connection:
            row = await queries.group(connection, access.tenant, directory_group_id)
    if row is None:
        raise NotFound("There is no such group in the directory.", code="entry_not_found")
    return row


def _shown(row: queries.GroupRow) -> DirectoryGroup:
    return DirectoryGroup(id=row.directory_group_id, name=row.name, role=row.role, members=row.members)
