"""Whether a session reaches a tenant that lets its people in by its own identity provider alone (ADR 22)."""

from __future__ import annotations

from prog_contracts.errors import Denied
from prog_contracts.tenants import TenantRole
from prog_edge.impersonation import is_impersonation
from prog_edge.platform import Platform
from prog_edge.sign_on_paths import SIGN_ON_REQUIRED, sign_on_path


async def require_signed_on(
    platform: Platform, user_id: str, session_id: str, tenant_id: str, role: TenantRole | None
) -> None:
    """Raises Denied with code `sign_on_required` when the tenant's provider has to vouch for a person, and has not.

    Asked for each request, so that a session from before the tenant enforced it reaches the tenant no more. Owners get
    in otherwise, too, or nobody could mend it; and so do the platform's staff, in a member's name, too, and people with
    addresses of domains that are not the tenant's.
    """
    standing = await platform.standings.get(tenant_id)
    if standing is None or not standing.enforced_domains or role == "owner" or is_impersonation(session_id):
        return
    person = await platform.person(user_id)
    if person.platform_role is not None or person.email.rpartition("@")[2] not in standing.enforced_domains:
        return
    session = await platform.session(user_id, session_id)
    if session is None or session.sign_on_tenant_id != tenant_id:
        address = platform.settings.public_url.rstrip("/") + sign_on_path(tenant_id)
        message = f"This tenant lets you in through its own identity provider alone. Sign on at {address}"
        raise Denied(message, code=SIGN_ON_REQUIRED)
