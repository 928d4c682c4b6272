"""The database's own catalogue, held against the rules of tenancy: every table, its owner, its policies."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from prog_contracts.ids import PLATFORM_TENANT_ID
from prog_kit.database import DOMAIN_ROLES, ROLES

OURS = ("bus", *DOMAIN_ROLES)
BOOKKEEPING = {"bus.schema_migrations"}
"""Tables of the migration runner itself, which no application role may write."""

TABLES = """
SELECT c.oid, n.nspname || '.' || c.relname AS name, n.nspname AS schema, c.relrowsecurity AS enabled,
       c.relforcerowsecurity AS forced, pg_get_userbyid(c.relowner) AS owner,
       obj_description(c.oid, 'pg_class') AS comment,
       EXISTS (SELECT FROM pg_attribute a
               WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND a.attnotnull) AS owned
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY ($1::text[]) AND c.relkind IN ('r', 'p') ORDER BY 2
"""

POLICIES = """
SELECT schemaname || '.' || tablename AS name, policyname, roles::text[] AS roles, cmd, qual, with_check
FROM pg_policies WHERE schemaname = ANY ($1::text[])
"""


CARRIERS = {
    "prog_worker", "prog_operator", "prog_relay", "prog_scheduler", "prog_meter", "prog_auditor",
    "prog_eraser", "prog_analyst", "prog_exporter",
    *(f"prog_{d}" for d in DOMAIN_ROLES),
}  # fmt: skip
"""Roles that carry or count every tenant's messages, or own one domain; none of them answers a tenant's request."""


def bound(policy: Any) -> bool:
    """Whether a policy ties rows to the tenant or person of the transaction, or shows the platform's own to read."""
    text = f"{policy['qual']} {policy['with_check']}"
    shared = "platform_tenant()" in text and policy["cmd"] == "SELECT"
    return shared or any(word in text for word in ("current_tenant()", "current_user_id()", "current_domain()"))


@pytest.fixture
async def catalogue(module_postgres: str) -> Any:
    connection = await asyncpg.connect(module_postgres)
    yield connection
    await connection.close()


async def tables(catalogue: Any) -> list[Any]:
    rows = await catalogue.fetch(TABLES, list(OURS))
    assert len(rows) > 30, "the catalogue is not empty"
    return [row for row in rows if row["name"] not in BOOKKEEPING]


async def test_check_20_every_table_has_row_level_security_enabled_and_forced(catalogue: Any) -> None:
    bare = [row["name"] for row in await tables(catalogue) if not (row["enabled"] and row["forced"])]
    assert bare == []


async def test_check_20_every_table_belongs_to_a_tenant_or_says_why_not(catalogue: Any) -> None:
    unexplained = [
        row["name"]
        for row in await tables(catalogue)
        if not row["owned"] and not (row["comment"] or "").startswith("global:") and row["name"] != "bus.tenant_clocks"
    ]
    assert unexplained == [], "give the table a tenant_id NOT NULL, or a comment that begins with 'global:'"


async def test_check_20_every_tenant_owned_table_has_a_policy_on_the_tenant(catalogue: Any) -> None:
    """A policy that does not name the tenant must be for a role that carries all tenants by design."""
    policies = await catalogue.fetch(POLICIES, list(OURS))
    owned = {row["name"] for row in await tables(catalogue) if row["owned"]}
    loose = []
    for policy in policies:
        if policy["name"] not in owned:
            continue
        if not bound(policy) and not set(policy["roles"]) <= CARRIERS:
            loose.append((policy["name"], policy["policyname"], policy["roles"]))
    assert loose == []
    assert owned <= {policy["name"] for policy in policies}


async def test_the_edge_sees_tenant_owned_rows_through_the_tenant_alone(catalogue: Any) -> None:
    policies = await catalogue.fetch(POLICIES, list(OURS))
    owned = {row["name"] for row in await tables(catalogue) if row["owned"]}
    for policy in policies:
        if policy["name"] in owned and "prog_edge" in policy["roles"]:
            assert bound(policy), (policy["name"], policy["policyname"])


async def test_check_20_no_view_reads_with_its_owner_s_rights(catalogue: Any) -> None:
    """A view looks at its tables as its owner, past their policies, unless it says otherwise."""
    views = await catalogue.fetch(
        "SELECT c.relname AS name, c.relkind::text AS kind, c.reloptions AS options"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = ANY ($1::text[]) AND c.relkind IN ('v', 'm')",
        list(OURS),
    )
    assert [row["name"] for row in views if "security_invoker=true" not in (row["options"] or ())] == []


async def test_check_20_the_server_lets_no_statistics_past_the_policies(catalogue: Any) -> None:
    """CVE-2025-8713: before 17.6 an operator of one's own making saw sampled rows of everybody."""
    assert int(await catalogue.fetchval("SHOW server_version_num")) >= 17_00_06


async def test_no_policy_lets_everybody_in(catalogue: Any) -> None:
    for policy in await catalogue.fetch(POLICIES, list(OURS)):
        if policy["name"] not in BOOKKEEPING:
            assert policy["roles"] != ["public"] or bound(policy), policy["name"]


async def test_check_20_application_roles_own_nothing_and_cannot_bypass(catalogue: Any) -> None:
    roles = await catalogue.fetch(
        "SELECT rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname LIKE 'prog\\_%'"
    )
    assert {row["rolname"] for row in roles} == {
        *ROLES, "prog_operator", "prog_worker", "prog_meter", "prog_auditor", "prog_eraser", "prog_analyst",
        "prog_exporter",
    }  # fmt: skip
    assert not any(any(row[1:]) for row in (tuple(row) for row in roles))
    assert not [row["name"] for row in await tables(catalogue) if row["owner"].startswith("prog_")]


async def test_no_domain_may_touch_another_domain_s_tables(catalogue: Any) -> None:
    for row in await tables(catalogue):
        if row["schema"] == "bus":
            continue
        for domain in DOMAIN_ROLES:
            if domain == row["schema"]:
                continue
            allowed = await catalogue.fetchval(
                "SELECT has_table_privilege($1, $2::oid, 'SELECT, INSERT, UPDATE, DELETE')"
                " OR has_any_column_privilege($1, $2::oid, 'SELECT, INSERT, UPDATE')",
                f"prog_{domain}",
                row["oid"],
            )
            assert not allowed, f"prog_{domain} may touch {row['name']}"


async def test_the_operator_only_reads(catalogue: Any) -> None:
    for row in await tables(catalogue):
        writes = await catalogue.fetchval(
            "SELECT has_table_privilege('prog_operator', $1::oid, 'INSERT, UPDATE, DELETE')", row["oid"]
        )
        assert not writes, row["name"]


async def test_check_21_without_a_tenant_no_tenant_owned_row_is_visible_to_the_edge(
    catalogue: Any, module_postgres: str
) -> None:
    from prog_kit.database import Database

    edge = await Database.connect(module_postgres, "prog_edge", max_size=1)
    try:
        async with edge.scope() as connection:
            for row in await tables(catalogue):
                if row["owned"] and await catalogue.fetchval(
                    "SELECT has_table_privilege('prog_edge', $1::oid, 'SELECT')", row["oid"]
                ):
                    tenants = await connection.fetch(f"SELECT DISTINCT tenant_id FROM {row['name']}")
                    assert {found["tenant_id"] for found in tenants} <= {PLATFORM_TENANT_ID}, row["name"]
    finally:
        await edge.close()
