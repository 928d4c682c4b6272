"""Whatever is a tenant's goes into its export, or somebody has said why not; what may be a secret does not."""

from __future__ import annotations

from typing import Final

import asyncpg

from prog_workers.tenants.rules.exporting import WITHHELD
from prog_workers.tenants.store.exporting import ROLE
from tests.architecture.test_catalogue import OURS

COLUMNS: Final = """
SELECT c.oid::regclass::text AS relation, a.attname AS name, a.attname ~ $3 AS suspicious,
       has_column_privilege($2, c.oid, a.attnum, 'SELECT') AS exported,
       has_column_privilege($2, c.oid, a.attnum, 'INSERT, UPDATE') AS written
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname = ANY ($1::text[]) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND EXISTS (SELECT FROM pg_attribute t WHERE t.attrelid = c.oid AND t.attname = 'tenant_id' AND t.attnotnull)
"""
SUSPICIOUS: Final = "secret|seal|digest|hash|token|salt|wrapped|password|private|credential|signature|_key$|^key"
PLAIN: Final = {
    "events.audit_checkpoints.hash": "by which the trail is verified",
    "events.audit_checkpoints.key_id": "names a public key",
    "events.audit_checkpoints.signature": "by which the trail is verified",
    "events.audit_entries.hash": "by which the trail is verified",
    "events.audit_entries.origin_digest": "salted, and the salt is withheld",
    "events.audit_heads.hash": "by which the trail is verified",
    "tenants.custom_domains.token": "is published in the domain's DNS",
    "tenants.directory_groups.name_key": "the name in small letters",
    "tenants.directory_users.name_key": "the name in small letters",
    "tenants.domain_claims.token": "is published in the domain's DNS",
    "users.api_keys.key_id": "names the key",
    "users.oauth_clients.previous_secret_until": "a time",
    "users.oauth_clients.secret_hint": "the first letters, by which people tell secrets apart",
}
"""Columns that are exported though their names sound like secrets."""


async def test_every_column_of_a_tenant_s_rows_is_exported_or_withheld_for_a_reason(module_postgres: str) -> None:
    connection = await asyncpg.connect(module_postgres)
    try:
        rows = await connection.fetch(COLUMNS, list(OURS), ROLE, SUSPICIOUS)
        policies = await connection.fetch(
            "SELECT polrelid::regclass::text AS name FROM pg_policy WHERE polname = 'tenant_export'"
        )
    finally:
        await connection.close()
    columns = {f"{row['relation']}.{row['name']}": row for row in rows}
    tables = {row["relation"] for row in rows}
    exported = {name for name, row in columns.items() if row["exported"]}
    withheld = {name for name, row in columns.items() if row["relation"] in WITHHELD or name in WITHHELD}
    assert set(columns) - exported - withheld == set(), "call bus.let_tenants_export, or say in WITHHELD why not"
    assert exported & withheld == set(), "what is withheld is granted"
    assert set(WITHHELD) - set(columns) - tables == set(), "there is no such table or column"
    assert all(len(reason) > 5 for reason in WITHHELD.values())
    assert {row["name"] for row in policies} == {columns[name]["relation"] for name in exported}
    loud = {name for name in exported if columns[name]["suspicious"]}
    assert loud - set(PLAIN) == set(), "is it a secret? withhold it, or say in PLAIN why not"
    assert set(PLAIN) - loud == set()
    assert not [name for name, row in columns.items() if row["written"]], "an export only reads"
