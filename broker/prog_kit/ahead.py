"""Transactions that are begun before they are needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from prog_kit.database import FAILURES, Connection, Database

IDLE_SECONDS: Final = 1.0
"""So long a begun transaction waits for its use; it holds no snapshot and no lock meanwhile."""


class BegunAhead:
    """Begins the next transaction while nobody waits for it, which saves whoever comes next a round trip.

    After each use a connection is taken from the pool and its transaction begun; when nobody wants it for IDLE_SECONDS,
    it is rolled back and given back. Whoever comes when none is ready begins one as ever.
    """

    def __init__(self, database: Database) -> None:
        self._pool = database.pool
        self._ready: tuple[Connection, Any] | None = None
        self._preparing: asyncio.Task[None] | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._closed = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Commits at the end, rolls back on any exception."""
        taken = self._take()
        if taken is None:
            async with self._pool.acquire() as connection, connection.transaction():
                yield connection
        else:
            connection, transaction = taken
            try:
                try:
                    yield connection
                except BaseException:
                    if not connection.is_closed():
                        await transaction.rollback()
                    raise
                await transaction.commit()
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

    def _take(self) -> tuple[Connection, Any] | None:
        taken, self._ready = self._ready, None
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        return taken

    async def _prepare(self) -> None:
        with suppress(*FAILURES):  # whoever needs one finds out for themselves
            connection = await self._pool.acquire()
            transaction = connection.transaction()
            try:
                await transaction.start()
            except BaseException:
                await self._pool.release(connection)
                raise
            self._ready = connection, transaction
            self._expiry = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._expire)

    def _expire(self) -> None:
        self._preparing = asyncio.create_task(self._give_back())

    async def _give_back(self) -> None:
        taken = self._take()
        if taken is None:
            return
        connection, transaction = taken
        with suppress(*FAILURES):
            try:
                await transaction.rollback()
            finally:
                await self._pool.release(connection)
