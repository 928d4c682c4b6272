"""The scheduler's process: a worker for jobs, and a leader that asks for them. Any number of processes may run."""

from __future__ import annotations

import asyncio
import signal

from prog_kit import logging, probes
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
        self.ready = False
        """Its jobs are served, and it leads or stands by."""

    async def run(self) -> None:
        leader = Leader(self._settings.database_url, self._ask, self.stopping)
        starting = asyncio.create_task(asyncio.to_thread(self._jobs.start))
        stopped = asyncio.create_task(self.stopping.wait())
        await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not self.stopping.is_set():
            self.ready = True
            log.info("ready")
            await leader.run()
            self.ready = False
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
    scheduler = Scheduler(settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, scheduler.stopping.set)
    with probes.serving(settings, lambda: scheduler.ready):
        await scheduler.run()
