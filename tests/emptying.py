"""A database that a test has used is made as it was, in a fifth of the time that another copy takes.

All rows go, those that the migrations made come back, and sequences begin anew. What a test did to the schema is not
undone: such a database is as good as dropped, and so is one on which somebody still works, or that was used often,
for the rows that went leave their place behind.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections import Counter
from typing import Final, TypeAlias

import asyncpg

from prog_kit.database import OUTAGES
from tests import lasting

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

TIMES: Final = 50
LEAVE_SECONDS: Final = 1.0
"""For so long who worked on a database may take to leave it."""
_PAUSE_SECONDS: Final = 0.005

_OTHERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND (pid <> ALL ($1) OR state <> 'idle')
"""
"""Sessions of others, but for those that wait for another test."""
_CATALOGS: Final = (
    *("pg_attrdef", "pg_attribute", "pg_class", "pg_constraint", "pg_depend", "pg_enum", "pg_event_trigger"),
    *("pg_extension", "pg_publication"),
    *("pg_index", "pg_inherits", "pg_namespace", "pg_policy", "pg_proc", "pg_rewrite", "pg_sequence", "pg_statistic"),
    *("pg_statistic_ext", "pg_trigger", "pg_type", "pg_default_acl", "pg_description", "pg_largeobject_metadata"),
)
_SCHEMA = " UNION ALL ".join(
    f"SELECT '{name}', count(*), count(*) FILTER (WHERE age(xmin) < age($1::text::xid)) FROM {name}"
    for name in _CATALOGS
)
"""Of each part of the schema how many rows it has, and how many of them have come or changed since a transaction."""
_COUNTING: Final = """
SET allow_system_table_mods = on;
CREATE SEQUENCE pg_catalog.test_schema_changes;
CREATE FUNCTION pg_catalog.count_schema_change() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog AS $$ BEGIN PERFORM nextval('pg_catalog.test_schema_changes'); END $$;
CREATE EVENT TRIGGER count_schema_change ON ddl_command_start EXECUTE FUNCTION pg_catalog.count_schema_change();
ALTER EVENT TRIGGER count_schema_change ENABLE ALWAYS;
RESET allow_system_table_mods
"""
"""Among what is PostgreSQL's own, where no test of the schema looks."""
_MAYBE_CHANGED: Final = """
SELECT pg_sequence_last_value('pg_catalog.test_schema_changes') IS NOT NULL,
       (SELECT (count(*), count(*) FILTER (WHERE age(xmin) < age($1::text::xid)))::text FROM pg_event_trigger),
       (SELECT count(*) FILTER (WHERE age(xmin) < age($1::text::xid)) FROM pg_statistic),
       (SELECT count(*) FROM pg_largeobject_metadata)
"""
"""By a statement that PostgreSQL tells triggers of, one on such triggers, ANALYZE, or what makes large objects. To look
for what has changed takes ten times as long. Writing to the catalogues, which no test does, is not seen."""
_DATABASE_SETTINGS = """
SELECT count(*) FROM pg_db_role_setting AS s JOIN pg_database AS d ON d.oid = s.setdatabase
WHERE d.datname = current_database()
"""

_OURS = "relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)"
_FILLED = f"""
SELECT oid::regclass::text FROM pg_class
WHERE relkind = 'r' AND relpersistence <> 't' AND {_OURS} AND pg_relation_size(oid) > 0 ORDER BY 1
"""
_BEGIN_ANEW: Final = (
    "SELECT setval(seqrelid, seqstart, false) FROM pg_sequence WHERE pg_sequence_last_value(seqrelid) IS NOT NULL"
)


class Emptier:
    """For databases that are copies of one template."""

    def __init__(self) -> None:
        self._connections: dict[str, Connection] = {}
        self._times: Counter[str] = Counter()

    async def learn(self, template: Connection) -> None:
        """How a database of theirs is when it is new. The template must not change any more."""
        await template.execute(_COUNTING)
        self._since: str = await template.fetchval("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
        self._unchanged = await template.fetchrow(_MAYBE_CHANGED, self._since)
        self._schema = await template.fetch(_SCHEMA, self._since)
        self._rows: dict[str, bytes] = {}
        for (table,) in await template.fetch(_FILLED):
            schema, _, name = table.partition(".")
            rows = io.BytesIO()
            await template.copy_from_table(name, schema_name=schema, output=rows, format="binary")
            self._rows[table] = rows.getvalue()
        self._contents = self._digests(self._rows)
        digest = await template.fetchrow(self._contents)
        assert digest is not None
        self._digest = digest

    async def empty(self, url: str) -> bool:
        """Whether the database is as it was when it was new."""
        self._times[url] += 1
        if self._times[url] > TIMES:
            return False
        try:
            connection = self._connections.get(url)
            if connection is None:
                connection = self._connections[url] = await asyncpg.connect(
                    url, server_settings={"session_replication_role": "replica"}
                )
            return await self._is_left(connection) and await self._empty(connection)
        except (OSError, *OUTAGES):  # such as when a test has ended all sessions
            return False

    async def forget(self, url: str) -> None:
        """The database is to be dropped."""
        connection = self._connections.pop(url, None)
        self._times.pop(url, None)
        if connection is not None:
            connection.terminate()

    async def close(self) -> None:
        for url in [*self._connections]:
            await self.forget(url)

    async def _is_left(self, connection: Connection) -> bool:
        deadline = time.monotonic() + LEAVE_SECONDS
        while await connection.fetchval(_OTHERS, lasting.sessions()):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_PAUSE_SECONDS)
        return True

    async def _empty(self, connection: Connection) -> bool:
        if await self._has_another_schema(connection) or await connection.fetchval(_DATABASE_SETTINGS):
            return False
        async with connection.transaction():
            filled = [table for (table,) in await connection.fetch(_FILLED) if table not in self._rows]
            digest = await connection.fetchrow(self._contents)
            assert digest is not None
            changed = [table for table in self._rows if digest[table] != self._digest[table]]
            if filled or changed:
                await connection.execute(";".join(f"DELETE FROM ONLY {table}" for table in filled + changed))
            for table in changed:
                schema, _, name = table.partition(".")
                await connection.copy_to_table(
                    name, schema_name=schema, source=io.BytesIO(self._rows[table]), format="binary"
                )
            await connection.execute(_BEGIN_ANEW)
        return not await connection.fetchval(_OTHERS, lasting.sessions())

    async def _has_another_schema(self, connection: Connection) -> bool:
        if await connection.fetchrow(_MAYBE_CHANGED, self._since) == self._unchanged:
            return False
        return bool(await connection.fetch(_SCHEMA, self._since) != self._schema)

    @staticmethod
    def _digests(tables: dict[str, bytes]) -> str:
        """One row: of each table what all its rows come to."""
        parts = (
            f"(SELECT md5(string_agg(t::text, ';' ORDER BY t::text)) FROM ONLY {table} AS t) AS \"{table}\""
            for table in tables
        )
        return f"SELECT {', '.join(parts)}"
