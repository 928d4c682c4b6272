"""SQL of tenants' own hosts, to which links in mails may lead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prog_broker.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Site:
    """A tenant's host that is active, and the domains of addresses that the tenant has proven."""

    mail_domain: str
    address_domains: frozenset[str]


async def site(tx: Transaction, tenant_id: str) -> Site | None:
    """The host of a tenant; None where its links lead to the platform."""
    row = await tx.fetchrow(
        "SELECT mail_domain, address_domains FROM email.sites WHERE site_tenant_id = $1 AND mail_domain IS NOT NULL",
        tenant_id,
    )
    return None if row is None else Site(row["mail_domain"], frozenset(row["address_domains"]))


async def put_mail_domain(tx: Transaction, tenant_id: str, mail_domain: str | None) -> None:
    await tx.execute(
        "INSERT INTO email.sites (site_tenant_id, mail_domain) VALUES ($1, $2)"
        " ON CONFLICT (site_tenant_id) DO UPDATE SET mail_domain = EXCLUDED.mail_domain",
        tenant_id,
        mail_domain,
    )


async def put_address_domains(tx: Transaction, tenant_id: str, domains: Sequence[str]) -> None:
    await tx.execute(
        "INSERT INTO email.sites (site_tenant_id, address_domains) VALUES ($1, $2)"
        " ON CONFLICT (site_tenant_id) DO UPDATE SET address_domains = EXCLUDED.address_domains",
        tenant_id,
        list(domains),
    )


async def drop_site(tx: Transaction, tenant_id: str) -> None:
    await tx.execute("DELETE FROM email.sites WHERE site_tenant_id = $1", tenant_id)
