"""What somebody who looks at pages may do in a tenant."""

from __future__ import annotations

from prog_contracts.errors import Denied, NotFound
from prog_contracts.ids import is_id
from prog_contracts.permissions import Action, allowed
from prog_contracts.tenants import TenantRole
from prog_edge.context import current_context
from prog_edge.platform import Platform
from prog_edge.signed_on import require_signed_on
from prog_edge.web.ports import Viewer


async def role_for(
    platform: Platform, viewer: Viewer, tenant_id: str, action: Action, *, any_status: bool = False
) -> TenantRole:
    """The viewer's role. Raises NotFound for a stranger, Denied for a role that does not allow the action, and Conflict
    in a tenant whose status does not, unless `any_status` will do."""
    if not (is_id(tenant_id) and tenant_id.startswith("tenant_")):
        raise NotFound("There is no such tenant.")
    role: TenantRole | None = await platform.role(viewer.user_id, tenant_id)
    if viewer.is_operator:
        role = "owner"
    context = current_context()
    if role is None:
        if context is not None:
            context.turn_away("not_found", tenant_id, is_member=False, permission=action)
        raise NotFound("There is no such tenant.")
    if not allowed(role, action):
        if context is not None:
            context.turn_away("denied", tenant_id, is_member=True, permission=action)
        raise Denied(f"Your role ({role}) does not allow this.")
    await require_signed_on(platform, viewer.user_id, viewer.session_id, tenant_id, role)
    if not any_status:
        await platform.require_open(tenant_id, action)
    return role
