"""People of a tenant: members, their roles and removal, invitations, and joining with the token of one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field
from starlette.responses import Response

from prog_contracts.credentials import TOKEN_MAX_LENGTH, tenant_of_invitation
from prog_contracts.errors import Denied, NotFound
from prog_contracts.ids import is_id, new_id
from prog_contracts.permissions import covers
from prog_contracts.tenants import (
    AcceptInvitation,
    ChangeMemberRole,
    InviteMember,
    RemoveMember,
    ResendInvitation,
    RevokeInvitation,
    TenantRole,
)
from prog_edge.access import Access, Needs, SignedIn
from prog_edge.api.shapes import Body, EmailAddress, Listing, Paging, Resource, problems
from prog_edge.writes import Write, perform
from prog_kit.database import Connection
from prog_kit.secrets import TOKEN
from prog_workers.tenants import queries

router = APIRouter(prefix="/v1", tags=["Tenants"])


class Member(Resource):
    user_id: str
    email: str
    name: str
    role: TenantRole
    joined_at: datetime


class RoleChange(Body):
    role: TenantRole = Field(description="At most the caller's own.")


class Invitation(Resource):
    """An open invitation; its token is in the mail alone. One that has `expired` can be sent again."""

    id: str = Field(examples=["invitation_01jd7z4c8nf3ktv9q2m6x0r5we"])
    email: str
    role: TenantRole
    expires_at: datetime
    expired: bool = False


class NewInvitation(Body):
    email: EmailAddress
    role: TenantRole = Field("member", description="At most the inviter's own.")


class Acceptance(Body):
    token: str = Field(min_length=1, max_length=TOKEN_MAX_LENGTH, description="From the link in the invitation.")


class Membership(Resource):
    tenant_id: str
    user_id: str
    role: TenantRole


class MembersQuery(Paging):
    limit: int = Field(
        queries.MEMBERS_AT_ONCE, ge=1, le=queries.MEMBERS_AT_ONCE, description="How many to answer with, at most."
    )


@router.get("/tenants/{tenant_id}/members", responses=problems(401, 404, 422))
async def list_members(
    tenant_id: str,
    paging: Annotated[MembersQuery, Query()],
    access: Annotated[Access, Depends(Needs("member.read", "path"))],
) -> Listing[Member]:
    """The tenant's members, in the order of joining."""
    async with access.rows() as connection:
        page = await queries.members_page(connection, tenant_id, limit=paging.limit, cursor=paging.cursor)
    return Listing(data=[_member(row) for row in page.rows], next_cursor=page.next_cursor)


@router.patch(
    "/tenants/{tenant_id}/members/{user_id}", response_model=Member, responses=problems(401, 403, 404, 409, 422)
)
async def change_member_role(
    tenant_id: str,
    user_id: Annotated[str, Path(max_length=100)],
    body: RoleChange,
    request: Request,
    access: Annotated[Access, Depends(Needs("member.manage", "path"))],
) -> Response:
    """Give a member another role: neither theirs nor the new one may allow more than the caller's own.

    A tenant keeps an owner. What the person may do changes within 5 seconds; their live streams end within 15.
    """
    async with access.newest_rows() as connection:
        row = None if not is_user(user_id) else await queries.member(connection, tenant_id, user_id)
    if row is None:
        raise NotFound("This person is no member of the tenant.", code="member_not_found")
    _require_covered(access, row.role, body.role)
    before = _member(row)

    def changed(result: Mapping[str, Any]) -> Member:
        return before.model_copy(update={"role": result["role"]})

    command = ChangeMemberRole(tenant_id=tenant_id, user_id=user_id, role=body.role)
    response = await perform(request, access, Write(command, tenant_id, changed))
    access.platform.memberships.forget(user_id)
    return response


@router.delete("/tenants/{tenant_id}/members/{user_id}", status_code=204, responses=problems(401, 403, 404, 409))
async def remove_member(
    tenant_id: str,
    user_id: Annotated[str, Path(max_length=100)],
    request: Request,
    access: Annotated[Access, Depends(Needs("member.manage", "path"))],
) -> Response:
    """Remove a member who may do no more than the caller. A tenant keeps an owner.

    The person gets in for 5 seconds more at most, and their live streams end within 15. Invitations that they have
    sent and that nobody has accepted are revoked.
    """
    async with access.newest_rows() as connection:
        row = None if not is_user(user_id) else await queries.member(connection, tenant_id, user_id)
    if row is None:
        raise NotFound("This person is no member of the tenant.", code="member_not_found")
    _require_covered(access, row.role)
    return await _remove(request, access, tenant_id, user_id)


@router.post("/tenants/{tenant_id}/leave", status_code=204, responses=problems(401, 404, 409))
async def leave_tenant(
    tenant_id: Annotated[str, Path(max_length=100)],
    request: Request,
    access: Annotated[Access, Depends(SignedIn())],
) -> Response:
    """Leave a tenant. Its only owner makes somebody else an owner first."""
    if not (is_id(tenant_id) and tenant_id.startswith("tenant_")):
        raise NotFound("There is no such tenant.")
    return await _remove(request, access, tenant_id, access.caller.user_id)


async def _remove(request: Request, access: Access, tenant_id: str, user_id: str) -> Response:
    command = RemoveMember(tenant_id=tenant_id, user_id=user_id)
    response = await perform(request, access, Write(command, tenant_id, lambda _: None))
    access.platform.memberships.forget(user_id)
    return response


@router.get("/tenants/{tenant_id}/invitations", responses=problems(401, 403, 404))
async def list_invitations(
    tenant_id: str, access: Annotated[Access, Depends(Needs("member.read", "path"))]
) -> Listing[Invitation]:
    """Invitations that were neither accepted nor revoked, newest first."""
    async with access.rows() as connection:
        rows = await queries.open_invitations(connection, tenant_id, await tenant_now(connection, tenant_id))
    return Listing(data=[_invitation(row) for row in rows], next_cursor=None)


@router.post(
    "/tenants/{tenant_id}/invitations",
    status_code=201,
    response_model=Invitation,
    responses=problems(401, 403, 404, 409, 422),
)
async def invite(
    tenant_id: str,
    body: NewInvitation,
    request: Request,
    access: Annotated[Access, Depends(Needs("member.invite", "path"))],
) -> Response:
    """Invite somebody by mail. An earlier open invitation to the same address is replaced.

    An API key may invite for no role that has a right beyond its scopes.
    """
    _require_covered(access, body.role)
    command = InviteMember(invitation_id=new_id("invitation"), tenant_id=tenant_id, email=body.email, role=body.role)
    return await perform(request, access, Write(command, tenant_id, _invited, status=201))


@router.post(
    "/tenants/{tenant_id}/invitations/{invitation_id}/resend",
    response_model=Invitation,
    responses=problems(401, 403, 404, 409),
)
async def resend_invitation(
    tenant_id: str,
    invitation_id: Annotated[str, Path(max_length=100)],
    request: Request,
    access: Annotated[Access, Depends(Needs("member.invite", "path"))],
) -> Response:
    """Mail a new link and let the invitation run anew, also after it has expired. The link before ends."""
    command = ResendInvitation(invitation_id=known_invitation(invitation_id), tenant_id=tenant_id)
    if access.caller.key is not None:
        async with access.newest_rows() as connection:
            rows = await queries.open_invitations(connection, tenant_id, await tenant_now(connection, tenant_id))
        _require_covered(access, *(row.role for row in rows if row.invitation_id == invitation_id))
    return await perform(request, access, Write(command, tenant_id, _invited))


@router.delete(
    "/tenants/{tenant_id}/invitations/{invitation_id}", status_code=204, responses=problems(401, 403, 404, 409)
)
async def revoke_invitation(
    tenant_id: str,
    invitation_id: Annotated[str, Path(max_length=100)],
    request: Request,
    access: Annotated[Access, Depends(Needs("member.invite", "path"))],
) -> Response:
    """Take an invitation back: its link does not work any more."""
    command = RevokeInvitation(invitation_id=known_invitation(invitation_id), tenant_id=tenant_id)
    return await perform(request, access, Write(command, tenant_id, lambda _: None))


@router.post("/invitations/accept", response_model=Membership, responses=problems(401, 403, 404, 409, 422))
async def accept_invitation(
    body: Acceptance, request: Request, access: Annotated[Access, Depends(SignedIn())]
) -> Response:
    """Join a tenant with the token of an invitation to the caller's own verified address."""
    command = await acceptance(access, body.token)
    response = await perform(request, access, Write(command, command.tenant_id, _joined))
    access.platform.memberships.forget(access.caller.user_id)
    return response


async def acceptance(access: Access, token: str) -> AcceptInvitation:
    """The command that spends an invitation's token for the caller.

    Raises NotFound for what is no such token, Denied while the caller's address is not verified.
    """
    tenant_id = tenant_of_invitation(token)
    if tenant_id is None:
        raise NotFound("This invitation does not exist or is not open any more.", code="invitation_invalid")
    person = await access.platform.person(access.caller.user_id)
    if person.email_verified_at is None:
        raise Denied("Verify your address first: then the invitation can be accepted.", code="unverified")
    return AcceptInvitation(
        tenant_id=tenant_id,
        sealed_token=access.platform.sealer.seal(token, TOKEN),
        user_id=person.user_id,
        email=person.email,
        name=person.name,
    )


def _require_covered(access: Access, *roles: TenantRole) -> None:
    """Raises Denied for an API key that gives, or touches somebody of, a role with a right beyond its scopes.

    What people may the domain decides, which knows roles and no scopes.
    """
    scopes = access.caller.scopes
    if scopes is not None and not all(covers(access.role, role, scopes) for role in roles):
        raise Denied("This role has rights beyond the scopes of this API key.", code="role_too_high")


def is_user(user_id: str) -> bool:
    return is_id(user_id) and user_id.startswith("user_")


def known_invitation(invitation_id: str) -> str:
    """The id of an invitation. Raises NotFound for what is none."""
    if not (is_id(invitation_id) and invitation_id.startswith("invitation_")):
        raise NotFound("This invitation does not exist or is not open any more.", code="invitation_invalid")
    return invitation_id


async def tenant_now(connection: Connection, tenant_id: str) -> datetime:
    """The present instant on the tenant's clock."""
    clock = await queries.clock(connection, tenant_id)
    return datetime.now(UTC) if clock is None else clock.stands_at


def _member(row: queries.MemberRow) -> Member:
    return Member(user_id=row.user_id, email=row.email, name=row.name, role=row.role, joined_at=row.joined_at)


def _invitation(row: queries.InvitationRow) -> Invitation:
    return Invitation(
        id=row.invitation_id, email=row.email, role=row.role, expires_at=row.expires_at, expired=row.expired
    )


def _invited(result: Mapping[str, Any]) -> Invitation:
    return Invitation(
        id=result["invitation_id"], email=result["email"], role=result["role"], expires_at=result["expires_at"]
    )


def _joined(result: Mapping[str, Any]) -> Membership:
    return Membership(tenant_id=result["tenant_id"], user_id=result["user_id"], role=result["role"])
