"""Behind the pages about a tenant's configuration, and behind its looks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from prog_contracts.actors import person_of
from prog_contracts.configuration import Configuration, ConfigureTenant, RollBackConfiguration, StoreLogo
from prog_contracts.errors import NotFound
from prog_contracts.ids import is_id
from prog_contracts.messages import Command
from prog_contracts.permissions import allowed, possible
from prog_edge import logos
from prog_edge.api.configuration import logo_path
from prog_edge.backend.permission import role_for
from prog_edge.backend.sender import Sender
from prog_edge.branding import Brand
from prog_edge.platform import Platform
from prog_edge.versions.table import VERSIONS, check_default
from prog_edge.web.ports import (
    BrandView,
    ChangeView,
    ConfigurationView,
    Upload,
    UsageView,
    UseView,
    VersionView,
    Viewer,
)
from prog_workers.tenants import queries
from prog_workers.tenants.queries import VersionRow

HISTORY: Final = 50
"""So many versions are shown; the API has all of them."""


class Configurations:
    """Implements `prog_edge.web.ports.ConfigurationBackend`."""

    def __init__(self, platform: Platform, sender: Sender) -> None:
        self._platform = platform
        self._sender = sender

    async def view(self, viewer: Viewer, tenant_id: str, version: int | None = None) -> ConfigurationView:
        role = await role_for(self._platform, viewer, tenant_id, "config.read")
        async with self._platform.database.scope(tenant_id=tenant_id) as connection:
            tenant = await queries.tenant(connection, tenant_id)
            current = await queries.config(connection, tenant_id)
            shown = current if version is None else await queries.config_version(connection, tenant_id, version)
            before = None
            if shown is not None:
                before = await queries.config_version(connection, tenant_id, shown.version - 1)
            page = await queries.config_history(connection, tenant_id, limit=HISTORY)
            names = {row.user_id: row.name for row in await queries.members(connection, tenant_id)}
        if tenant is None:
            raise NotFound("There is no such tenant.")
        if shown is None and version is not None:
            raise NotFound("The configuration never had this version.", code="config_version_not_found")
        configuration = Configuration() if shown is None else shown.configuration
        earlier = Configuration() if before is None else before.configuration
        return ConfigurationView(
            tenant_id=tenant_id,
            tenant_name=tenant.name,
            viewer_role=role,
            version=0 if shown is None else shown.version,
            current_version=0 if current is None else current.version,
            configuration=configuration,
            changes=[ChangeView(name, *values) for name, values in earlier.changes(configuration).items()],
            history=[_version(row, names) for row in page.rows],
            may_change=allowed(role, "config.update") and possible(tenant.status, "config.update"),
            logo_path=_logo_path(tenant_id, configuration),
            api_versions=[(version.name, version.title) for version in reversed(VERSIONS)],
        )

    async def usage(self, viewer: Viewer, tenant_id: str) -> UsageView:
        role = await role_for(self._platform, viewer, tenant_id, "tenant.read")
        async with self._platform.database.scope(tenant_id=tenant_id) as connection:
            tenant = await queries.tenant(connection, tenant_id)
        if tenant is None:
            raise NotFound("There is no such tenant.")
        uses = await self._platform.quotas.uses(tenant_id, tenant.clock_at or datetime.now(UTC))
        reads, writes = (self._platform.rates.quota_of(kind, tenant.plan) for kind in ("reads", "writes"))
        return UsageView(
            tenant_id=tenant_id,
            tenant_name=tenant.name,
            viewer_role=role,
            plan=tenant.plan,
            uses=[UseView(use.name, use.used, use.limit, use.percent, use.resets_at) for use in uses],
            reads_per_minute=None if reads is None else reads.quota,
            writes_per_minute=None if writes is None else writes.quota,
        )

    async def save(
        self,
        viewer: Viewer,
        tenant_id: str,
        configuration: Configuration,
        *,
        logo: Upload | None,
        expected_version: int,
        reason: str | None,
        idempotency_key: str,
    ) -> int:
        await role_for(self._platform, viewer, tenant_id, "config.update")
        check_default(configuration.api_version)
        if logo is not None:
            picture = await logos.drawn(logo.content)
            stored = StoreLogo(tenant_id=tenant_id, content=picture.content, width=picture.width, height=picture.height)
            result = await self._sender.ask(stored, tenant_id=tenant_id, actor=viewer.user_id)
            branding = configuration.branding.model_copy(update={"logo": result["logo_id"]})
            configuration = configuration.model_copy(update={"branding": branding})
        command = ConfigureTenant(
            tenant_id=tenant_id, configuration=configuration, expected_version=expected_version, reason=reason
        )
        return await self._send(viewer, tenant_id, command, idempotency_key)

    async def roll_back(
        self,
        viewer: Viewer,
        tenant_id: str,
        version: int,
        *,
        expected_version: int,
        reason: str | None,
        idempotency_key: str,
    ) -> int:
        await role_for(self._platform, viewer, tenant_id, "config.update")
        command = RollBackConfiguration(
            tenant_id=tenant_id, version=version, expected_version=expected_version, reason=reason
        )
        return await self._send(viewer, tenant_id, command, idempotency_key)

    async def _send(self, viewer: Viewer, tenant_id: str, command: Command, idempotency_key: str) -> int:
        result = await self._sender.ask(
            command, tenant_id=tenant_id, actor=viewer.user_id, idempotency_key=idempotency_key
        )
        self._platform.brands.forget(tenant_id)
        self._platform.sites.forget(tenant_id)
        self._platform.standings.forget(tenant_id)
        return int(result["version"])


class Branding:
    """Implements `prog_edge.web.ports.BrandingBackend`."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def for_member(self, viewer: Viewer, tenant_id: str) -> BrandView | None:
        if not _is_tenant(tenant_id) or await self._platform.role(viewer.user_id, tenant_id) is None:
            return None
        return _view(await self._platform.brands.get(tenant_id))

    async def is_member(self, viewer: Viewer, tenant_id: str) -> bool:
        return await self._platform.role(viewer.user_id, tenant_id) is not None

    async def for_site(self, tenant_id: str) -> BrandView | None:
        return _view(await self._platform.sites.get(tenant_id))

    async def style(self, tenant_id: str, version: int) -> str | None:
        brand = await self._platform.brands.get(tenant_id) if _is_tenant(tenant_id) else None
        if (
            brand is not None and brand.version != version
        ):  # it has just changed, and this edge remembers the one before
            brand = await self._platform.brands.get(tenant_id, anew=True)
        return None if brand is None or brand.version != version else stylesheet(brand)

    async def logo(self, tenant_id: str, logo_id: str) -> bytes | None:
        return await self._platform.logos.get(f"{tenant_id} {logo_id}") if _is_tenant(tenant_id) else None


def stylesheet(brand: Brand) -> str:
    """The brand's colours under the names of `theme.css`: in the theme that was chosen, or else the system's."""
    found = []
    for theme, other, accent, content in (
        ("light", "dark", brand.accent_light, "#ffffff"),
        ("dark", "light", brand.accent_dark, "#0e0f11"),
    ):
        if accent is not None:
            values = (
                f"--color-accent: {accent}; --color-accent-content: {content};"
                f" --color-primary: {accent}; --color-primary-content: {content};"
            )
            found.append(f'[data-theme="{theme}"] {{ {values} }}')
            by_system = f':root:not([data-theme="{other}"]) {{ {values} }}'
            found.append(f"@media (prefers-color-scheme: {theme}) {{ {by_system} }}")
    return "\n".join(found) + "\n"


def _view(brand: Brand | None) -> BrandView | None:
    return None if brand is None else BrandView(brand.name, brand.logo_path, brand.style_path, brand.support_address)


def _version(row: VersionRow, names: Mapping[str, str]) -> VersionView:
    person = person_of(row.changed_by)
    who = "The platform" if row.changed_by is None else names.get(person or "", row.changed_by)
    return VersionView(row.version, row.changed, who, row.changed_at, row.reason, row.restored_version)


def _logo_path(tenant_id: str, configuration: Configuration) -> str | None:
    logo = configuration.branding.logo
    return None if logo is None else logo_path(tenant_id, logo)


def _is_tenant(tenant_id: str) -> bool:
    return is_id(tenant_id) and tenant_id.startswith("tenant_")
