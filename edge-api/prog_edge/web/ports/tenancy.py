"""What the pages about a tenant's people and its end need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from prog_contracts.tenants import TenantRole, TenantStatus
from prog_edge.web.ports.account import MemberRow
from prog_edge.web.ports.exports import ExportCard
from prog_edge.web.ports.shared import Viewer


@dataclass(frozen=True, slots=True)
class MemberView:
    """A member as somebody with the role `viewer_role` sees them. `only_owner`: the tenant has no other owner."""

    tenant_id: str
    tenant_name: str
    viewer_role: TenantRole
    member: MemberRow
    only_owner: bool


@dataclass(frozen=True, slots=True)
class TenantFacts:
    """A tenant as the platform's operators see it."""

    id: str
    name: str
    slug: str
    status: TenantStatus
    plan: str | None
    created_at: datetime
    members: Sequence[MemberRow]
    clock_at: datetime | None = None
    suspension_reason: str | None = None
    purge_at: datetime | None = None
    exports: Sequence[ExportCard] = ()


class TenancyBackend(Protocol):
    """The viewer's tenants alone: any other id is `NotFound`, as if it did not exist."""

    async def member(self, viewer: Viewer, tenant_id: str, user_id: str) -> MemberView: ...

    async def change_role(
        self, viewer: Viewer, tenant_id: str, user_id: str, *, role: TenantRole, idempotency_key: str
    ) -> None: ...

    async def remove_member(self, viewer: Viewer, tenant_id: str, user_id: str, *, idempotency_key: str) -> None:
        """Also for the viewer themselves, who leaves."""
        ...

    async def resend_invitation(
        self, viewer: Viewer, tenant_id: str, invitation_id: str, *, idempotency_key: str
    ) -> str:
        """The address that it went to."""
        ...

    async def revoke_invitation(
        self, viewer: Viewer, tenant_id: str, invitation_id: str, *, idempotency_key: str
    ) -> str:
        """The address that it had gone to."""
        ...

    async def rename_tenant(self, viewer: Viewer, tenant_id: str, *, name: str, idempotency_key: str) -> None: ...

    async def delete_tenant(self, viewer: Viewer, tenant_id: str, *, idempotency_key: str) -> datetime:
        """Until when it can be restored. Raises Denied with code `fresh_sign_in_required`."""
        ...

    async def restore_tenant(self, viewer: Viewer, tenant_id: str, *, idempotency_key: str) -> None: ...

    async def facts(self, viewer: Viewer, tenant_id: str) -> TenantFacts:
        """For the platform's operators alone."""
        ...

    async def suspend_tenant(self, viewer: Viewer, tenant_id: str, *, reason: str, idempotency_key: str) -> None:
        """For the platform's operators alone."""
        ...

    async def resume_tenant(self, viewer: Viewer, tenant_id: str, *, idempotency_key: str) -> None:
        """For the platform's operators alone."""
        ...
