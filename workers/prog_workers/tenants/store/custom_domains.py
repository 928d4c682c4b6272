"""SQL of custom domains: what was found of those that a tenant has claimed (`claims`), and those that are proven, which
no two tenants share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from prog_broker.transaction import Transaction
from prog_contracts.custom_domains import CustomDomainProblem
from prog_contracts.quotas import limits_of


@dataclass(frozen=True, slots=True)
class Served:
    """A proven domain. `active` leads to the platform; `missing_for` is how long its record has been gone."""

    active: bool
    missing_for: timedelta | None


async def custom_domain_limit(tx: Transaction, plan: str | None) -> int | None:
    """How many the tenant may have; what its plan allows where it was given its limits before there was this one."""
    row = await tx.fetchrow(
        "SELECT value FROM tenants.limits WHERE tenant_id = $1 AND name = 'custom_domains'", tx.tenant_id
    )
    return limits_of(plan)["custom_domains"] if row is None else row["value"]


async def serve_domain(tx: Transaction, domain: str) -> bool:
    """Makes a claimed domain the tenant's; False when it is another tenant's. Whoever waits for that one's end to be
    committed is told what it came to."""
    status = await tx.execute(
        "INSERT INTO tenants.served_domains (domain, tenant_id, proven_at) VALUES ($2, $1, $3) ON CONFLICT DO NOTHING",
        tx.tenant_id,
        domain,
        tx.now,
    )
    if status == "INSERT 0 0":
        return False
    await tx.execute(
        "UPDATE tenants.custom_domains SET lost_at = NULL WHERE tenant_id = $1 AND domain = $2", tx.tenant_id, domain
    )
    return True


async def served_domain(tx: Transaction, domain: str) -> Served | None:
    """One that is proven, locked until the transaction ends."""
    row = await tx.fetchrow(
        "SELECT active_at IS NOT NULL AS active, clock_timestamp() - missing_since AS missing_for"
        " FROM tenants.served_domains WHERE tenant_id = $1 AND domain = $2 FOR UPDATE",
        tx.tenant_id,
        domain,
    )
    return None if row is None else Served(**dict(row))


async def note_look(
    tx: Transaction, domain: str, problem: CustomDomainProblem | None, seen: Sequence[str] = ()
) -> None:
    """Keeps what a look at the domain's DNS has found wrong, and what there was instead."""
    await tx.execute(
        "UPDATE tenants.custom_domains SET looked_at = clock_timestamp(), problem = $3, seen = $4"
        " WHERE tenant_id = $1 AND domain = $2",
        tx.tenant_id,
        domain,
        problem,
        list(seen),
    )


async def note_served(tx: Transaction, domain: str, *, there: bool | None, leads_here: bool | None) -> None:
    """Keeps whether the record of a proven domain was there and whether its name leads here; None where nobody
    answered, which changes neither."""
    await tx.execute(
        """
        UPDATE tenants.served_domains
        SET checked_at = clock_timestamp(),
            missing_since = CASE WHEN $3 THEN NULL WHEN NOT $3 THEN coalesce(missing_since, clock_timestamp())
                                 ELSE missing_since END,
            active_at = CASE WHEN $4 THEN coalesce(active_at, $5) WHEN NOT $4 THEN NULL ELSE active_at END
        WHERE tenant_id = $1 AND domain = $2
        """,
        tx.tenant_id,
        domain,
        there,
        leads_here,
        tx.now,
    )


async def stop_serving(tx: Transaction, domain: str) -> None:
    """Takes back that a domain is proven. It stays claimed, so that the same record proves it again."""
    await tx.execute("DELETE FROM tenants.served_domains WHERE tenant_id = $1 AND domain = $2", tx.tenant_id, domain)
    await tx.execute(
        "UPDATE tenants.custom_domains SET lost_at = $3 WHERE tenant_id = $1 AND domain = $2",
        tx.tenant_id,
        domain,
        tx.now,
    )


async def served_domains(tx: Transaction) -> tuple[str, ...]:
    """All that are proven, by name."""
    rows = await tx.fetch(
        "SELECT domain FROM tenants.served_domains WHERE tenant_id = $1 ORDER BY domain", tx.tenant_id
    )
    return tuple(row["domain"] for row in rows)


async def mail_domain(tx: Transaction) -> str | None:
    """Where links in the tenant's mails lead: the one that has led here for longest."""
    found: str | None = await tx.fetchval(
        "SELECT domain FROM tenants.served_domains WHERE tenant_id = $1 AND active_at IS NOT NULL"
        " ORDER BY active_at, domain LIMIT 1",
        tx.tenant_id,
    )
    return found


async def custom_domains_to_check(tx: Transaction, most: int) -> list[tuple[str, str]]:
    """Tenants with proven domains that are due to be looked at, those that have waited longest first."""
    rows = await tx.fetch("SELECT tenant_id, domain FROM tenants.custom_domains_to_check($1)", most)
    return [(row["tenant_id"], row["domain"]) for row in rows]
