"""Behind the pages about a tenant's people."""

from __future__ import annotations

from prog_contracts.errors import NotFound
from prog_contracts.tenants import ChangeMemberRole, RemoveMember, ResendInvitation, RevokeInvitation, TenantRole
from prog_edge.api.members import is_user, known_invitation
from prog_edge.backend.permission import role_for
from prog_edge.backend.sender import Sender
from prog_edge.platform import Platform
from prog_edge.web.ports import MemberRow, MemberView, Viewer
from prog_workers.tenants import queries


class Tenancy:
    """Implements `prog_edge.web.ports.TenancyBackend`."""

    def __init__(self, platform: Platform, sender: Sender) -> None:
        self._platform = platform
        self._sender = sender

    async def member(self, viewer: Viewer, tenant_id: str, user_id: str) -> MemberView:
        role = await role_for(self._platform, viewer, tenant_id, "member.read")
        async with self._platform.database.scope(tenant_id=tenant_id) as connection:
            tenant = await queries.tenant(connection, tenant_id)
            found = await queries.member(connection, tenant_id, user_id) if is_user(user_id) else None
            owners = await queries.count_owners(connection, tenant_id)
        if tenant is None or found is None:
            raise NotFound("This person is no member of the tenant.", code="member_not_found")
        return MemberView(
            tenant_id=tenant_id,
            tenant_name=tenant.name,
            viewer_role=role,
            member=MemberRow(found.user_id, found.name, found.email, found.role, found.joined_at),
            only_owner=found.role == "owner" and owners == 1,
        )

    async def change_role(
        self, viewer: Viewer, tenant_id: str, user_id: str, *, role: TenantRole, idempotency_key: str
    ) -> None:
        await role_for(self._platform, viewer, tenant_id, "member.manage")
        if not is_user(user_id):
            raise NotFound("This person is no member of the tenant.", code="member_not_found")
        command = ChangeMemberRole(tenant_id=tenant_id, user_id=user_id, role=role)
        await self._sender.ask(command, tenant_id=tenant_id, actor=viewer.user_id, idempotency_key=idempotency_key)
        self._platform.memberships.forget(user_id)

    async def remove_member(self, viewer: Viewer, tenant_id: str, user_id: str, *, idempotency_key: str) -> None:
        leaving = user_id == viewer.user_id
        await role_for(self._platform, viewer, tenant_id, "tenant.read" if leaving else "member.manage")
        if not is_user(user_id):
            raise NotFound("This person is no member of the tenant.", code="member_not_found")
        command = RemoveMember(tenant_id=tenant_id, user_id=user_id)
        await self._sender.ask(command, tenant_id=tenant_id, actor=viewer.user_id, idempotency_key=idempotency_key)
        self._platform.memberships.forget(user_id)

    async def resend_invitation(
        self, viewer: Viewer, tenant_id: str, invitation_id: str, *, idempotency_key: str
    ) -> str:
        await role_for(self._platform, viewer, tenant_id, "member.invite")
        command = ResendInvitation(invitation_id=known_invitation(invitation_id), tenant_id=tenant_id)
        result = await self._sender.ask(
            command, tenant_id=tenant_id, actor=viewer.user_id, idempotency_key=idempotency_key
        )
        return str(result["email"])

    async def revoke_invitation(
        self, viewer: Viewer, tenant_id: str, invitation_id: str, *, idempotency_key: str
    ) -> str:
        await role_for(self._platform, viewer, tenant_id, "member.invite")
        command = RevokeInvitation(invitation_id=known_invitation(invitation_id), tenant_id=tenant_id)
        result = await self._sender.ask(
            command, tenant_id=tenant_id, actor=viewer.user_id, idempotency_key=idempotency_key
        )
        return str(result["email"])
