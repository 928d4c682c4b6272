"""Whatever belongs to a tenant has an owner who says what becomes of it when the tenant is deleted."""

from __future__ import annotations

import asyncpg

from prog_broker.purging import KEPT
from prog_contracts.topics import DOMAINS
from prog_workers.process import load
from tests.architecture.test_catalogue import OURS, TABLES


async def test_every_table_with_tenants_rows_is_deleted_or_kept_for_a_reason(module_postgres: str) -> None:
    domains = load(DOMAINS)
    told = set(KEPT)
    for domain in domains:
        told |= {*domain.tenant_rows.deleted, *domain.tenant_rows.kept}
        assert not set(domain.tenant_rows.deleted) & set(domain.tenant_rows.kept)
        assert all(len(reason) > 5 for reason in domain.tenant_rows.kept.values())
    connection = await asyncpg.connect(module_postgres)
    try:
        rows = await connection.fetch(TABLES, list(OURS))
        partitions = await connection.fetch("SELECT inhrelid::regclass::text AS name FROM pg_inherits")
        parts = {row["name"] for row in partitions}
        owned = {row["name"] for row in rows if row["owned"]} - parts
        assert owned - told == set(), "say what becomes of them: Domain.owns, or prog_broker.purging.KEPT"
        assert told - owned == set(), "there is no such table with a tenant_id"
        for domain in domains:
            for name in domain.tenant_rows.deleted:
                may = await connection.fetchval(
                    "SELECT has_table_privilege($1, $2, 'SELECT, DELETE')", f"prog_{domain.name}", name
                )
                assert may, f"prog_{domain.name} may not delete from {name}"
    finally:
        await connection.close()
