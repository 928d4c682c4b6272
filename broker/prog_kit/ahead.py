"""Transactions that are begun before they are needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from prog_kit.database import FAILURES, Begun, Connection, Database

IDLE_SECONDS: Final = 1.0
"""So long a begun transaction waits for its use; it holds no snapshot and no lock meanwhile."""


class BegunAhead:
    """Begins the next transaction while nobody waits for it, which saves whoever comes next a round trip.

    After each use a connection is taken from the pool and its transaction begun; when nobody wants it for IDLE_SECONDS,
    it is rolled back and given back. Whoever comes when none is ready begins one as ever.
    """

    def __init__(self, database: Database) -> None:
        self._pool = database.pool
        self._ready: Connection | None = None
        self._preparing: asyncio.Task[None] | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._closed = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Begun]:
        """A transaction that is begun; ends as `Begun.ended`."""
        connection = self._take() or await self._begin()
        try:
            async with Begun(connection).ended() as begun:
                yield begun
        finally:
            await self._pool.release(connection)
        if not self._closed and self._ready is None and (self._preparing is None or self._preparing.done()):
            self._preparing = asyncio.create_task(self._prepare())

    async def close(self) -> None:
        """Gives back what is begun. Call it before the pool is closed."""
        self._closed = True
        if self._preparing is not None:
            await asyncio.gather(self._preparing, return_exceptions=True)
        await self._give_back()

    def _take(self) -> Connection | None:
        taken, self._ready = self._ready, None
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        return taken

    async def _begin(self) -> Connection:
        connection: Connection = await self._pool.acquire()
        try:
            await connection.execute("BEGIN")
        except BaseException:
            await self._pool.release(connection)
            raise
        return connection

    async def _prepare(self) -> None:
        with suppress(*FAILURES):  # whoever needs one finds out for themselves
            self._ready = await self._begin()
            self._expiry = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._expire)

    def _expire(self) -> None:
        self._preparing = asyncio.create_task(self._give_back())

    async def _give_back(self) -> None:
        connection = self._take()
        if connection is None:
            return
        with suppress(*FAILURES):
            try:
                await connection.execute("ROLLBACK")
            finally:
                await self._pool.release(connection)
