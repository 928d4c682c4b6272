"""How a tenant's people sign on, and for which domains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from prog_contracts.sign_on import SignOnRole
from prog_kit.database import Connection
from prog_kit.secrets import Sealer, sign_on_purpose
from prog_kit.tenant_secrets import CLIENT_SECRET, known_cipher


@dataclass(frozen=True, slots=True)
class SignOnRow:
    """The tenant's own identity provider. The secret is sealed, `sealed_under` the key of the `tenant` or still of the
    `platform`, and not shown to operators."""

    issuer: str
    client_id: str
    sealed_client_secret: str
    sealed_under: str
    default_role: SignOnRole
    enforced: bool
    updated_at: datetime
    api_key_days: int | None = None


@dataclass(frozen=True, slots=True)
class Enforcement:
    """People with addresses of these domains reach the tenant by its own provider alone; none where that is not
    enforced. Their API keys get in for so many days after they signed on; None is without limit."""

    domains: frozenset[str] = frozenset()
    api_key_days: int | None = None


@dataclass(frozen=True, slots=True)
class DomainRow:
    """A domain of addresses that the tenant has claimed; `proven_at` None while its record was not found,
    `missing_since` set when that of a proven one is gone."""

    domain: str
    token: str
    claimed_at: datetime
    proven_at: datetime | None
    missing_since: datetime | None


async def sign_on(connection: Connection, tenant_id: str) -> SignOnRow | None:
    """How the tenant's people sign on, in the tenant's own scope."""
    row = await connection.fetchrow(
        "SELECT issuer, client_id, sealed_client_secret, sealed_under, default_role, enforced, updated_at,"
        " api_key_days FROM tenants.sign_on WHERE tenant_id = $1",
        tenant_id,
    )
    return None if row is None else SignOnRow(**dict(row))


async def client_secret(connection: Connection, sealer: Sealer, tenant_id: str, row: SignOnRow) -> str:
    """What the tenant shares with its provider, in the tenant's own scope. Raises SealError when it does not open."""
    if row.sealed_under == "tenant":
        return (await known_cipher(connection, sealer, tenant_id)).open(row.sealed_client_secret, CLIENT_SECRET)
    return sealer.open(row.sealed_client_secret, sign_on_purpose(tenant_id))


async def domains(connection: Connection, tenant_id: str) -> Sequence[DomainRow]:
    """The domains that the tenant has claimed, by name."""
    rows = await connection.fetch(
        "SELECT c.domain, c.token, c.claimed_at, p.proven_at, p.missing_since FROM tenants.domain_claims AS c"
        " LEFT JOIN tenants.proven_domains AS p USING (tenant_id, domain) WHERE tenant_id = $1 ORDER BY c.domain",
        tenant_id,
    )
    return [DomainRow(**dict(row)) for row in rows]


async def enforcement(connection: Connection, tenant_id: str) -> Enforcement:
    """Who reaches the tenant by its own provider alone, in the tenant's own scope."""
    rows = await connection.fetch(
        "SELECT p.domain, s.api_key_days FROM tenants.proven_domains AS p JOIN tenants.sign_on AS s USING (tenant_id)"
        " WHERE p.tenant_id = $1 AND s.enforced",
        tenant_id,
    )
    return Enforcement(frozenset(row["domain"] for row in rows), rows[0]["api_key_days"] if rows else None)


async def own_sign_on(connection: Connection, tenant_id: str) -> str | None:
    """What the tenant's own provider is called; None for a tenant that has none, or no domain of its own yet."""
    name: str | None = await connection.fetchval(
        "SELECT t.name FROM tenants.sign_on AS s JOIN tenants.tenants AS t USING (tenant_id) WHERE s.tenant_id = $1"
        " AND t.status <> 'deleted' AND EXISTS"
        " (SELECT FROM tenants.proven_domains AS p WHERE p.tenant_id = s.tenant_id)",
        tenant_id,
    )
    return name


async def sign_on_tenant(connection: Connection, domain: str) -> tuple[str, str] | None:
    """Id and name of the tenant whose people with addresses of this domain sign on; for an operator's scope."""
    row = await connection.fetchrow(
        "SELECT t.tenant_id, t.name FROM tenants.proven_domains AS p JOIN tenants.sign_on AS s USING (tenant_id)"
        " JOIN tenants.tenants AS t USING (tenant_id) WHERE p.domain = $1 AND t.status <> 'deleted'",
        domain,
    )
    return None if row is None else (row["tenant_id"], row["name"])
