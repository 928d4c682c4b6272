"""Domains of addresses whose people sign on with their tenant's provider, as the tenants domain has told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prog_broker.transaction import Transaction
from prog_workers.users.rules import is_bound
from prog_workers.users.store.accounts import User


@dataclass(frozen=True, slots=True)
class SignOnRule:
    """What holds for the addresses of a domain: whose provider speaks for them, and whether nothing else lets them in.

    `owners` get in by other ways all the same.
    """

    tenant_id: str
    enforced: bool
    owners: tuple[str, ...]


async def sign_on_rule(tx: Transaction, email: str) -> SignOnRule | None:
    """What holds for an address."""
    row = await tx.fetchrow(
        "SELECT sign_on_tenant_id, enforced, owners FROM users.sign_on_domains WHERE domain = $1",
        email.rpartition("@")[2],
    )
    return None if row is None else SignOnRule(row["sign_on_tenant_id"], row["enforced"], tuple(row["owners"]))


async def must_sign_on(tx: Transaction, user: User) -> bool:
    """Whether nothing else lets this person in. Owners of the tenant get in otherwise too, or nobody could mend it; and
    so does the platform's staff, whom no tenant shuts out."""
    if user.platform_role is not None:
        return False
    return is_bound(await sign_on_rule(tx, user.email), user.user_id)


async def replace_sign_on_domains(
    tx: Transaction, tenant_id: str, proofs: Mapping[str, int], *, enforced: bool, owners: Sequence[str]
) -> None:
    """All of a tenant's domains with the numbers of their proofs; those from before are no more.

    A domain that another tenant has proven since stays with that one.
    """
    await tx.execute(
        "DELETE FROM users.sign_on_domains WHERE sign_on_tenant_id = $1 AND domain <> ALL ($2::text[])",
        tenant_id,
        list(proofs),
    )
    await tx.execute(
        """
        INSERT INTO users.sign_on_domains AS d (domain, sign_on_tenant_id, enforced, owners, proof)
        SELECT u.domain, $1, $4, $5, u.proof FROM unnest($2::text[], $3::bigint[]) AS u (domain, proof)
        ON CONFLICT (domain) DO UPDATE
        SET sign_on_tenant_id = excluded.sign_on_tenant_id, enforced = excluded.enforced, owners = excluded.owners,
            proof = excluded.proof
        WHERE d.proof <= excluded.proof
        """,
        tenant_id,
        list(proofs),
        list(proofs.values()),
        enforced,
        list(owners),
    )


async def drop_sign_on(tx: Transaction, tenant_id: str) -> None:
    """Of a tenant that is gone: its domains, and what its provider vouched for."""
    for table in ("sign_on_domains", "identities"):
        await tx.execute(f"DELETE FROM users.{table} WHERE sign_on_tenant_id = $1", tenant_id)
