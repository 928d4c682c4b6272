"""Custom domains: a tenant's, with what was found of each, and all that are served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from prog_contracts.custom_domains import CustomDomainProblem, CustomDomainStatus
from prog_kit.database import Connection


@dataclass(frozen=True, slots=True)
class CustomDomainRow:
    """One that the tenant has claimed. `problem` is what the last look found wrong and `seen` what was instead."""

    domain: str
    token: str
    claimed_at: datetime
    lost_at: datetime | None
    looked_at: datetime | None
    problem: CustomDomainProblem | None
    seen: Sequence[str]
    proven_at: datetime | None
    active_at: datetime | None
    missing_since: datetime | None

    @property
    def status(self) -> CustomDomainStatus:
        if self.proven_at is not None:
            return "proven" if self.active_at is None else "active"
        return "pending" if self.lost_at is None else "lost"


@dataclass(frozen=True, slots=True)
class ServedDomain:
    """A name that is the tenant's, proven. `is_active` says that it leads here, as far as its DNS tells."""

    tenant_id: str
    is_active: bool


async def custom_domains(
    connection: Connection, tenant_id: str, domain: str | None = None
) -> Sequence[CustomDomainRow]:
    """Those that the tenant has claimed, by name, or the one that is named."""
    rows = await connection.fetch(
        "SELECT c.domain, c.token, c.claimed_at, c.lost_at, c.looked_at, c.problem, c.seen, s.proven_at, s.active_at,"
        " s.missing_since FROM tenants.custom_domains AS c"
        " LEFT JOIN tenants.served_domains AS s USING (tenant_id, domain)"
        " WHERE c.tenant_id = $1 AND ($2::text IS NULL OR c.domain = $2) ORDER BY c.domain",
        tenant_id,
        domain,
    )
    return [CustomDomainRow(**dict(row)) for row in rows]


async def count_custom_domains(connection: Connection, tenant_id: str) -> int:
    query = "SELECT count(*) FROM tenants.custom_domains WHERE tenant_id = $1"
    return int(await connection.fetchval(query, tenant_id))


async def served_domains(connection: Connection) -> Mapping[str, ServedDomain]:
    """Whose pages are served at which name, of all tenants that are there; for an operator's scope."""
    rows = await connection.fetch(
        "SELECT s.domain, s.tenant_id, s.active_at IS NOT NULL AS is_active FROM tenants.served_domains AS s"
        " JOIN tenants.tenants AS t USING (tenant_id)"
        " WHERE t.status <> 'deleted'"
    )
    return {row["domain"]: ServedDomain(row["tenant_id"], row["is_active"]) for row in rows}
