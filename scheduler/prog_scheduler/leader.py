"""Leadership: of any number of schedulers, one decides what is to be done now.

The leader holds an advisory lock on a connection of its own; when that is gone, so is the leadership, and another takes
over at its next try. Four times a second the leader looks whether a timer is due or a clock is to be walked, and asks
for the job that does it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import asyncpg

from prog_broker.redis.connection import OUTAGES, reconnect_delay_seconds
from prog_kit import logging
from prog_kit.database import role_url
from prog_scheduler.cron import Agenda

log = logging.get("prog_scheduler.leader")

LOCK: Final = (0x53434844, 0)  # "SCHD"
TICK_SECONDS: Final = 0.25
FOLLOW_SECONDS: Final = 1.0

LOOK: Final = """
SELECT EXISTS (
           SELECT FROM bus.timers AS t
           WHERE t.due_at <= $1 AND NOT EXISTS (SELECT FROM bus.tenant_clocks AS c WHERE c.tenant_id = t.tenant_id)
       ) AS due,
       ARRAY (SELECT tenant_id FROM bus.tenant_clocks WHERE advancing_to IS NOT NULL ORDER BY advance_started_at)
           AS advancing
"""

Job = tuple[str, ...]
"""An actor's name and its arguments."""


class Leader:
    """Leads when it can and follows when it must, until `stopping` is set.

    `ask` puts jobs on their queue; it may block, and raises OUTAGES when the queue is away.
    """

    def __init__(self, database_url: str, ask: Callable[[list[Job]], None], stopping: asyncio.Event) -> None:
        self._database_url = database_url
        self._ask = ask
        self._stopping = stopping
        self.leads = False

    async def run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                connection = await asyncpg.connect(
                    role_url(self._database_url, "prog_scheduler"),
                    server_settings={"application_name": "prog_scheduler", "timezone": "UTC"},
                )
                failures = 0
                try:
                    await self._seek(connection)
                finally:
                    self.leads = False
                    await _close(connection)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                failures += 1
                log.warning("the database does not answer", error=str(error))
                await self._pause(reconnect_delay_seconds(failures))

    async def _seek(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        while not self._stopping.is_set():
            if await connection.fetchval("SELECT pg_try_advisory_lock($1, $2)", *LOCK):
                self.leads = True
                log.info("leads")
                await self._lead(connection)
            await self._pause(FOLLOW_SECONDS)

    async def _lead(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        agenda = Agenda(datetime.now(UTC))
        failures = 0
        while not self._stopping.is_set():
            now = datetime.now(UTC)
            found = await connection.fetchrow(LOOK, now)
            assert found is not None
            wanted: list[Job] = [("fire_due_timers",)] if found["due"] else []
            wanted += [("advance_clock", tenant_id) for tenant_id in found["advancing"]]
            wanted += [(job.name,) for job in agenda.take_due(now)]
            try:
                if wanted:
                    await asyncio.to_thread(self._ask, wanted)
                failures = 0
            except OUTAGES as error:
                failures += 1
                log.warning("redis does not answer", error=str(error))
                await self._pause(reconnect_delay_seconds(failures))
            await self._pause(TICK_SECONDS)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)


async def _close(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Gives the lock back; a connection that is broken gave it back already."""
    try:
        await connection.close(timeout=2)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        connection.terminate()
