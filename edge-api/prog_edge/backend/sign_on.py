"""Behind the page of a tenant's sign-on."""

from __future__ import annotations

from typing import cast, get_args

from prog_contracts.errors import Invalid, NotFound
from prog_contracts.messages import Command
from prog_contracts.sign_on import (
    API_KEY_DAYS_MAX,
    DNS_LABEL,
    DNS_VALUE,
    CheckDomain,
    ClaimDomain,
    ReleaseDomain,
    RemoveSignOn,
    SignOnRole,
)
from prog_edge.backend.permission import role_for
from prog_edge.backend.sender import Sender
from prog_edge.platform import Platform
from prog_edge.sign_on import configuration
from prog_edge.stepping_up import require_fresh_sign_in
from prog_edge.web.ports import Viewer
from prog_edge.web.ports.sign_on import DomainCard, SignOnView
from prog_workers.tenants import queries


class SignOn:
    """Implements `prog_edge.web.ports.sign_on.SignOnBackend`."""

    def __init__(self, platform: Platform, sender: Sender) -> None:
        self._platform = platform
        self._sender = sender

    async def view(self, viewer: Viewer, tenant_id: str) -> SignOnView:
        await role_for(self._platform, viewer, tenant_id, "sign_on.manage")
        async with self._platform.database.scope(tenant_id=tenant_id) as connection:
            tenant = await queries.tenant(connection, tenant_id)
            row = await queries.sign_on(connection, tenant_id)
            domains = await queries.domains(connection, tenant_id)
        if tenant is None:
            raise NotFound("There is no such tenant.")
        base = self._platform.settings.public_url.rstrip("/")
        return SignOnView(
            tenant_id=tenant_id,
            tenant_name=tenant.name,
            redirect_uri=f"{base}/v1/auth/oauth/{tenant_id}/callback",
            domains=[
                DomainCard(
                    each.domain,
                    f"{DNS_LABEL}.{each.domain}",
                    f"{DNS_VALUE}{each.token}",
                    each.proven_at,
                    each.missing_since,
                )
                for each in domains
            ],
            issuer=None if row is None else row.issuer,
            client_id=None if row is None else row.client_id,
            default_role="member" if row is None else row.default_role,
            enforced=row is not None and row.enforced,
            api_key_days=None if row is None else row.api_key_days,
        )

    async def configure(
        self,
        viewer: Viewer,
        tenant_id: str,
        *,
        issuer: str,
        client_id: str,
        client_secret: str,
        default_role: str,
        enforced: bool,
        api_key_days: str,
        idempotency_key: str,
    ) -> None:
        await self._may_change(viewer, tenant_id)
        if default_role not in get_args(SignOnRole):
            raise Invalid.field("default_role", "unknown", "Choose one of these.")
        command = await configuration(
            self._platform,
            tenant_id,
            issuer=issuer,
            client_id=client_id,
            client_secret=client_secret or None,
            default_role=cast("SignOnRole", default_role),
            enforced=enforced,
            api_key_days=_days(api_key_days),
        )
        await self._ask(viewer, tenant_id, command, idempotency_key)

    async def remove(self, viewer: Viewer, tenant_id: str) -> None:
        await self._may_change(viewer, tenant_id)
        await self._ask(viewer, tenant_id, RemoveSignOn(tenant_id=tenant_id))

    async def claim(self, viewer: Viewer, tenant_id: str, domain: str, *, idempotency_key: str) -> None:
        await self._may_change(viewer, tenant_id)
        await self._ask(viewer, tenant_id, ClaimDomain(tenant_id=tenant_id, domain_name=domain), idempotency_key)

    async def check(self, viewer: Viewer, tenant_id: str, domain: str) -> None:
        await self._may_change(viewer, tenant_id)
        await self._ask(viewer, tenant_id, CheckDomain(tenant_id=tenant_id, domain_name=domain))

    async def release(self, viewer: Viewer, tenant_id: str, domain: str) -> None:
        await self._may_change(viewer, tenant_id)
        await self._ask(viewer, tenant_id, ReleaseDomain(tenant_id=tenant_id, domain_name=domain))

    async def _may_change(self, viewer: Viewer, tenant_id: str) -> None:
        await role_for(self._platform, viewer, tenant_id, "sign_on.manage")
        await require_fresh_sign_in(self._platform, viewer.user_id, viewer.session_id)

    async def _ask(self, viewer: Viewer, tenant_id: str, command: Command, idempotency_key: str | None = None) -> None:
        await self._sender.ask(command, tenant_id=tenant_id, actor=viewer.user_id, idempotency_key=idempotency_key)


def _days(text: str) -> int | None:
    """How many days a form names; None for none."""
    text = text.strip()
    if not text:
        return None
    if text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= API_KEY_DAYS_MAX:
        return int(text)
    raise Invalid.field("api_key_days", "out_of_range", f"Enter 1 to {API_KEY_DAYS_MAX} days, or nothing.")
