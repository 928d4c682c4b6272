"""`prog doctor isolation`: checks 20 and 21 on a live database, and each property broken on purpose."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Iterable
from typing import Any

import asyncpg
import pytest

from prog_infra import cli
from prog_infra.findings import Finding
from prog_infra.isolation import examine, examine_database
from tests.depth import by_depth
from tests.running import run

BROKEN = {
    "enabled": ("ALTER TABLE users.users DISABLE ROW LEVEL SECURITY", "users.users", "is not enabled"),
    "forced": ("ALTER TABLE tenants.members NO FORCE ROW LEVEL SECURITY", "tenants.members", "is not forced"),
    "using": (
        "ALTER POLICY tenant_isolation ON tenants.members USING (true)",
        "tenants.members",
        "USING that does not bind",
    ),
    "with check": (
        "ALTER POLICY tenant_isolation ON bus.command_outbox WITH CHECK (true)",
        "bus.command_outbox",
        "no WITH CHECK that binds",
    ),
    "another policy beside it": (
        "CREATE POLICY kind ON payments.invoices FOR SELECT TO prog_edge USING (total_minor > 0)",
        "payments.invoices",
        "USING that does not bind",
    ),
    "a policy that only looks right": (
        "CREATE POLICY kind ON payments.invoices FOR SELECT TO prog_edge USING (bus.current_tenant() IS NOT NULL)",
        "payments.invoices",
        "prog_edge sees rows of another tenant",
    ),
    "no tenant": (
        "CREATE POLICY kind ON email.mails FOR SELECT TO prog_edge USING (bus.current_tenant() IS NULL)",
        "email.mails",
        "prog_edge sees rows without a tenant set",
    ),
    "the owning domain": (
        "CREATE POLICY kind ON payments.customers FOR SELECT TO prog_payments USING (true)",
        "payments.customers",
        "prog_payments sees rows of another tenant",
    ),
    "deleting": (
        "CREATE POLICY kind ON tenants.members TO prog_tenants USING (true)",
        "tenants.members",
        "prog_tenants deletes rows of another tenant",
    ),
    "a new table": ("CREATE TABLE users.forgotten (tenant_id text NOT NULL)", "users.forgotten", "is not enabled"),
    "a table of nobody": (
        "CREATE TABLE users.unexplained (id text)",
        "users.unexplained",
        "it has no tenant_id",
    ),
    "a view": (
        "CREATE VIEW payments.all_invoices AS SELECT * FROM payments.invoices",
        "payments.all_invoices",
        "shows what its owner sees",
    ),
    "a materialized view": (
        "CREATE MATERIALIZED VIEW payments.totals AS SELECT * FROM payments.invoices",
        "payments.totals",
        "has no policies",
    ),
    "an owner": (
        "GRANT CREATE ON SCHEMA payments TO prog_payments; ALTER TABLE payments.invoices OWNER TO prog_payments",
        "prog_payments",
        "owns payments.invoices",
    ),
    "a role of many rights": ("ALTER ROLE prog_email CREATEROLE", "prog_email", "is a superuser, or may pass"),
    "a role that bypasses": ("ALTER ROLE prog_relay BYPASSRLS", "prog_relay", "is a superuser, or may pass"),
    "a role that becomes another": ("GRANT postgres TO prog_events", "prog_events", "can become postgres"),
}


@pytest.fixture
async def database(module_postgres: str) -> AsyncIterator[Any]:
    """The administrator's connection, in a transaction that is rolled back: what a test breaks is whole again."""
    connection = await asyncpg.connect(module_postgres)
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await transaction.rollback()
    await connection.close()


def not_in_order(findings: list[Finding]) -> dict[str, str]:
    assert all(finding.remedy for finding in findings if finding.verdict != "ok")
    return {finding.check: finding.detail for finding in findings if finding.verdict != "ok"}


async def test_check_20_and_21_every_table_is_named_and_tried(database: Any) -> None:
    findings = await examine_database(database)
    assert not_in_order(findings) == {}
    told = {finding.check: finding.detail for finding in findings}
    tables = await database.fetch(
        "SELECT format('%I.%I', n.nspname, c.relname) AS name, EXISTS (SELECT FROM pg_attribute a WHERE"
        " a.attrelid = c.oid AND a.attname = 'tenant_id') AS owned FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'p')",
        ["bus", "users", "tenants", "payments", "email", "monitoring", "events"],
    )
    assert len(tables) > 30
    assert {row["name"] for row in tables} <= set(told), "each table has its verdict"
    tried = {name for name, detail in told.items() if "see nothing of each other" in detail}
    untried = {row["name"] for row in tables if row["owned"]} - tried
    for name in untried:
        assert "no role that works for one tenant may read it" in told[name], name
    assert {"tenants.members", "payments.invoices", "email.mails", "bus.event_log", "bus.inbox"} <= tried


async def test_the_probe_leaves_nothing(database: Any) -> None:
    before = await database.fetchval("SELECT count(*) FROM tenants.members")
    await examine_database(database)
    assert await database.fetchval("SELECT count(*) FROM tenants.members") == before
    assert await database.fetchval("SELECT current_user") == "postgres"
    assert await database.fetchval("SELECT current_setting('session_replication_role')") == "origin"


def apart(names: Iterable[str]) -> list[tuple[str, ...]]:
    """In groups of which each breaks something else."""
    groups: list[dict[str, str]] = []
    for name in names:
        where = BROKEN[name][1]
        group = next((group for group in groups if where not in group), None)
        if group is None:
            groups.append(group := {})
        group[where] = name
    return [tuple(group.values()) for group in groups]


@pytest.mark.parametrize(
    "names", by_depth(usual=apart(BROKEN), thorough=[(name,) for name in BROKEN]), ids=" and ".join
)
async def test_check_20_what_is_open_is_told_with_a_remedy(database: Any, names: tuple[str, ...]) -> None:
    expected = {}
    for statement, where, what in map(BROKEN.__getitem__, names):
        await database.execute(statement)
        expected[where] = what
    told = not_in_order(await examine_database(database))
    assert set(told) == set(expected), "these, and nothing else"
    assert {where: what for where, what in expected.items() if what not in told[where]} == {}, told


async def test_wrong_settings_and_a_server_that_is_away_are_told(environment: dict[str, str]) -> None:
    assert [finding.verdict for finding in await examine(environment | {"PROG_SECRET_KEYS": "short"})] == ["failed"]
    away = environment | {"PROG_DATABASE_URL": "postgresql://postgres@/postgres?host=/nonexistent"}
    [finding] = await examine(away)
    assert (finding.check, finding.verdict) == ("PostgreSQL", "failed")


def test_the_command_ends_with_1_when_something_is_open(
    environment: dict[str, str], postgres: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in os.environ if name.startswith("PROG_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cli.run(["doctor", "isolation", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
    run(execute(postgres, "ALTER TABLE tenants.members NO FORCE ROW LEVEL SECURITY"))
    assert cli.run(["doctor", "isolation", "--json"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert [finding["check"] for finding in shown["findings"] if finding["verdict"] == "failed"] == ["tenants.members"]
    assert cli.run(["doctor", "isolation"]) == 1
    assert "→" in capsys.readouterr().out


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
