"""Whether an account may end: not while a tenant has no owner but its person."""

from __future__ import annotations

from collections.abc import Sequence

from prog_contracts.errors import Conflict
from prog_edge.platform import Platform
from prog_workers.tenants import queries
from prog_workers.tenants.queries import OwnedRow


async def needed_by(platform: Platform, user_id: str) -> Sequence[OwnedRow]:
    """The tenants of which the person is the only owner, but for those that are being deleted."""
    async with platform.database.operator() as connection:
        return await queries.owned_alone(connection, user_id)


async def require_not_needed(platform: Platform, user_id: str) -> None:
    """Raises Conflict with code `last_owner`, which names the tenants. Whether it is so counts again at the end."""
    tenants = await needed_by(platform, user_id)
    if tenants:
        names = ", ".join(f"{tenant.name} ({tenant.tenant_id})" for tenant in tenants)
        message = f"There is no other owner of {names}. Make somebody else one, or delete the tenant, first."
        raise Conflict(message, code="last_owner")
