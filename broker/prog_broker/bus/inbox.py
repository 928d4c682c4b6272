"""Effects once, for a program of your own: an inbox in any PostgreSQL that its handlers write to.

    bus = Bus(url, inbox=PostgresInbox("postgresql://…"))

    @bus.subscribe(InvoiceGenerated, group="bookkeeping")
    async def book(event: InvoiceGenerated, context: Context) -> None:
        await context.connection.execute("INSERT INTO bookings …")

The message's id is recorded in the transaction of `context.connection`, so that both are there or neither is; a message
that comes again finds its id and is left out. The tables are made by `DDL`: run it yourself, or `await inbox.create()`;
`await inbox.forget()` deletes ids that no broker can deliver any more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

import asyncpg

from prog_kit.database import OUTAGES as DATABASE_OUTAGES
from prog_kit.database import Connection, is_open

DDL: Final = """
CREATE TABLE IF NOT EXISTS prog_inbox (
    consumer_group text NOT NULL,
    message_id uuid NOT NULL,
    handled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (consumer_group, message_id)
);
CREATE INDEX IF NOT EXISTS prog_inbox_age ON prog_inbox (handled_at);
CREATE TABLE IF NOT EXISTS prog_inbox_fences (
    consumer_group text NOT NULL,
    shard text NOT NULL,
    token bigint NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (consumer_group, shard)
);
"""
"""What the inbox needs, in the schema that the connection's search path names first. Safe to run again."""

ADMIT: Final = """
WITH fence AS (
    INSERT INTO prog_inbox_fences AS f (consumer_group, shard, token) VALUES ($1, $2, $3)
    ON CONFLICT (consumer_group, shard) DO UPDATE SET token = EXCLUDED.token, seen_at = clock_timestamp()
    WHERE f.token <= EXCLUDED.token OR f.seen_at < clock_timestamp() - interval '1 day'
    RETURNING 1
), admitted AS (
    INSERT INTO prog_inbox (consumer_group, message_id)
    SELECT $1, u.message_id FROM unnest($4::uuid[]) AS u (message_id) WHERE EXISTS (SELECT FROM fence)
    ON CONFLICT DO NOTHING
    RETURNING message_id
)
SELECT EXISTS (SELECT FROM fence) AS held, (SELECT array_agg(message_id) FROM admitted) AS admitted
"""
"""One statement a batch: refuses an owner that was paused and has lost the shard, and records the ids that are new.

A token that nobody has used for a day binds no longer: Kafka counts generations anew once it has forgotten a group.
"""


class Fenced(Exception):
    """Another process owns the shard by now: nothing of this batch was committed."""


class InboxAway(Exception):
    """The inbox's database does not answer: that says nothing against a message, which is handled again then."""


class PostgresInbox:
    """Ids of handled messages in PostgreSQL; opened and closed by the bus."""

    OUTAGES: Final = (OSError, *DATABASE_OUTAGES)
    """What opening, making and forgetting raise while the server does not answer."""

    def __init__(self, dsn: str, *, max_size: int = 8) -> None:
        self._dsn = dsn
        self._max_size = max_size
        self._pool: asyncpg.Pool[Any] | None = None

    async def open(self) -> None:
        """Connects. Raises one of OUTAGES when the server does not answer."""
        if self._pool is None:
            self._pool = await asyncpg.create_pool(self._dsn, min_size=0, max_size=self._max_size)

    async def close(self) -> None:
        """Waits for the transactions at work and closes."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    async def create(self) -> None:
        """Makes the tables unless they are there."""
        await self.open()
        await self._opened().execute(DDL)

    async def forget(self, *, older_than_days: int = 30) -> int:
        """Deletes ids older than any broker keeps messages; returns how many went."""
        await self.open()
        status = await self._opened().execute(
            "DELETE FROM prog_inbox WHERE handled_at < clock_timestamp() - make_interval(days => $1)", older_than_days
        )
        return int(status.rpartition(" ")[2])

    @asynccontextmanager
    async def admitted(
        self, group: str, shard: str, token: int, ids: Sequence[UUID]
    ) -> AsyncIterator[tuple[Connection, set[UUID]]]:
        """A transaction, and which of `ids` are new in it. Raises Fenced and InboxAway.

        What is raised inside stays as it is, unless the connection is gone: a handler may have outages of its own.
        """
        handler_s_own = False
        try:
            await self.open()
            async with self._opened().acquire() as connection, connection.transaction():
                row = await connection.fetchrow(ADMIT, group, shard, token, list(ids))
                assert row is not None
                if not row["held"]:
                    raise Fenced(shard)
                try:
                    yield connection, set(row["admitted"] or ())
                except (OSError, asyncpg.InterfaceError):
                    handler_s_own = is_open(connection)
                    raise
        except self.OUTAGES as error:
            if handler_s_own:
                raise
            raise InboxAway(f"{type(error).__name__}: {error}") from error

    def _opened(self) -> asyncpg.Pool[Any]:
        if self._pool is None:
            raise RuntimeError("the inbox is not open: the bus opens it, or `await inbox.open()`")
        return self._pool
