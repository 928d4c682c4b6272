"""Forward-only migrations: SQL files in the rooms that own the tables, applied by `prog migrate` and by nothing else.

Files are `<room>/migrations/NNNN_name.sql`. The carrier's schema comes first, then the domains in a fixed order. Each
file runs in one transaction together with its row in `bus.schema_migrations`; one advisory lock lets one runner work at
a time. A file that was applied never changes: its checksum is compared at every start.

A file that begins with `-- concurrently` has indexes alone, which are built one by one outside of any transaction,
while everybody goes on reading and writing (infra/adr/0034-plans-and-retention.md). What was interrupted begins anew.

Every process calls `require_current_schema` before it starts, and refuses a database that is older or newer than it.
"""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial
from importlib import metadata
from importlib.resources import files
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from prog_infra.errors import OperatorError
from prog_kit.database import DOMAIN_ROLES, ROLES, role_password, role_url

OWNERS = ("bus", *DOMAIN_ROLES)
_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_CONCURRENTLY = "-- concurrently"
_INDEX = re.compile(
    r"(?:CREATE(?: UNIQUE)?|DROP) INDEX CONCURRENTLY IF (?:NOT )?EXISTS (?:(\w+)\.)?(\w+)(?: ON (\w+)\.)?"
)
_ON = re.compile(r" ON (\w+\.\w+)")
_PARTITIONS = """
SELECT relid::regclass::text AS name FROM pg_partition_tree(to_regclass($1)) WHERE isleaf AND level > 0 ORDER BY 1
"""
_LOCK_KEY = 0x4D494752  # "MIGR"
LOCK_SECONDS = 3.0
"""So long a migration waits for a table that somebody uses, for all who come behind it wait meanwhile, too."""
LOCK_TRIES = 40
PAUSE_SECONDS = 1.0
TURN_SECONDS = 0.1
"""How often a runner looks whether another one is done."""
_UNFINISHED = (
    ConnectionRefusedError,
    FileNotFoundError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
)

_TABLE = """
CREATE SCHEMA IF NOT EXISTS bus;
CREATE TABLE IF NOT EXISTS bus.schema_migrations (
    owner text NOT NULL,
    number integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (owner, number)
);
COMMENT ON TABLE bus.schema_migrations IS 'global: which migrations ran; holds nothing of any tenant';
ALTER TABLE bus.schema_migrations ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY everyone_reads ON bus.schema_migrations FOR SELECT USING (true);
CREATE POLICY runner_writes ON bus.schema_migrations TO CURRENT_USER USING (true) WITH CHECK (true);
GRANT USAGE ON SCHEMA bus TO PUBLIC;
GRANT SELECT ON bus.schema_migrations TO PUBLIC;
"""


class SchemaMismatch(OperatorError):
    """The database's schema and this code do not belong together."""


class Fetches(Protocol):
    """What `check` needs of a connection, pooled or not."""

    async def fetch(self, query: str, /) -> list[asyncpg.Record]: ...

    async def fetchval(self, query: str, /) -> object: ...


@dataclass(frozen=True, slots=True, order=True)
class Migration:
    """One file. `checksum` is the SHA-256 of its text with Unix line ends."""

    owner: str
    number: int
    name: str
    checksum: str
    sql: str

    def __str__(self) -> str:
        return f"{self.owner}/{self.number:04d}_{self.name}"

    @property
    def indexes(self) -> list[tuple[str, str]]:
        """Of a file that is run outside of a transaction, each statement and its index; of any other nothing.

        Raises ValueError for a statement that could not begin anew after an interruption.
        """
        if not self.sql.startswith(_CONCURRENTLY):
            return []
        text = "\n".join(line for line in self.sql.splitlines() if not line.startswith("--"))
        found = []
        for statement in (part.strip() for part in text.split(";") if part.strip()):
            match = _INDEX.match(statement)
            if match is None or not (match[1] or match[3]):
                raise ValueError(
                    f"{self} makes and drops indexes CONCURRENTLY, IF NOT EXISTS or IF EXISTS: {statement}"
                )
            found.append((statement, f"{match[1] or match[3]}.{match[2]}"))
        return found


@cache
def known() -> tuple[Migration, ...]:
    """The migrations that this code brings, in the order in which they apply.

    Raises ValueError for a file that is named wrongly or a number that is missing or there twice.
    """
    return tuple(migration for owner in OWNERS for migration in _of(owner))


async def migrate(url: str) -> list[Migration]:
    """Bring the database up to this code and return what was applied; nothing when it was up to date.

    `url` is the administrator's. Where it has a password, every role gets its own, derived from it.

    Raises SchemaMismatch when the database is newer than the code or an applied file was changed, and OperatorError
    when a migration fails (earlier ones stay applied), or when the role of `url` may not do what they do.
    """
    connection = await connect(url)
    try:
        await _require_rights(connection)
        await _take_turn(connection)
        if not await _has_table(connection):
            async with connection.transaction():
                await connection.execute(_TABLE)
        waiting = compare(await _applied(connection))
        for migration in waiting:
            await _apply(connection, migration)
        await _set_role_passwords(connection, url)
        return waiting
    finally:
        await connection.close()


async def _require_rights(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Migrations make roles, and write rows of tables whose row-level security holds for their owner, too."""
    row = await connection.fetchrow(
        "SELECT rolname, rolsuper OR rolcreaterole, rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
    )
    assert row is not None
    role, *rights = row
    missing = [right for right, has in zip(("CREATEROLE", "BYPASSRLS"), rights, strict=True) if not has]
    if missing:
        raise OperatorError(
            f"the role {role!r} may not migrate: it lacks {' and '.join(missing)}",
            remedy=f'have it granted, `ALTER ROLE "{role}" {" ".join(missing)}`, or give the address of a superuser',
        )


async def _take_turn(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Not by waiting in the server: whoever builds an index there waits for every statement that began before."""
    taken = False
    while not taken:
        taken = await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK_KEY)
        if not taken:
            await asyncio.sleep(TURN_SECONDS)


async def create_database(url: str) -> None:
    """Make the database that the administrator's `url` names, unless it is there."""
    parts = urlsplit(url)
    name = parts.path.lstrip("/")
    connection = await connect(urlunsplit(parts._replace(path="/postgres")))
    try:
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
            quoted = '"' + name.replace('"', '""') + '"'
            await connection.execute(f"CREATE DATABASE {quoted}")
    finally:
        await connection.close()


async def check(connection: Fetches) -> None:
    """Raise SchemaMismatch unless the database has exactly the migrations that this code brings."""
    applied = await _applied(connection) if await _has_table(connection) else {}
    if waiting := compare(applied):
        raise SchemaMismatch(
            f"the database's schema is older than this version: {len(waiting)} missing, first {waiting[0]}",
            remedy="run `prog migrate`",
        )


async def require_current_schema(url: str, role: str = "prog_relay", *, patience_seconds: float = 10.0) -> None:
    """`check` on a connection of its own, with the rights of `role`; waits for a server that is just starting.

    Raises SchemaMismatch, or OperatorError when the server does not answer.
    """
    try:
        connection = await connect(role_url(url, role), patience_seconds=patience_seconds)
    except asyncpg.InvalidAuthorizationSpecificationError:
        raise SchemaMismatch(
            f"the database does not know the role {role}, or not its password", remedy="run `prog migrate`"
        ) from None
    try:
        await check(connection)
    finally:
        await connection.close()


async def connect(url: str, *, patience_seconds: float = 10.0) -> "asyncpg.Connection[asyncpg.Record]":
    """A connection; a server that is just starting is given some time. Raises OperatorError."""
    deadline = asyncio.get_running_loop().time() + patience_seconds
    while True:
        try:
            return await asyncpg.connect(url, server_settings={"application_name": "prog"})
        except asyncpg.InvalidAuthorizationSpecificationError:
            raise
        except _UNFINISHED as error:
            if asyncio.get_running_loop().time() > deadline:
                raise _unreachable(url, error) from None
            await asyncio.sleep(0.1)
        except (OSError, asyncpg.PostgresError, ValueError) as error:
            raise _unreachable(url, error) from None


def compare(applied: dict[tuple[str, int], str]) -> list[Migration]:
    """What of `known` is not applied yet; `applied` maps owner and number to the checksum.

    Raises SchemaMismatch when the database is newer than the code, or when an applied file was changed.
    """
    brought = {(migration.owner, migration.number): migration for migration in known()}
    if unknown := sorted(set(applied) - set(brought)):
        owner, number = unknown[-1]
        raise SchemaMismatch(
            f"the database's schema is newer than this version {_version()}: it has {owner}/{number:04d}",
            remedy="install the version that made it, or a later one",
        )
    for key, checksum in applied.items():
        if brought[key].checksum != checksum:
            raise SchemaMismatch(
                f"the migration {brought[key]} was changed after it was applied",
                remedy="restore the file as it was and add a new migration (a new --data directory starts afresh)",
            )
    return [migration for key, migration in brought.items() if key not in applied]


def _of(owner: str) -> Iterable[Migration]:
    room = files("prog_broker") if owner == "bus" else files("prog_workers") / owner
    folder = room / "migrations"
    if not folder.is_dir():
        return []
    found = []
    for file in sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda f: f.name):
        match = _FILE_NAME.fullmatch(file.name)
        if match is None:
            raise ValueError(f"migrations are named NNNN_name.sql, not {owner}/{file.name}")
        sql = file.read_text(encoding="utf-8").replace("\r\n", "\n")
        found.append(Migration(owner, int(match[1]), match[2], hashlib.sha256(sql.encode()).hexdigest(), sql))
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"the migrations of {owner} are not numbered 1 to {len(found)}")
    return found


async def _has_table(connection: Fetches) -> bool:
    return bool(await connection.fetchval("SELECT to_regclass('bus.schema_migrations') IS NOT NULL"))


async def _applied(connection: Fetches) -> dict[tuple[str, int], str]:
    rows = await connection.fetch("SELECT owner, number, checksum FROM bus.schema_migrations")
    return {(row["owner"], row["number"]): row["checksum"] for row in rows}


async def _apply(connection: "asyncpg.Connection[asyncpg.Record]", migration: Migration) -> None:
    try:
        if migration.indexes:
            for statement, index in migration.indexes:
                await _build(connection, statement, index)
            await _note(connection, migration)
        else:
            await _patiently(partial(_run, connection, migration))
    except asyncpg.PostgresError as error:
        where = ""
        if position := getattr(error, "position", None):
            where = f" at line {migration.sql.count(chr(10), 0, int(position)) + 1}"
        raise OperatorError(
            f"the migration {migration} failed{where}: {error.args[0]}", remedy="mend the cause and run `prog migrate`"
        ) from error


async def _patiently(step: Callable[[], Awaitable[object]]) -> None:
    """Steps back from a table that is in use and comes again, so that a long transaction holds up nobody but this."""
    for left in reversed(range(LOCK_TRIES)):
        try:
            await step()
            return
        except asyncpg.LockNotAvailableError:
            if not left:
                raise
            await asyncio.sleep(PAUSE_SECONDS)


async def _run(connection: "asyncpg.Connection[asyncpg.Record]", migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = {int(LOCK_SECONDS * 1000)}")
        await connection.execute(migration.sql)
        await _note(connection, migration)


async def _build(connection: "asyncpg.Connection[asyncpg.Record]", statement: str, index: str) -> None:
    """Nobody waits for this: it waits for transactions that began before, however long they take.

    Of a table in partitions each has its index built, and the whole then takes them up.
    """
    table = _ON.search(statement)
    parts = [] if table is None else await connection.fetch(_PARTITIONS, table[1])
    if table is None or not parts:
        # What an interrupted build leaves behind is kept up to date, and never read.
        if await connection.fetchval("SELECT NOT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)", index):
            await connection.execute(f"DROP INDEX CONCURRENTLY {index}")
        await connection.execute(statement)
        return
    name = index.partition(".")[2]
    for part in (row["name"] for row in parts):
        own = f"{part.partition('.')[2]}_{name}"
        of_part = statement.replace(f" {name} ON {table[1]}", f" {own} ON {part}")
        await _build(connection, of_part, f"{part.partition('.')[0]}.{own}")
    await _patiently(partial(_take_up, connection, statement.replace(" CONCURRENTLY", "", 1)))


async def _take_up(connection: "asyncpg.Connection[asyncpg.Record]", statement: str) -> None:
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = {int(LOCK_SECONDS * 1000)}")
        await connection.execute(statement)


async def _note(connection: "asyncpg.Connection[asyncpg.Record]", migration: Migration) -> None:
    await connection.execute(
        "INSERT INTO bus.schema_migrations (owner, number, name, checksum) VALUES ($1, $2, $3, $4)",
        migration.owner,
        migration.number,
        migration.name,
        migration.checksum,
    )


async def _set_role_passwords(connection: "asyncpg.Connection[asyncpg.Record]", url: str) -> None:
    password = urlsplit(url).password
    if password is None:
        return
    there = {row["rolname"] for row in await connection.fetch("SELECT rolname FROM pg_roles")}
    for role in (role for role in ROLES if role in there):
        # A role's name is a constant and its password is hexadecimal; DDL takes no parameters.
        await connection.execute(f"ALTER ROLE {role} PASSWORD '{role_password(password, role)}'")


def _unreachable(url: str, error: Exception) -> OperatorError:
    parts = urlsplit(url)
    place = parts.hostname or parts.query.partition("host=")[2] or "the local socket"
    return OperatorError(
        f"PostgreSQL at {place} cannot be used: {str(error) or type(error).__name__}",
        remedy="check PROG_DATABASE_URL and that the server runs",
    )


def _version() -> str:
    return metadata.version("prognetwork")
