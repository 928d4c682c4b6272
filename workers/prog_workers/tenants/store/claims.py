"""SQL of what tenants claim: domains of addresses for sign-on, and host names of their own. The two are claimed apart
and prove nothing of one another; how a claim is made, found, counted and given up is the same."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from prog_broker.transaction import Transaction

Claimed = Literal["domain_claims", "custom_domains"]
"""The table of the claims: of domains of addresses, or of host names."""


@dataclass(frozen=True, slots=True)
class DomainClaim:
    domain: str
    token: str
    claimed_at: datetime


async def claim_domain(tx: Transaction, table: Claimed, domain: str, token: str) -> DomainClaim:
    """The claim, made now or before."""
    row = await tx.fetchrow(
        f"""
        INSERT INTO tenants.{table} AS c (tenant_id, domain, token, claimed_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (tenant_id, domain) DO UPDATE SET token = c.token RETURNING domain, token, claimed_at
        """,
        tx.tenant_id,
        domain,
        token,
        tx.now,
    )
    assert row is not None
    return DomainClaim(**dict(row))


async def domain_claim(tx: Transaction, table: Claimed, domain: str) -> DomainClaim | None:
    """The claim, locked until the transaction ends: what is proven by it is not proven once it is given up."""
    row = await tx.fetchrow(
        f"SELECT domain, token, claimed_at FROM tenants.{table} WHERE tenant_id = $1 AND domain = $2 FOR UPDATE",
        tx.tenant_id,
        domain,
    )
    return None if row is None else DomainClaim(**dict(row))


async def count_claims(tx: Transaction, table: Claimed) -> int:
    return int(await tx.fetchval(f"SELECT count(*) FROM tenants.{table} WHERE tenant_id = $1", tx.tenant_id))


async def release_claim(tx: Transaction, table: Claimed, domain: str) -> bool:
    """Gives a claim up, with what was proven of it; False when there is none."""
    status = await tx.execute(f"DELETE FROM tenants.{table} WHERE tenant_id = $1 AND domain = $2", tx.tenant_id, domain)
    return status != "DELETE 0"
