"""The runner of the migrations against a real PostgreSQL."""

import asyncio
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from prog_infra import migrations
from prog_infra.errors import OperatorError
from prog_infra.migrations import Migration, SchemaMismatch
from prog_infra.servers import Postgres
from tests.waiting import wait_until

FIRST = Migration("bus", 1, "first", "checksum-1", "CREATE TABLE bus.thing (id int)")
SECOND = Migration("users", 1, "second", "checksum-2", "CREATE SCHEMA users; CREATE TABLE users.other (id int)")


def bring(monkeypatch: pytest.MonkeyPatch, *known: Migration) -> None:
    monkeypatch.setattr(migrations, "known", lambda: known)


async def test_migrations_apply_in_order_and_only_once(empty_postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bring(monkeypatch, FIRST, SECOND)
    assert await migrations.migrate(empty_postgres) == [FIRST, SECOND]
    assert await migrations.migrate(empty_postgres) == []


async def test_two_runners_at_once_apply_each_migration_once(
    empty_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(monkeypatch, FIRST, SECOND)
    applied = await asyncio.gather(*(migrations.migrate(empty_postgres) for _ in range(4)))
    assert sorted(map(len, applied)) == [0, 0, 0, 2]


async def test_an_older_database_is_refused_with_the_command_to_run(
    empty_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(monkeypatch, FIRST)
    await migrations.migrate(empty_postgres)
    bring(monkeypatch, FIRST, SECOND)
    connection = await asyncpg.connect(empty_postgres)
    with pytest.raises(SchemaMismatch, match=r"older than this version.*users/0001_second.*prog migrate"):
        await migrations.check(connection)
    await connection.close()


async def test_a_newer_database_is_refused_by_check_and_by_migrate(
    empty_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(monkeypatch, FIRST, SECOND)
    await migrations.migrate(empty_postgres)
    bring(monkeypatch, FIRST)
    connection = await asyncpg.connect(empty_postgres)
    with pytest.raises(SchemaMismatch, match=r"newer than this version.*users/0001.*install the version"):
        await migrations.check(connection)
    with pytest.raises(SchemaMismatch, match="newer"):
        await migrations.migrate(empty_postgres)
    await connection.close()


async def test_a_file_changed_after_it_was_applied_is_refused(
    empty_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(monkeypatch, FIRST)
    await migrations.migrate(empty_postgres)
    bring(monkeypatch, dataclasses.replace(FIRST, checksum="another"))
    with pytest.raises(SchemaMismatch, match="bus/0001_first was changed"):
        await migrations.migrate(empty_postgres)


async def test_a_failing_migration_leaves_nothing_of_itself_and_says_where(
    empty_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Migration("users", 1, "broken", "c", "CREATE SCHEMA users;\nSELECT 1;\nSELECT nothing_such;\n")
    bring(monkeypatch, FIRST, broken)
    with pytest.raises(OperatorError, match=r"users/0001_broken failed at line 3: .*nothing_such"):
        await migrations.migrate(empty_postgres)
    connection = await asyncpg.connect(empty_postgres)
    assert await connection.fetchval("SELECT to_regnamespace('users') IS NULL")
    assert await connection.fetchval("SELECT count(*) FROM bus.schema_migrations") == 1
    await connection.close()


async def test_a_database_without_roles_is_told_to_migrate(empty_postgres: str) -> None:
    with pytest.raises(SchemaMismatch, match="run `prog migrate`"):
        await migrations.require_current_schema(empty_postgres, role="prog_nobody")


async def test_a_server_that_is_away_is_one_clear_line() -> None:
    with pytest.raises(OperatorError, match="PROG_DATABASE_URL"):
        await migrations.connect("postgresql://postgres@/postgres?host=/nonexistent", patience_seconds=0)


async def test_the_template_of_all_tests_has_the_current_schema(postgres: str) -> None:
    connection = await asyncpg.connect(postgres)
    await migrations.check(connection)
    await connection.close()


async def test_the_test_servers_answer(environment: dict[str, str]) -> None:
    assert environment["PROG_REDIS_URL"].startswith("redis://")


async def test_a_migration_that_waits_for_a_table_keeps_nobody_else_from_it(
    empty_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(monkeypatch, FIRST)
    await migrations.migrate(empty_postgres)
    monkeypatch.setattr(migrations, "LOCK_SECONDS", 0.1)
    monkeypatch.setattr(migrations, "PAUSE_SECONDS", 0.1)
    wider = Migration("bus", 2, "wider", "checksum-2", "ALTER TABLE bus.thing ADD COLUMN more int")
    bring(monkeypatch, FIRST, wider)
    reader, another = await asyncpg.connect(empty_postgres), await asyncpg.connect(empty_postgres)
    long_one = reader.transaction()
    await long_one.start()
    await reader.fetch("SELECT FROM bus.thing")
    running = asyncio.create_task(migrations.migrate(empty_postgres))
    waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'bus.thing'::regclass AND NOT granted)"
    await wait_until(lambda: another.fetchval(waits), within_seconds=60, what="the migration's wait")
    async with asyncio.timeout(60):
        assert await another.fetch("SELECT FROM bus.thing") == [], "it does not queue behind the migration for good"
        assert not running.done()
        await long_one.rollback()
        assert await running == [wider]
    await reader.close()
    await another.close()


INDEXES = "-- concurrently: an index.\nCREATE INDEX CONCURRENTLY IF NOT EXISTS thing_id ON bus.thing (id);\n"


async def test_an_index_is_built_while_others_write_and_two_runners_wait_for_each_other(
    empty_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(monkeypatch, FIRST)
    await migrations.migrate(empty_postgres)
    index = Migration("bus", 2, "index", "checksum-2", INDEXES)
    bring(monkeypatch, FIRST, index)
    writer, another = await asyncpg.connect(empty_postgres), await asyncpg.connect(empty_postgres)
    long_one = writer.transaction()
    await long_one.start()
    await writer.execute("INSERT INTO bus.thing VALUES (1)")
    running = [asyncio.create_task(migrations.migrate(empty_postgres)) for _ in range(2)]
    builds = "SELECT EXISTS (SELECT FROM pg_stat_progress_create_index)"
    await wait_until(lambda: another.fetchval(builds), within_seconds=60, what="the build")
    async with asyncio.timeout(60):
        await another.execute("INSERT INTO bus.thing VALUES (2)")
        assert not any(task.done() for task in running)
        await long_one.commit()
        assert sorted(map(len, await asyncio.gather(*running))) == [0, 1]
    assert await another.fetchval("SELECT indisvalid FROM pg_index WHERE indexrelid = 'bus.thing_id'::regclass")
    await writer.close()
    await another.close()


async def test_what_an_interrupted_build_left_behind_is_built_anew(
    empty_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(monkeypatch, FIRST)
    await migrations.migrate(empty_postgres)
    admin = await asyncpg.connect(empty_postgres)
    await admin.execute("INSERT INTO bus.thing VALUES (1), (1)")
    with pytest.raises(asyncpg.UniqueViolationError):
        await admin.execute("CREATE UNIQUE INDEX CONCURRENTLY thing_id ON bus.thing (id)")
    bring(monkeypatch, FIRST, Migration("bus", 2, "index", "checksum-2", INDEXES))
    assert len(await migrations.migrate(empty_postgres)) == 1
    valid = "SELECT indisvalid AND NOT indisunique FROM pg_index WHERE indexrelid = 'bus.thing_id'::regclass"
    assert await admin.fetchval(valid)
    await admin.close()


async def test_of_a_table_in_partitions_each_has_its_index_built_and_the_whole_takes_them_up(
    empty_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = "".join(f"CREATE TABLE bus.thing_{n} PARTITION OF bus.thing FOR VALUES IN ({n});" for n in range(3))
    first = dataclasses.replace(FIRST, sql=f"CREATE TABLE bus.thing (id int) PARTITION BY LIST (id); {parts}")
    index = Migration("bus", 2, "index", "checksum-2", INDEXES)
    bring(monkeypatch, first, index)
    assert await migrations.migrate(empty_postgres) == [first, index]
    admin = await asyncpg.connect(empty_postgres)
    found = await admin.fetch(
        "SELECT indexrelid::regclass::text AS name, indisvalid FROM pg_index WHERE indrelid::regclass::text ~ 'thing'"
    )
    assert {row["name"] for row in found} == {"bus.thing_id", *(f"bus.thing_{n}_thing_id" for n in range(3))}
    assert all(row["indisvalid"] for row in found)
    await admin.close()


@pytest.mark.parametrize(
    "statement",
    ["CREATE INDEX thing_id ON bus.thing (id)", "CREATE INDEX CONCURRENTLY thing_id ON bus.thing (id)", "SELECT 1"],
)
def test_what_could_not_begin_anew_is_no_migration_outside_of_a_transaction(statement: str) -> None:
    with pytest.raises(ValueError, match="IF NOT EXISTS"):
        _ = Migration("bus", 2, "index", "c", f"-- concurrently\n{statement};").indexes


async def test_a_migration_gives_a_table_up_that_is_never_free(
    empty_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(monkeypatch, FIRST)
    await migrations.migrate(empty_postgres)
    for name, value in (("LOCK_SECONDS", 0.02), ("PAUSE_SECONDS", 0.0), ("LOCK_TRIES", 2)):
        monkeypatch.setattr(migrations, name, value)
    bring(monkeypatch, FIRST, Migration("bus", 2, "wider", "c", "ALTER TABLE bus.thing ADD COLUMN more int"))
    reader = await asyncpg.connect(empty_postgres)
    async with reader.transaction():
        await reader.fetch("SELECT FROM bus.thing")
        with pytest.raises(OperatorError, match=r"bus/0002_wider failed: .*lock timeout"):
            await migrations.migrate(empty_postgres)
    await reader.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Postgres]:
    """One of its own: no role of the platform is there yet."""
    tmp_path.chmod(0o711)
    with Postgres(tmp_path / "postgres").running(tmp_path / "postgres.log") as running:
        yield running


async def test_a_role_that_is_no_superuser_migrates_with_two_rights_and_is_told_which_it_lacks(
    server: Postgres,
) -> None:
    """As an owner on a managed server, where nobody is a superuser."""
    administrator = await asyncpg.connect(server.url())
    await administrator.execute("CREATE ROLE boss LOGIN")
    await administrator.execute("CREATE DATABASE shop OWNER boss")
    url = server.url().replace("postgres@/postgres", "boss@/shop")
    with pytest.raises(OperatorError, match="lacks CREATEROLE and BYPASSRLS") as refused:
        await migrations.migrate(url)
    assert 'ALTER ROLE "boss" CREATEROLE BYPASSRLS' in refused.value.remedy
    await administrator.execute("ALTER ROLE boss CREATEROLE BYPASSRLS")
    await administrator.close()
    assert await migrations.migrate(url), "all of them"
    assert await migrations.migrate(url) == []
