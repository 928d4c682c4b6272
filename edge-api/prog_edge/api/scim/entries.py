"""Users and groups: read from the tenant's tables, and written by commands to the domain of tenants.

An answer waits for its command. One that is not done in time is answered with 503: the provider comes again, finds what
was done meanwhile, and goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from prog_contracts.directory import (
    CreateDirectoryGroup,
    CreateDirectoryUser,
    DeleteDirectoryGroup,
    DeleteDirectoryUser,
    PatchDirectoryGroup,
    PatchDirectoryUser,
    ReplaceDirectoryGroup,
    ReplaceDirectoryUser,
)
from prog_contracts.errors import NotFound, Unavailable, from_body
from prog_contracts.ids import is_id, new_id
from prog_contracts.messages import Command
from prog_edge.access import Access, Needs
from prog_edge.api.scim import documented
from prog_edge.api.scim.answers import (
    PAGE_SIZE,
    PAGE_SIZE_MAX,
    Wanted,
    body_of,
    listed,
    search_in,
    search_in_query,
    shown,
    tag_of,
    versions_in,
    wanted_of,
)
from prog_edge.scim_errors import PREFIX
from prog_workers.tenants.queries import directory
from prog_workers.tenants.queries.directory import EntryRow, Kind
from prog_workers.tenants.queries.directory_filters import search_of

router = APIRouter(prefix=PREFIX, tags=["SCIM"])

Keeps = Annotated[Access, Depends(Needs("scim.manage"))]
UserKey = Annotated[str, Path(max_length=100)]
GroupKey = Annotated[str, Path(max_length=100)]

WAIT_SECONDS: Final = 15.0
_PREFIXES: Final[Mapping[Kind, str]] = {"User": "diruser", "Group": "dirgroup"}


# -- users -------------------------------------------------------------------------------------------------------------


@router.get("/Users", openapi_extra=documented.LIST_USERS)
async def list_scim_users(request: Request, access: Keeps) -> Response:
    """Users of the directory, by filter and page."""
    return await _list(request, access, "User", search_in_query(request, "User"))


@router.post("/Users/.search", openapi_extra=documented.SEARCH_USERS)
async def search_scim_users(request: Request, access: Keeps) -> Response:
    """Users of the directory, with the filter and the page in the body."""
    return await _list(request, access, "User", search_in("User", await body_of(request)))


@router.get("/Users/{directory_user_id}", openapi_extra=documented.READ_USER)
async def get_scim_user(directory_user_id: UserKey, request: Request, access: Keeps) -> Response:
    """One user of the directory."""
    return await _get(request, access, "User", directory_user_id)


@router.post("/Users", status_code=201, openapi_extra=documented.NEW_USER)
async def create_scim_user(request: Request, access: Keeps) -> Response:
    """Take somebody into the directory.

    Who has an address is invited by mail; who is a member with this address is taken as that member. No account is
    made, and none of a person's other tenants is touched.
    """
    wanted, body = wanted_of(request, "User"), await body_of(request)
    entry_id = new_id("diruser")
    command = CreateDirectoryUser(directory_user_id=entry_id, tenant_id=access.tenant, resource=body)
    return await _written(request, access, command, entry_id, wanted, status=201)


@router.put("/Users/{directory_user_id}", openapi_extra=documented.PUT_USER)
async def replace_scim_user(directory_user_id: UserKey, request: Request, access: Keeps) -> Response:
    """Write all of a user anew. Whether they are active stays as it is where the body does not say."""
    wanted, body = wanted_of(request, "User"), await body_of(request)
    command = ReplaceDirectoryUser(
        directory_user_id=_known("User", directory_user_id),
        tenant_id=access.tenant,
        resource=body,
        if_match=_if_match(request),
    )
    return await _written(request, access, command, directory_user_id, wanted)


@router.patch("/Users/{directory_user_id}", openapi_extra=documented.PATCH_USER)
async def patch_scim_user(directory_user_id: UserKey, request: Request, access: Keeps) -> Response:
    """Change parts of a user. Somebody who is not active any more is out within 5 seconds, and their streams within
    15."""
    wanted, body = wanted_of(request, "User"), await body_of(request)
    command = PatchDirectoryUser(
        directory_user_id=_known("User", directory_user_id),
        tenant_id=access.tenant,
        body=body,
        if_match=_if_match(request),
    )
    return await _written(request, access, command, directory_user_id, wanted)


@router.delete("/Users/{directory_user_id}", status_code=204, openapi_extra=documented.DELETE)
async def delete_scim_user(directory_user_id: UserKey, request: Request, access: Keeps) -> Response:
    """Take somebody out of the directory and the tenant."""
    command = DeleteDirectoryUser(
        directory_user_id=_known("User", directory_user_id), tenant_id=access.tenant, if_match=_if_match(request)
    )
    await _ask(access, command)
    return Response(status_code=204)


# -- groups ------------------------------------------------------------------------------------------------------------


@router.get("/Groups", openapi_extra=documented.LIST_GROUPS)
async def list_scim_groups(request: Request, access: Keeps) -> Response:
    """Groups of the directory, by filter and page."""
    return await _list(request, access, "Group", search_in_query(request, "Group"))


@router.post("/Groups/.search", openapi_extra=documented.SEARCH_GROUPS)
async def search_scim_groups(request: Request, access: Keeps) -> Response:
    """Groups of the directory, with the filter and the page in the body."""
    return await _list(request, access, "Group", search_in("Group", await body_of(request)))


@router.get("/Groups/{directory_group_id}", openapi_extra=documented.READ_GROUP)
async def get_scim_group(directory_group_id: GroupKey, request: Request, access: Keeps) -> Response:
    """One group of the directory."""
    return await _get(request, access, "Group", directory_group_id)


@router.post("/Groups", status_code=201, openapi_extra=documented.NEW_GROUP)
async def create_scim_group(request: Request, access: Keeps) -> Response:
    """Make a group. It gives its people no role until the tenant says which (`PATCH /v1/directory/groups/…`)."""
    wanted, body = wanted_of(request, "Group"), await body_of(request)
    entry_id = new_id("dirgroup")
    command = CreateDirectoryGroup(directory_group_id=entry_id, tenant_id=access.tenant, resource=body)
    return await _written(request, access, command, entry_id, wanted, status=201)


@router.put("/Groups/{directory_group_id}", openapi_extra=documented.PUT_GROUP)
async def replace_scim_group(directory_group_id: GroupKey, request: Request, access: Keeps) -> Response:
    """Write all of a group anew, its members included."""
    wanted, body = wanted_of(request, "Group"), await body_of(request)
    command = ReplaceDirectoryGroup(
        directory_group_id=_known("Group", directory_group_id),
        tenant_id=access.tenant,
        resource=body,
        if_match=_if_match(request),
    )
    return await _written(request, access, command, directory_group_id, wanted)


@router.patch(
    "/Groups/{directory_group_id}",
    openapi_extra=documented.PATCH_GROUP,
    responses={204: {"description": "Done; there is no body"}},
)
async def patch_scim_group(directory_group_id: GroupKey, request: Request, access: Keeps) -> Response:
    """Change a group's name, or who is in it. Answered with 204 unless the request names attributes, for a group may be
    large."""
    wanted, body = wanted_of(request, "Group"), await body_of(request)
    command = PatchDirectoryGroup(
        directory_group_id=_known("Group", directory_group_id),
        tenant_id=access.tenant,
        body=body,
        if_match=_if_match(request),
    )
    if wanted.parameters.attributes or wanted.parameters.excluded_attributes:
        return await _written(request, access, command, directory_group_id, wanted)
    result = await _ask(access, command)
    return Response(status_code=204, headers={"ETag": f'W/"{result["version"]}"'})


@router.delete("/Groups/{directory_group_id}", status_code=204, openapi_extra=documented.DELETE)
async def delete_scim_group(directory_group_id: GroupKey, request: Request, access: Keeps) -> Response:
    """Forget a group. Its people lose the role that it gave."""
    command = DeleteDirectoryGroup(
        directory_group_id=_known("Group", directory_group_id), tenant_id=access.tenant, if_match=_if_match(request)
    )
    await _ask(access, command)
    return Response(status_code=204)


# -- both --------------------------------------------------------------------------------------------------------------


async def _list(request: Request, access: Access, kind: Kind, asked: Any) -> Response:
    limit = min(PAGE_SIZE if asked.count is None else asked.count, PAGE_SIZE_MAX)
    search = search_of(kind, asked, limit=limit)
    wanted = Wanted(kind, asked)
    async with access.newest_rows() as connection:
        total, rows = await directory.entries(connection, kind, access.tenant, search, related=wanted.related)
    return listed(request, kind, total, list(rows), asked)


async def _get(request: Request, access: Access, kind: Kind, entry_id: str) -> Response:
    wanted = wanted_of(request, kind)
    row = await _row(access, kind, entry_id, related=wanted.related)
    known = versions_in(request.headers.get("if-none-match"))
    if known is not None and {"*", str(row.version)} & set(known):
        return Response(status_code=304, headers={"ETag": tag_of(row)})
    return shown(request, kind, row, wanted)


async def _written(
    request: Request, access: Access, command: Command, entry_id: str, wanted: Wanted, status: int = 200
) -> Response:
    """Has the command done, and answers with the entry as it is then."""
    await _ask(access, command)
    row = await _row(access, wanted.kind, entry_id, related=wanted.related)
    return shown(request, wanted.kind, row, wanted, status)


async def _row(access: Access, kind: Kind, entry_id: str, *, related: bool) -> EntryRow:
    async with access.newest_rows() as connection:
        row = await directory.entry(connection, kind, access.tenant, _known(kind, entry_id), related=related)
    if row is None:
        raise _not_found()
    return row


async def _ask(access: Access, command: Command) -> Mapping[str, Any]:
    """The command's result. Raises what it was refused with, and Unavailable when there is no answer in time."""
    platform = access.platform
    answer = await platform.commands.request(
        command,
        tenant_id=access.tenant,
        actor=access.actor,
        traceparent=access.context.traceparent,
        wait_seconds=WAIT_SECONDS,
    )
    if answer.status == "pending":
        raise Unavailable("This takes longer than it may. Try again.")
    if answer.error is not None:
        raise from_body(answer.error)
    return answer.result or {}


def _known(kind: Kind, entry_id: str) -> str:
    if not (is_id(entry_id) and entry_id.startswith(f"{_PREFIXES[kind]}_")):
        raise _not_found()
    return entry_id


def _if_match(request: Request) -> tuple[str, ...] | None:
    return versions_in(request.headers.get("if-match"))


def _not_found() -> NotFound:
    return NotFound("There is no such entry in the directory.", code="entry_not_found")
