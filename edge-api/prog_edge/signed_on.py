"""Whether a session or a key reaches a tenant that lets its people in by its own identity provider alone (ADR 22)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from prog_contracts.errors import Denied
from prog_contracts.tenants import TenantRole
from prog_edge.impersonation import is_impersonation
from prog_edge.platform import Platform
from prog_edge.sign_on_paths import SIGN_ON_REQUIRED, sign_on_path


async def require_signed_on(
    platform: Platform, user_id: str, session_id: str | None, tenant_id: str, role: TenantRole | None
) -> None:
    """Raises Denied with code `sign_on_required` when the tenant's provider has to vouch for a person, and has not.

    Asked for each request, so that a session from before the tenant enforced it reaches the tenant no more. Owners get
    in otherwise, too, or nobody could mend it; and so do the platform's staff, in a member's name, too, and people with
    addresses of domains that are not the tenant's. Without a session it is a key or a client's token, whose maker has
    to have signed on within the days that the tenant has set, if it has (ADR 18).
    """
    standing = await platform.standings.get(tenant_id)
    if standing is None or role == "owner" or (session_id is not None and is_impersonation(session_id)):
        return
    domains, key_days = standing.sign_on.domains, standing.sign_on.api_key_days
    if not domains or (session_id is None and key_days is None):
        return
    person = await platform.person(user_id)
    if person.platform_role is not None or person.email.rpartition("@")[2] not in domains:
        return
    if session_id is None:
        assert key_days is not None
        at = await platform.signed_on_at(user_id, tenant_id)
        if at is None or at + timedelta(days=key_days) <= datetime.now(UTC):
            raise Denied(
                "This tenant lets keys in whose maker has signed on through its own identity provider within the last"
                f" {key_days} days. Their maker signs on at {_address(platform, tenant_id)}",
                code=SIGN_ON_REQUIRED,
            )
        return
    session = await platform.session(user_id, session_id)
    if session is None or session.sign_on_tenant_id != tenant_id:
        raise Denied(
            "This tenant lets you in through its own identity provider alone. Sign on at"
            f" {_address(platform, tenant_id)}",
            code=SIGN_ON_REQUIRED,
        )


def _address(platform: Platform, tenant_id: str) -> str:
    return platform.settings.public_url.rstrip("/") + sign_on_path(tenant_id)
