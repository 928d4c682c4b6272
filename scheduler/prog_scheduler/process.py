"""The scheduler's process: a worker for jobs, and a leader that asks for them. Any number of processes may run."""

from __future__ import annotations

import asyncio
import signal

import prometheus_client

from prog_kit import logging
from prog_kit.settings import Settings
from prog_scheduler.jobs import Jobs
from prog_scheduler.leader import Job, Leader

log = logging.get("prog_scheduler.process")


class Scheduler:
    """One process; dramatiq allows one worker in each. `run` returns when `stopping` is set, after the work at hand."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._jobs = Jobs(settings)
        self.stopping = asyncio.Event()

    async def run(self) -> None:
        leader = Leader(self._settings.database_url, self._ask, self.stopping)
        starting = asyncio.create_task(asyncio.to_thread(self._jobs.start))
        stopped = asyncio.create_task(self.stopping.wait())
        await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not self.stopping.is_set():
            log.info("ready")
            await leader.run()
        self._jobs.stopping.set()
        await starting
        await asyncio.to_thread(self._jobs.stop, self._settings.drain_seconds)
        await stopped
        log.info("stopped")

    def _ask(self, wanted: list[Job]) -> None:
        for name, *arguments in wanted:
            self._jobs.ask(name, *arguments)


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
