"""SQL of a tenant's own provider, and of the domains that it may speak for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from prog_broker.transaction import Transaction
from prog_contracts.sign_on import SignOnRole

Seal = Literal["platform", "tenant"]
"""Whose key has sealed a secret: the platform's, as before tenants had keys, or the tenant's own."""


@dataclass(frozen=True, slots=True)
class SignOn:
    issuer: str
    client_id: str
    sealed_client_secret: str
    sealed_under: Seal
    default_role: SignOnRole
    enforced: bool
    api_key_days: int | None


async def sign_on(tx: Transaction) -> SignOn | None:
    """The tenant's provider, locked until the transaction ends."""
    row = await tx.fetchrow(
        "SELECT issuer, client_id, sealed_client_secret, sealed_under, default_role, enforced, api_key_days"
        " FROM tenants.sign_on WHERE tenant_id = $1 FOR UPDATE",
        tx.tenant_id,
    )
    return None if row is None else SignOn(**dict(row))


async def put_sign_on(tx: Transaction, wanted: SignOn) -> None:
    await tx.execute(
        """
        INSERT INTO tenants.sign_on (tenant_id, issuer, client_id, sealed_client_secret, sealed_under, default_role,
                                     enforced, api_key_days, updated_by, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        ON CONFLICT (tenant_id) DO UPDATE
        SET issuer = excluded.issuer, client_id = excluded.client_id, default_role = excluded.default_role,
            sealed_client_secret = excluded.sealed_client_secret, sealed_under = excluded.sealed_under,
            enforced = excluded.enforced, api_key_days = excluded.api_key_days,
            updated_by = excluded.updated_by, updated_at = excluded.updated_at
        """,
        tx.tenant_id,
        wanted.issuer,
        wanted.client_id,
        wanted.sealed_client_secret,
        wanted.sealed_under,
        wanted.default_role,
        wanted.enforced,
        wanted.api_key_days,
        tx.actor,
        tx.now,
    )


async def seal_sign_on(tx: Transaction, sealed: str) -> None:
    """Puts the same secret there, sealed by the tenant's own key."""
    await tx.execute(
        "UPDATE tenants.sign_on SET sealed_client_secret = $2, sealed_under = 'tenant' WHERE tenant_id = $1",
        tx.tenant_id,
        sealed,
    )


async def tenants_sealed_under_platform(tx: Transaction, after: str, most: int) -> list[str]:
    """Whose secrets their own keys have not sealed yet, in the order of their ids."""
    rows = await tx.fetch("SELECT tenants.sealed_under_platform($1, $2) AS tenant_id", after, most)
    return [row["tenant_id"] for row in rows]


async def delete_sign_on(tx: Transaction) -> bool:
    status = await tx.execute("DELETE FROM tenants.sign_on WHERE tenant_id = $1", tx.tenant_id)
    return status != "DELETE 0"


async def prove_domain(tx: Transaction, domain: str) -> bool:
    """Makes a claimed domain the tenant's; False when it is another tenant's. Proven twice, it stays."""
    if await tx.fetchval(
        "SELECT EXISTS (SELECT FROM tenants.proven_domains WHERE tenant_id = $1 AND domain = $2)", tx.tenant_id, domain
    ):
        return True
    status = await tx.execute(
        "INSERT INTO tenants.proven_domains (domain, tenant_id, proven_at) VALUES ($2, $1, $3) ON CONFLICT DO NOTHING",
        tx.tenant_id,
        domain,
        tx.now,
    )
    return status != "INSERT 0 0"


@dataclass(frozen=True, slots=True)
class Proof:
    """`missing_for` is how long the record of a proven domain has been gone; None while it is there."""

    missing_for: timedelta | None


async def proof(tx: Transaction, domain: str) -> Proof | None:
    """That of a domain which the tenant has proven, locked until the transaction ends."""
    row = await tx.fetchrow(
        "SELECT clock_timestamp() - missing_since AS missing_for FROM tenants.proven_domains"
        " WHERE tenant_id = $1 AND domain = $2 FOR UPDATE",
        tx.tenant_id,
        domain,
    )
    return None if row is None else Proof(**dict(row))


async def note_checked(tx: Transaction, domain: str, *, there: bool | None) -> None:
    """Keeps that a proven domain was looked up, and whether its record was there; None where nobody answered."""
    await tx.execute(
        """
        UPDATE tenants.proven_domains
        SET checked_at = clock_timestamp(),
            missing_since = CASE WHEN $3 THEN NULL WHEN NOT $3 THEN coalesce(missing_since, clock_timestamp())
                                 ELSE missing_since END
        WHERE tenant_id = $1 AND domain = $2
        """,
        tx.tenant_id,
        domain,
        there,
    )


async def lose_domain(tx: Transaction, domain: str) -> None:
    """Takes back that a domain is proven. It stays claimed, so that the same record proves it again."""
    await tx.execute("DELETE FROM tenants.proven_domains WHERE tenant_id = $1 AND domain = $2", tx.tenant_id, domain)


async def domains_to_check(tx: Transaction, most: int) -> list[tuple[str, str]]:
    """Tenants with proven domains that were not looked up for a day, those that have waited longest first."""
    rows = await tx.fetch("SELECT tenant_id, domain FROM tenants.domains_to_check($1)", most)
    return [(row["tenant_id"], row["domain"]) for row in rows]


async def proven_domains(tx: Transaction) -> tuple[str, ...]:
    return tuple(await proofs(tx))


async def proofs(tx: Transaction) -> dict[str, int]:
    """The number of each proven domain's proof. Whoever has proven a domain later, of all tenants, has a higher one."""
    rows = await tx.fetch(
        "SELECT domain, proof FROM tenants.proven_domains WHERE tenant_id = $1 ORDER BY domain", tx.tenant_id
    )
    return {row["domain"]: row["proof"] for row in rows}
