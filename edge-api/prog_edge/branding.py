"""How a tenant's pages look, remembered for a few seconds a tenant, and its logos.

What is remembered is found by the tenant's id alone, so two tenants never share a thing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from prog_contracts.configuration import Configuration
from prog_kit.database import Database
from prog_workers.tenants import queries

LOGOS_REMEMBERED: Final = 200


@dataclass(frozen=True, slots=True)
class Brand:
    """What a tenant has set of its looks. `version` is that of the configuration."""

    tenant_id: str
    version: int
    name: str
    logo: str | None
    accent_light: str | None
    accent_dark: str | None
    support_address: str | None

    @property
    def logo_path(self) -> str | None:
        return None if self.logo is None else f"/brand/{self.tenant_id}/logo/{self.logo}.png"

    @property
    def style_path(self) -> str | None:
        """Where its colours are; another version is another address, so they may be kept for long."""
        has_colors = self.accent_light is not None or self.accent_dark is not None
        return f"/brand/{self.tenant_id}/{self.version}.css" if has_colors else None


async def brand_of(database: Database, tenant_id: str, *, own_site: bool = False) -> Brand | None:
    """None for a tenant that has set nothing: its pages look as the platform's do. At a domain of its own they have its
    name all the same."""
    async with database.scope(tenant_id=tenant_id) as connection:
        row = await queries.config(connection, tenant_id)
        tenant = await queries.tenant(connection, tenant_id)
    if tenant is None or tenant.status == "deleted":
        return None
    configuration = Configuration() if row is None else row.configuration
    looks, mail = configuration.branding, configuration.mail
    if not own_site and not any((looks.name, looks.logo, looks.accent_light, looks.accent_dark, mail.support_address)):
        return None
    return Brand(
        tenant_id=tenant_id,
        version=0 if row is None else row.version,
        name=looks.name or tenant.name,
        logo=looks.logo,
        accent_light=looks.accent_light,
        accent_dark=looks.accent_dark,
        support_address=mail.support_address,
    )


async def logo_of(database: Database, key: str) -> bytes | None:
    """The PNG of a tenant and a logo, both of which are named in the key."""
    tenant_id, _, logo_id = key.partition(" ")
    async with database.scope(tenant_id=tenant_id) as connection:
        found = await queries.logo(connection, tenant_id, logo_id)
    return None if found is None else found.content
