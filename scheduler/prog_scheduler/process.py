"""The scheduler's process. Any number may run: all work on jobs, one of them leads and decides what is to be done.

The leader holds an advisory lock on a connection of its own; when that is gone, so is the leadership, and another takes
over at its next try. Four times a second the leader looks whether a timer is due or a clock is to be walked, and asks
for the job that does it.
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import asyncpg
import prometheus_client

from prog_broker.redis.connection import OUTAGES, reconnect_delay_seconds
from prog_kit import logging
from prog_kit.database import role_url
from prog_kit.settings import Settings
from prog_scheduler.cron import Agenda
from prog_scheduler.jobs import Jobs

log = logging.get("prog_scheduler.process")

LEADER_LOCK: Final = (0x53434844, 0)  # "SCHD"
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


class Scheduler:
    """One process. `run` returns after SIGTERM, SIGINT, or when `stopping` is set."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._jobs = Jobs(settings)
        self.stopping = asyncio.Event()
        self.leads = False

    async def run(self) -> None:
        starting = asyncio.create_task(asyncio.to_thread(self._jobs.start))
        stopping = asyncio.create_task(self._stopped())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not self.stopping.is_set():
            log.info("ready")
            await self._lead_or_follow()
        self._jobs.stopping.set()
        await starting
        await asyncio.to_thread(self._jobs.stop, self._settings.drain_seconds)
        await stopping
        log.info("stopped")

    async def _lead_or_follow(self) -> None:
        failures = 0
        while not self.stopping.is_set():
            try:
                connection = await asyncpg.connect(
                    role_url(self._settings.database_url, "prog_scheduler"),
                    server_settings={"application_name": "prog_scheduler", "timezone": "UTC"},
                )
                failures = 0
                try:
                    await self._seek_leadership(connection)
                finally:
                    self.leads = False
                    connection.terminate()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                failures += 1
                log.warning("the database does not answer", error=str(error))
                await self._pause(reconnect_delay_seconds(failures))

    async def _seek_leadership(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        while not self.stopping.is_set():
            if await connection.fetchval("SELECT pg_try_advisory_lock($1, $2)", *LEADER_LOCK):
                self.leads = True
                log.info("leads")
                await self._lead(connection)
            await self._pause(FOLLOW_SECONDS)

    async def _lead(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        agenda = Agenda(datetime.now(UTC))
        failures = 0
        while not self.stopping.is_set():
            now = datetime.now(UTC)
            found = await connection.fetchrow(LOOK, now)
            assert found is not None
            wanted: list[tuple[str, ...]] = [("fire_due_timers",)] if found["due"] else []
            wanted += [("advance_clock", tenant_id) for tenant_id in found["advancing"]]
            wanted += [(job.name,) for job in agenda.take_due(now)]
            try:
                await asyncio.to_thread(self._ask, wanted)
                failures = 0
            except OUTAGES as error:
                failures += 1
                log.warning("redis does not answer", error=str(error))
                await self._pause(reconnect_delay_seconds(failures))
            await self._pause(TICK_SECONDS)

    def _ask(self, wanted: list[tuple[str, ...]]) -> None:
        for name, *arguments in wanted:
            self._jobs.ask(name, *arguments)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)

    async def _stopped(self) -> None:
        await self.stopping.wait()
        self._jobs.stopping.set()


async def run() -> None:
    """The scheduler process, until SIGTERM or SIGINT."""
    settings = Settings.load()
    logging.configure(settings.log_level, settings.process_name)
    if settings.metrics_port:
        prometheus_client.start_http_server(settings.metrics_port, settings.host)
    scheduler = Scheduler(settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, scheduler.stopping.set)
    await scheduler.run()
