"""Behind the page of a tenant's custom domains."""

from __future__ import annotations

from typing import Any, cast

from prog_contracts.custom_domains import (
    RECORD_LABEL,
    CheckCustomDomain,
    ClaimCustomDomain,
    CustomDomainStatus,
    ReleaseCustomDomain,
)
from prog_contracts.errors import NotFound
from prog_contracts.hosts import is_address
from prog_contracts.messages import Command
from prog_contracts.sign_on import DNS_VALUE
from prog_edge.backend.permission import role_for
from prog_edge.backend.sender import Sender
from prog_edge.platform import Platform
from prog_edge.stepping_up import require_fresh_sign_in
from prog_edge.web.ports import Viewer
from prog_edge.web.ports.custom_domains import CustomDomainCard, CustomDomainsView
from prog_kit.hosts import hosts_of
from prog_workers.tenants import queries
from prog_workers.tenants.queries.custom_domains import custom_domains


class CustomDomains:
    """Implements `prog_edge.web.ports.custom_domains.CustomDomainsBackend`."""

    def __init__(self, platform: Platform, sender: Sender) -> None:
        self._platform = platform
        self._sender = sender
        self._hosts = hosts_of(platform.settings)

    async def view(self, viewer: Viewer, tenant_id: str) -> CustomDomainsView:
        await role_for(self._platform, viewer, tenant_id, "custom_domain.manage")
        async with self._platform.database.scope(tenant_id=tenant_id) as connection:
            tenant = await queries.tenant(connection, tenant_id)
            rows = await custom_domains(connection, tenant_id)
        if tenant is None:
            raise NotFound("There is no such tenant.")
        return CustomDomainsView(
            tenant_id=tenant_id,
            tenant_name=tenant.name,
            target=self._hosts.target,
            is_address=is_address(self._hosts.target),
            limit=await self._platform.limit(tenant_id, "custom_domains"),
            domains=[
                CustomDomainCard(
                    domain=row.domain,
                    status=row.status,
                    url=self._hosts.url_of(row.domain),
                    record=f"{RECORD_LABEL}.{row.domain}",
                    value=f"{DNS_VALUE}{row.token}",
                    looked_at=row.looked_at,
                    missing_since=row.missing_since,
                    problem=row.problem,
                    seen=row.seen,
                )
                for row in rows
            ],
        )

    async def claim(self, viewer: Viewer, tenant_id: str, domain: str, *, idempotency_key: str) -> None:
        command = ClaimCustomDomain(tenant_id=tenant_id, domain_name=domain)
        await self._change(viewer, tenant_id, command, idempotency_key)

    async def check(self, viewer: Viewer, tenant_id: str, domain: str) -> CustomDomainStatus:
        result = await self._change(viewer, tenant_id, CheckCustomDomain(tenant_id=tenant_id, domain_name=domain))
        return cast("CustomDomainStatus", result["status"])

    async def release(self, viewer: Viewer, tenant_id: str, domain: str) -> None:
        await self._change(viewer, tenant_id, ReleaseCustomDomain(tenant_id=tenant_id, domain_name=domain))

    async def _change(
        self, viewer: Viewer, tenant_id: str, command: Command, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        await role_for(self._platform, viewer, tenant_id, "custom_domain.manage")
        await require_fresh_sign_in(self._platform, viewer.user_id, viewer.session_id)
        result = await self._sender.ask(
            command, tenant_id=tenant_id, actor=viewer.user_id, idempotency_key=idempotency_key
        )
        self._platform.hosts.forget()
        return result
