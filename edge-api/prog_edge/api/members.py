"""People of a tenant: members, invitations, and joining with the token of an invitation."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import Field
from starlette.responses import Response

from prog_contracts.credentials import TOKEN_MAX_LENGTH, tenant_of_invitation
from prog_contracts.errors import Denied, NotFound
from prog_contracts.ids import new_id
from prog_contracts.inputs import EMAIL_MAX_LENGTH
from prog_contracts.tenants import AcceptInvitation, InviteMember, TenantRole
from prog_edge.access import Access, Needs, SignedIn
from prog_edge.api.shapes import Body, Listing, Resource, problems
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


class Invitation(Resource):
    """An open invitation; its token is in the mail alone."""

    id: str = Field(examples=["invitation_01jd7z4c8nf3ktv9q2m6x0r5we"])
    email: str
    role: TenantRole
    expires_at: datetime


class NewInvitation(Body):
    email: str = Field(max_length=EMAIL_MAX_LENGTH, examples=["grace@example.com"])
    role: TenantRole = Field("member", description="At most the inviter's own.")


class Acceptance(Body):
    token: str = Field(min_length=1, max_length=TOKEN_MAX_LENGTH, description="From the link in the invitation.")


class Membership(Resource):
    tenant_id: str
    user_id: str
    role: TenantRole


@router.get("/tenants/{tenant_id}/members", responses=problems(401, 404))
async def list_members(
    tenant_id: str, access: Annotated[Access, Depends(Needs("member.read", "path"))]
) -> Listing[Member]:
    """The tenant's members, in the order of joining."""
    async with access.rows() as connection:
        rows = await queries.members(connection, tenant_id)
    members = [
        Member(user_id=row.user_id, email=row.email, name=row.name, role=row.role, joined_at=row.joined_at)
        for row in rows
    ]
    return Listing(data=members, next_cursor=None)


@router.get("/tenants/{tenant_id}/invitations", responses=problems(401, 403, 404))
async def list_invitations(
    tenant_id: str, access: Annotated[Access, Depends(Needs("member.read", "path"))]
) -> Listing[Invitation]:
    """Invitations that can still be accepted, newest first."""
    async with access.rows() as connection:
        rows = await queries.open_invitations(connection, tenant_id, await tenant_now(connection, tenant_id))
    invitations = [
        Invitation(id=row.invitation_id, email=row.email, role=row.role, expires_at=row.expires_at) for row in rows
    ]
    return Listing(data=invitations, next_cursor=None)


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
    """Invite somebody by mail. An earlier open invitation to the same address is replaced."""
    command = InviteMember(invitation_id=new_id("invitation"), tenant_id=tenant_id, email=body.email, role=body.role)
    return await perform(request, access, Write(command, tenant_id, _invited, status=201))


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


async def tenant_now(connection: Connection, tenant_id: str) -> datetime:
    """The present instant on the tenant's clock."""
    clock = await queries.clock(connection, tenant_id)
    return datetime.now(UTC) if clock is None else clock.stands_at


def _invited(result: Mapping[str, Any]) -> Invitation:
    return Invitation(
        id=result["invitation_id"], email=result["email"], role=result["role"], expires_at=result["expires_at"]
    )


def _joined(result: Mapping[str, Any]) -> Membership:
    return Membership(tenant_id=result["tenant_id"], user_id=result["user_id"], role=result["role"])
