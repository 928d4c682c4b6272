"""Tenants: made, listed, read, renamed, suspended and deleted; and their test clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from prog_contracts.errors import Denied, NotFound
from prog_contracts.ids import new_id
from prog_contracts.messages import Command
from prog_contracts.tenants import (
    AdvanceClock,
    CreateTenant,
    DeleteTenant,
    RenameTenant,
    RestoreTenant,
    ResumeTenant,
    SetClock,
    SuspendTenant,
    TenantRole,
    TenantStatus,
)
from prog_edge.access import Access, Needs, SignedIn, Staff
from prog_edge.api.operations import OperationResource
from prog_edge.api.shapes import Body, Listing, Paging, Resource, problems
from prog_edge.stepping_up import require_fresh_sign_in
from prog_edge.writes import Write, perform
from prog_workers.tenants import queries

router = APIRouter(prefix="/v1/tenants", tags=["Tenants"])

Name = Annotated[str, Field(min_length=1, max_length=80, examples=["Acme Ltd"])]


class Clock(Resource):
    """A test clock: it stands at `at` until it is advanced."""

    at: datetime
    advancing_to: datetime | None = None


class Tenant(Resource):
    """A customer of the platform. `clock` is null on the wall clock; `role` is the caller's own."""

    id: str = Field(examples=["tenant_01jd7z4c8nf3ktv9q2m6x0r5we"])
    name: str
    slug: str
    status: TenantStatus
    plan: str | None = Field(description="What the tenant pays for; null is the free plan.")
    member_count: int
    role: TenantRole | None = None
    clock: Clock | None = None
    suspension_reason: str | None = Field(None, description="Why the platform's operators have suspended it.")
    purge_at: datetime | None = Field(None, description="Until when a tenant that is `deleting` can be restored.")
    created_at: datetime


class Suspension(Body):
    reason: str = Field(min_length=1, max_length=500, description="The owners are told.", examples=["Unpaid invoices"])


class NewTenant(Body):
    name: Name


class TenantChange(Body):
    name: Name


class ClockStart(Body):
    at: AwareDatetime = Field(description="Where the clock is to stand.", examples=["2027-01-31T00:00:00Z"])


class ClockMove(Body):
    to: AwareDatetime = Field(description="Where the clock is to go.", examples=["2027-03-01T00:00:00Z"])


class Filters(Paging):
    status: TenantStatus | None = None
    search: str = Field("", max_length=200, description="Part of a name or slug; for staff also of an owner's address.")


@router.post("", status_code=201, response_model=Tenant, responses=problems(401, 409, 422, 503))
async def create_tenant(body: NewTenant, request: Request, access: Annotated[Access, Depends(SignedIn())]) -> Response:
    """Create a tenant. The caller becomes its owner; it is ready when its status is `active`, moments later.

    Whoever has as many of their own as one person may have here is told `too_many_tenants`."""
    person = await access.platform.person(access.caller.user_id)
    tenant_id = new_id("tenant")
    command = CreateTenant(
        tenant_id=tenant_id,
        name=body.name,
        owner_user_id=person.user_id,
        owner_email=person.email,
        owner_name=person.name,
    )
    write = Write(command, tenant_id, _created, status=201, location=_address)
    response = await perform(request, access, write)
    access.platform.memberships.forget(person.user_id)
    return response


@router.get("", responses=problems(401, 422))
async def list_tenants(
    filters: Annotated[Filters, Query()], access: Annotated[Access, Depends(SignedIn(impersonated=True))]
) -> Listing[Tenant]:
    """The caller's tenants in the order of joining; for the platform's staff, all of them, newest first."""
    async with access.rows() as connection:
        if access.caller.platform_role is None:
            own = await queries.tenants_of(
                connection,
                access.caller.user_id,
                search=filters.search,
                status=filters.status,
                limit=filters.limit,
                cursor=filters.cursor,
            )
            return Listing(data=[_of_membership(row) for row in own.rows], next_cursor=own.next_cursor)
        page = await queries.list_tenants(
            connection, search=filters.search, status=filters.status, limit=filters.limit, cursor=filters.cursor
        )
    return Listing(data=[_of_row(row, None) for row in page.rows], next_cursor=page.next_cursor)


@router.get("/{tenant_id}", responses=problems(401, 404))
async def get_tenant(tenant_id: str, access: Annotated[Access, Depends(Needs("tenant.read", "path"))]) -> Tenant:
    """One tenant."""
    async with access.rows() as connection:
        row = await queries.tenant(connection, tenant_id)
    if row is None:
        raise NotFound("There is no such tenant.")
    return _of_row(row, access.role)


@router.patch("/{tenant_id}", response_model=Tenant, responses=problems(401, 403, 404, 409, 422))
async def change_tenant(
    tenant_id: str,
    body: TenantChange,
    request: Request,
    access: Annotated[Access, Depends(Needs("tenant.update", "path"))],
) -> Response:
    """Rename a tenant."""
    return await _changed(request, access, RenameTenant(tenant_id=tenant_id, name=body.name), "name", "status")


@router.post("/{tenant_id}/suspend", response_model=Tenant, responses=problems(401, 403, 404, 409, 422))
async def suspend_tenant(
    tenant_id: str,
    body: Suspension,
    request: Request,
    access: Annotated[Access, Depends(Staff("platform.manage", "path"))],
) -> Response:
    """Suspend a tenant: it can be read, paid for and deleted, and nothing else, until it is resumed.

    Every edge knows within 5 seconds. The owners are told the reason by mail.
    """
    return await _changed(request, access, SuspendTenant(tenant_id=tenant_id, reason=body.reason), status="suspended")


@router.post("/{tenant_id}/resume", response_model=Tenant, responses=problems(401, 403, 404, 409))
async def resume_tenant(
    tenant_id: str, request: Request, access: Annotated[Access, Depends(Staff("platform.manage", "path"))]
) -> Response:
    """End a suspension."""
    return await _changed(request, access, ResumeTenant(tenant_id=tenant_id), status="active")


@router.delete("/{tenant_id}", response_model=Tenant, responses=problems(401, 403, 404, 409))
async def delete_tenant(
    tenant_id: str, request: Request, access: Annotated[Access, Depends(Needs("tenant.delete", "path"))]
) -> Response:
    """Delete a tenant, in 30 days on its own clock. Needs a sign-in of the last ten minutes.

    Until `purge_at` it can be read, and restored; its subscription is not renewed. Then everything in it goes but for
    what the law has the platform keep, such as issued invoices. The owners are told of each step by mail.
    """
    await require_fresh_sign_in(access.platform, access.caller.user_id, access.caller.session_id)
    return await _changed(request, access, DeleteTenant(tenant_id=tenant_id), "purge_at", status="deleting")


@router.post("/{tenant_id}/restore", response_model=Tenant, responses=problems(401, 403, 404, 409))
async def restore_tenant(
    tenant_id: str, request: Request, access: Annotated[Access, Depends(Needs("tenant.delete", "path"))]
) -> Response:
    """Take a deletion back while its grace period lasts: the tenant is what it was before."""
    return await _changed(request, access, RestoreTenant(tenant_id=tenant_id), "status")


async def _changed(request: Request, access: Access, command: Command, *told: str, **changed: Any) -> Response:
    """Sends the command and answers with the tenant as it is then: with what the result tells, and what is known."""
    async with access.newest_rows() as connection:
        row = await queries.tenant(connection, access.tenant)
    if row is None:
        raise NotFound("There is no such tenant.", code="tenant_not_found")
    before = _of_row(row, access.role)

    def present(result: Mapping[str, Any]) -> Tenant:
        now = {name: result[name] for name in told} | changed
        if "status" in now:
            now.setdefault("purge_at", None)
            now["suspension_reason"] = result.get(
                "reason", None if now["status"] == "active" else row.suspension_reason
            )
        return Tenant.model_validate({**before.model_dump(), **now})

    response = await perform(request, access, Write(command, access.tenant, present))
    access.platform.standings.forget(access.tenant)
    return response


@router.post("/{tenant_id}/clock", response_model=Clock, responses=problems(401, 403, 404, 409, 422))
async def set_clock(
    tenant_id: str,
    body: ClockStart,
    request: Request,
    access: Annotated[Access, Depends(Needs("clock.move", "path"))],
) -> Response:
    """Take the tenant off the wall clock, for good: from now on its time moves only when told.

    In production the platform's operators alone may do so, since bills follow the clock.
    """
    if access.platform.settings.env == "production" and access.caller.platform_role != "operator":
        raise Denied("Test clocks are for the platform's operators here.", code="test_clock_refused")
    command = SetClock(tenant_id=tenant_id, at=body.at)
    return await perform(request, access, Write(command, tenant_id, lambda result: Clock(at=result["at"])))


@router.post(
    "/{tenant_id}/clock/advance",
    status_code=202,
    response_model=OperationResource,
    responses=problems(401, 403, 404, 409, 422),
)
async def advance_clock(
    tenant_id: str, body: ClockMove, request: Request, access: Annotated[Access, Depends(Needs("clock.move", "path"))]
) -> Response:
    """Move the test clock. The operation is done when all work that falls due on the way is done."""
    command = AdvanceClock(tenant_id=tenant_id, to=body.to)
    return await perform(request, access, Write(command, tenant_id, lambda result: Clock(at=result["at"])))


@router.get("/{tenant_id}/clock", responses=problems(401, 404))
async def get_clock(tenant_id: str, access: Annotated[Access, Depends(Needs("tenant.read", "path"))]) -> Clock | None:
    """Where the tenant's test clock stands; null on the wall clock."""
    async with access.rows() as connection:
        row = await queries.clock(connection, tenant_id)
    return None if row is None else Clock(at=row.stands_at, advancing_to=row.advancing_to)


def _created(result: Mapping[str, Any]) -> Tenant:
    return Tenant(
        id=result["tenant_id"],
        name=result["name"],
        slug=result["slug"],
        status=result["status"],
        plan=None,
        member_count=1,
        role="owner",
        created_at=result["created_at"],
    )


def _address(tenant: Any) -> str:
    return f"/v1/tenants/{tenant.id}"


def _of_row(row: queries.TenantRow, role: TenantRole | None) -> Tenant:
    clock = None if row.clock_at is None else Clock(at=row.clock_at, advancing_to=row.clock_advancing_to)
    return Tenant(
        id=row.tenant_id,
        name=row.name,
        slug=row.slug,
        status=row.status,
        plan=row.plan,
        member_count=row.member_count,
        role=role,
        clock=clock,
        suspension_reason=row.suspension_reason,
        purge_at=row.purge_at,
        created_at=row.created_at,
    )


def _of_membership(row: queries.MembershipRow) -> Tenant:
    return Tenant(
        id=row.tenant_id,
        name=row.name,
        slug=row.slug,
        status=row.status,
        plan=row.plan,
        member_count=row.member_count,
        role=row.role,
        created_at=row.created_at,
    )
