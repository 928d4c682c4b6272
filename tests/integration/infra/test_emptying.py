"""A test's database may be one that another test has used: it is as new, or it is another one."""

from __future__ import annotations

from collections.abc import Iterator

import asyncpg
import pytest

from tests import emptying
from tests.clusters import Clusters
from tests.running import run
from tests.servers import TestServers

_TABLES = """
SELECT oid::regclass::text FROM pg_class
WHERE relkind = 'r' AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
"""
_SEQUENCES = "SELECT * FROM pg_sequences ORDER BY schemaname, sequencename"
USED = """
INSERT INTO bus.shard_leases SELECT 'users', 't', 0, 'test', 1, 'infinity';
INSERT INTO tenants.tenants (tenant_id, name, slug, status, created_at, updated_at)
    VALUES ('tenant_1', 'Acme', 'acme', 'active', now(), now());
UPDATE payments.prices SET unit_amount_minor = unit_amount_minor + 1;
UPDATE bus.relay_cursors SET position = 77;
DELETE FROM payments.dunning_policies;
SELECT setval(seqrelid, 4000) FROM pg_sequence;
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, clusters: Clusters) -> Iterator[TestServers]:
    """Nobody else takes its databases."""
    servers = TestServers(tmp_path_factory.mktemp("servers"), clusters)
    yield servers
    servers.close()


async def all_of(url: str) -> dict[str, list[str]]:
    connection = await asyncpg.connect(url)
    try:
        tables = sorted(table for (table,) in await connection.fetch(_TABLES))
        found = {
            table: sorted(row for (row,) in await connection.fetch(f"SELECT t::text FROM {table} AS t"))
            for table in tables
        }
        return found | {"sequences": [str(row) for row in await connection.fetch(_SEQUENCES)]}
    finally:
        await connection.close()


async def work(url: str, statements: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statements)
    await connection.close()


def two(own: TestServers) -> tuple[str, str]:
    return own.new_database(), own.new_database()


def test_a_database_that_a_test_has_used_is_as_new_for_another(own: TestServers) -> None:
    used, other = two(own)
    new = run(all_of(own.postgres.url(used)))
    assert len(new) > 50
    run(work(own.postgres.url(used), USED))
    changed = run(all_of(own.postgres.url(used)))
    assert len([table for table in new if new[table] != changed[table]]) >= 6
    own.give_back(used)
    while (again := own.new_database()) != used:
        own.drop_database(again)
    assert run(all_of(own.postgres.url(used))) == new
    own.drop_database(used)
    own.drop_database(other)


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE bus.more (id int)",
        "ALTER TABLE users.users ADD COLUMN more int",
        "ALTER TABLE tenants.members NO FORCE ROW LEVEL SECURITY",
        "ALTER POLICY tenant_isolation ON tenants.members USING (true)",
        "DROP POLICY tenant_isolation ON tenants.members",
        "GRANT SELECT ON users.passwords TO prog_email",
        "CREATE INDEX more ON users.users (name)",
        "CREATE FUNCTION bus.more() RETURNS int LANGUAGE sql RETURN 1",
        "CREATE OR REPLACE FUNCTION bus.current_tenant() RETURNS text LANGUAGE sql STABLE RETURN 'tenant_1'",
        "ALTER TABLE users.users DISABLE TRIGGER ALL",
        "ANALYZE payments.prices",
        "COMMENT ON TABLE users.users IS 'more'",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA bus GRANT SELECT ON TABLES TO prog_email",
        "SET session_replication_role = replica; ALTER TABLE users.users ADD COLUMN more int",
        "ALTER EVENT TRIGGER count_schema_change DISABLE",
        "SELECT lo_create(0)",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = ''1MB''', current_database()); END $$",
    ],
)
def test_what_a_test_did_to_the_schema_is_for_no_other_test(own: TestServers, change: str) -> None:
    name = own.new_database()
    run(work(own.postgres.url(name), change))
    own.give_back(name)
    later = [own.new_database() for _ in range(3)]
    assert name not in later
    for each in later:
        own.drop_database(each)


def test_a_database_on_which_somebody_still_works_is_for_no_other_test(
    own: TestServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emptying, "LEAVE_SECONDS", 0.1)
    name = own.new_database()

    async def stay() -> None:
        connection = await asyncpg.connect(own.postgres.url(name))
        own.give_back(name)
        assert name not in [own.new_database() for _ in range(3)]
        connection.terminate()

    run(stay())


def test_a_database_is_not_used_for_ever(own: TestServers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emptying, "TIMES", 2)
    seen: list[str] = []
    for _ in range(8):
        seen.append(own.new_database())
        own.give_back(seen[-1])
    assert max(seen.count(name) for name in seen) == 3
