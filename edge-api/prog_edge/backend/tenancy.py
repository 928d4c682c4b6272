"""Behind the pages about a tenant's people and its end."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from prog_contracts.errors import Denied, NotFound
from prog_contracts.ids import is_id
from prog_contracts.messages import Command
from prog_contracts.tenants import (
    ChangeMemberRole,
    DeleteTenant,
    RemoveMember,
    RenameTenant,
    ResendInvitation,
    RestoreTenant,
    ResumeTenant,
    RevokeInvitation,
    SuspendTenant,
    TenantRole,
)
from prog_edge.api.members import is_user, known_invitation
from prog_edge.backend.exports import export_cards
from prog_edge.backend.permission import role_for
from prog_edge.backend.sender import Sender
from prog_edge.platform import Platform
from prog_edge.stepping_up import require_fresh_sign_in
from prog_edge.web.ports import MemberRow, MemberView, TenantFacts, Viewer
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

    async def rename_tenant(self, viewer: Viewer, tenant_id: str, *, name: str, idempotency_key: str) -> None:
        await role_for(self._platform, viewer, tenant_id, "tenant.update")
        command = RenameTenant(tenant_id=tenant_id, name=name)
        await self._sender.ask(command, tenant_id=tenant_id, actor=viewer.user_id, idempotency_key=idempotency_key)

    async def delete_tenant(self, viewer: Viewer, tenant_id: str, *, idempotency_key: str) -> datetime:
        await role_for(self._platform, viewer, tenant_id, "tenant.delete")
        await require_fresh_sign_in(self._platform, viewer.user_id, viewer.session_id)
        result = await self._end(viewer, DeleteTenant(tenant_id=tenant_id), tenant_id, idempotency_key)
        return datetime.fromisoformat(result["purge_at"])

    async def restore_tenant(self, viewer: Viewer, tenant_id: str, *, idempotency_key: str) -> None:
        await role_for(self._platform, viewer, tenant_id, "tenant.delete")
        await self._end(viewer, RestoreTenant(tenant_id=tenant_id), tenant_id, idempotency_key)

    async def facts(self, viewer: Viewer, tenant_id: str) -> TenantFacts:
        _check_operator(viewer, tenant_id)
        async with self._platform.database.scope(tenant_id=tenant_id) as connection:
            row = await queries.tenant(connection, tenant_id)
            members = await queries.members(connection, tenant_id)
            exports = await queries.exports(connection, tenant_id)
        if row is None:
            raise NotFound("There is no such tenant.")
        return TenantFacts(
            id=row.tenant_id,
            name=row.name,
            slug=row.slug,
            status=row.status,
            plan=row.plan,
            created_at=row.created_at,
            members=[MemberRow(item.user_id, item.name, item.email, item.role, item.joined_at) for item in members],
            clock_at=row.clock_at,
            suspension_reason=row.suspension_reason,
            purge_at=row.purge_at,
            exports=export_cards(exports, {item.user_id: item.name for item in members}),
        )

    async def suspend_tenant(self, viewer: Viewer, tenant_id: str, *, reason: str, idempotency_key: str) -> None:
        _check_operator(viewer, tenant_id)
        await self._end(viewer, SuspendTenant(tenant_id=tenant_id, reason=reason), tenant_id, idempotency_key)

    async def resume_tenant(self, viewer: Viewer, tenant_id: str, *, idempotency_key: str) -> None:
        _check_operator(viewer, tenant_id)
        await self._end(viewer, ResumeTenant(tenant_id=tenant_id), tenant_id, idempotency_key)

    async def _end(self, viewer: Viewer, command: Command, tenant_id: str, idempotency_key: str) -> dict[str, Any]:
        """Sends what changes a tenant's status."""
        result = await self._sender.ask(
            command, tenant_id=tenant_id, actor=viewer.user_id, idempotency_key=idempotency_key
        )
        self._platform.standings.forget(tenant_id)
        return result


def _check_operator(viewer: Viewer, tenant_id: str) -> None:
    if not viewer.is_operator:
        raise Denied("This is for the platform's operators.")
    if not (is_id(tenant_id) and tenant_id.startswith("tenant_")):
        raise NotFound("There is no such tenant.")
