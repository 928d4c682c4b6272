"""Connections to PostgreSQL that outlive a test, for the next one on the same database.

A new connection costs more processor than most component tests: PostgreSQL forks a process for it, which reads the
catalogue and plans each statement anew. A connection belongs to its loop of events, so the tests that keep some run one
after the other on a loop that lasts. Tasks, asynchronous generators and threads of a test end with it all the same, as
does what it set on the loop; a listener or a callback for later that it leaves behind would reach the next.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import chain
from typing import Any, Final, TypeAlias

import asyncpg

from prog_kit.database import FAILURES, Database

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

MOST: Final = 4
"""So many connections of a pool are worth keeping."""
_AS_NEW: Final = "RESET SESSION AUTHORIZATION; RESET ROLE; DISCARD TEMP; DISCARD SEQUENCES"
"""Beside what asyncpg resets: settings, locks, cursors, listeners."""


class Loop(asyncio.SelectorEventLoop):
    """One that a runner does not end."""

    async def shutdown_asyncgens(self) -> None:
        await super().shutdown_asyncgens()
        self._asyncgens_shutdown_called = False

    async def shutdown_default_executor(self, *limits: Any) -> None:
        await super().shutdown_default_executor(*limits)
        self._executor_shutdown_called = False
        self._default_executor = None

    def close(self) -> None:
        """As new for the next test; `Kept.end` closes it."""
        self.set_exception_handler(None)
        self.set_task_factory(None)
        self.set_debug(False)


class Kept:
    """What waits on a loop for the next test: connections of administrators by address, pools by address and role."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.sessions: set[int] = set()
        """The numbers of PostgreSQL's processes behind them."""
        self._administrators: defaultdict[str, list[Connection]] = defaultdict(list)
        self._databases: defaultdict[tuple[str, str], list[Database]] = defaultdict(list)

    def end(self) -> None:
        """Close all; another loop serves from now on."""
        global _kept  # noqa: PLW0603 - one for each process
        if _kept is self:
            _kept = None
        self.loop.run_until_complete(self._close())
        asyncio.SelectorEventLoop.close(self.loop)

    async def _close(self) -> None:
        for connection in chain(*self._administrators.values()):
            connection.terminate()
        for database in chain(*self._databases.values()):
            database.pool.terminate()
        await asyncio.sleep(0)  # transports close at the loop's next turn

    @asynccontextmanager
    async def administrator(self, url: str) -> AsyncIterator[Connection]:
        self._forget_dropped()
        idle = self._administrators[url]
        connection = idle.pop() if idle else await asyncpg.connect(url)
        try:
            yield connection
        except BaseException:
            self._end(connection)
            raise
        if await self._renewed(connection):
            idle.append(connection)
        else:
            self._end(connection)

    @asynccontextmanager
    async def database(self, url: str, role: str) -> AsyncIterator[Database]:
        """With MOST connections at the most."""
        idle = self._databases[url, role]
        database = idle.pop() if idle else await Database.connect(url, role, min_size=0, max_size=MOST)
        try:
            yield database
        except BaseException:
            database.pool.terminate()
            raise
        if await self._all_renewed(database.pool):
            idle.append(database)
        else:
            await database.close()

    async def _all_renewed(self, pool: asyncpg.Pool[Any]) -> bool:
        if pool.get_idle_size() < pool.get_size():
            return False
        async with AsyncExitStack() as borrowed:
            connections = [await borrowed.enter_async_context(pool.acquire()) for _ in range(pool.get_size())]
            return all([await self._renewed(connection) for connection in connections])

    async def _renewed(self, connection: Any) -> bool:
        """Whether it is as it was when it was new."""
        if connection.is_in_transaction():
            return False
        try:
            await connection.execute(_AS_NEW)
            await connection.reset()
        except FAILURES:
            return False
        self.sessions.add(connection.get_server_pid())
        return True

    def _end(self, connection: Connection) -> None:
        self.sessions.discard(connection.get_server_pid())
        connection.terminate()

    def _forget_dropped(self) -> None:
        """PostgreSQL has ended the connections of databases that were dropped."""
        gone = [url for url, idle in self._administrators.items() if any(each.is_closed() for each in idle)]
        for url in gone:
            for connection in self._administrators.pop(url):
                self._end(connection)
        for key in [key for key in self._databases if key[0] in gone]:
            for database in self._databases.pop(key):
                database.pool.terminate()


_kept: Kept | None = None


def kept() -> Kept:
    """This process's."""
    global _kept  # noqa: PLW0603 - one for each process
    if _kept is None:
        _kept = Kept()
    return _kept


def sessions() -> list[int]:
    """The numbers of PostgreSQL's processes that wait for another test."""
    return [] if _kept is None else [*_kept.sessions]
