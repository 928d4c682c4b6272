"""The dramatiq actors: which jobs there are, and what each needs.

A job may be asked for twice and lost at any time: the tick asks again while there is something to do, and each job
finds its work in PostgreSQL. So jobs are not retried, and what Redis forgets costs a second.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
import dramatiq
from dramatiq import worker as dramatiq_worker
from dramatiq.asyncio import get_event_loop_thread
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AsyncIO, Middleware, TimeLimit

from prog_broker import relay
from prog_broker.redis.connection import OUTAGES, Client, connect
from prog_kit import logging
from prog_kit.database import Database
from prog_kit.settings import Settings
from prog_scheduler import clocks, housekeeping, metrics, timers

log = logging.get("prog_scheduler.jobs")

NAMESPACE: Final = "prog.jobs"
THREADS: Final = 8
POLL_MILLISECONDS: Final = 100
FORGOTTEN_SECONDS: Final = 3.0
"""A job that was asked for and is not done after this long may be lost, and is asked for again."""
HOUR_MILLISECONDS: Final = 3_600_000
STATEMENT_SECONDS: Final = 300.0
"""A batch that takes longer than this is given up, and comes again with the next run."""
CLOSE_SECONDS: Final = 2.0
RESTART_SECONDS: Final = 0.5

Failures: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, *OUTAGES)


class Jobs:
    """Broker, worker and actors of one process. `start`, `ask` and `stop` are called from the main thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._asked: dict[tuple[str, ...], float] = {}
        self._lock = threading.Lock()
        self.stopping = threading.Event()
        self._tools = _Tools(settings, self.stopping)
        self.broker = RedisBroker(  # type: ignore[no-untyped-call]
            url=settings.redis_url,
            namespace=NAMESPACE,
            dead_message_ttl=HOUR_MILLISECONDS,
            middleware=[TimeLimit(time_limit=HOUR_MILLISECONDS), AsyncIO(), self._tools],
        )
        # As shipped, a consumer pauses for 3 s after a lost connection; a restart of Redis takes less.
        dramatiq_worker.CONSUMER_RESTART_DELAY_SECS = RESTART_SECONDS
        self._worker = dramatiq.Worker(self.broker, worker_threads=THREADS, worker_timeout=POLL_MILLISECONDS)
        self._actors: dict[str, Any] = {}
        self._declare("fire_due_timers", self._fire_due_timers, priority=0)
        self._declare("advance_clock", self._advance_clock, priority=10)
        for name in housekeeping.PURGES:
            self._declare(name, self._purge_of(name), priority=20)
        self._declare("keep_event_partitions", self._keep_event_partitions, priority=20)
        for name in housekeeping.COMMANDS:
            self._declare(name, self._command_of(name), priority=20)

    def start(self) -> None:
        """Starts the worker's threads; waits until the database answers or `stopping` is set."""
        self._worker.start()

    def stop(self, grace_seconds: float) -> None:
        """Lets jobs at work finish their step, hands back what was not begun, and closes."""
        self.stopping.set()
        self._worker.stop(timeout=int(grace_seconds * 1000))
        self.broker.close()

    def ask(self, name: str, *arguments: str) -> None:
        """Puts a job on its queue, unless it was asked for a moment ago and is not done yet.

        Raises OUTAGES when Redis is away.
        """
        key = (name, *arguments)
        now = time.monotonic()
        with self._lock:
            if now - self._asked.get(key, float("-inf")) < FORGOTTEN_SECONDS:
                return
            self._asked[key] = now
        try:
            self._actors[name].send(*arguments)
        except BaseException:
            self._done(key)
            raise

    def _declare(self, name: str, work: Callable[..., Awaitable[None]], *, priority: int) -> None:
        async def run(*arguments: str) -> None:
            try:
                await work(*arguments)
            except Failures as error:
                metrics.JOBS.labels(name, "failed").inc()
                log.warning("job put off", job=name, error=str(error))
            except Exception:
                metrics.JOBS.labels(name, "failed").inc()
                log.exception("job failed", job=name)
            else:
                metrics.JOBS.labels(name, "succeeded").inc()
                metrics.LAST_SUCCESS_SECONDS.labels(name).set_to_current_time()
            finally:
                self._done((name, *arguments))

        self._actors[name] = dramatiq.actor(actor_name=name, broker=self.broker, priority=priority)(run)

    def _done(self, key: tuple[str, ...]) -> None:
        with self._lock:
            self._asked.pop(key, None)

    async def _fire_due_timers(self) -> None:
        fired = timers.BATCH
        while fired == timers.BATCH and not self.stopping.is_set():
            async with self._tools.database.pool.acquire() as connection:
                fired = await timers.fire_on_the_wall(connection, datetime.now(UTC))
            if fired:
                await self._tools.wake()

    async def _advance_clock(self, tenant_id: str) -> None:
        ended = await clocks.walk(self._tools.database, tenant_id, self._tools.wake, stopping=self.stopping.is_set)
        log.debug("clock walked", tenant_id=tenant_id, ended=ended.value)

    def _purge_of(self, name: str) -> Callable[[], Awaitable[None]]:
        async def purge() -> None:
            deleted = await housekeeping.purge(self._tools.database, name)
            if deleted:
                log.info("purged", job=name, rows=deleted)

        return purge

    async def _keep_event_partitions(self) -> None:
        made, retired = await housekeeping.keep_partitions(self._tools.database, self._settings.event_log_days)
        if made or retired:
            log.info("partitions of the event log", made=made, detached=retired)
        forgotten = await housekeeping.forget_subjects(self._tools.database, self._settings.event_log_days)
        if forgotten:
            log.info("purged", job="keep_event_partitions", rows=forgotten)

    def _command_of(self, name: str) -> Callable[[], Awaitable[None]]:
        async def tell() -> None:
            await housekeeping.tell(self._tools.database, name, self._settings)
            await self._tools.wake()

        return tell


class _Tools(Middleware):
    """Pool and client of the actors. They belong to the event loop of the worker, so they open and close with it."""

    database: Database
    redis: Client

    def __init__(self, settings: Settings, stopping: threading.Event) -> None:
        self._settings = settings
        self._stopping = stopping

    def before_worker_boot(self, broker: Any, worker: Any) -> None:
        self.redis = connect(self._settings.signals_url, max_connections=THREADS)
        while not self._stopping.is_set():
            try:
                _in_loop(self._open())
                return
            except Failures as error:
                log.warning("waiting for the database", error=str(error))
                self._stopping.wait(0.5)

    def after_worker_shutdown(self, broker: Any, worker: Any) -> None:
        _in_loop(self._close())

    async def wake(self) -> None:
        """Tells the relay that something is to be published."""
        await relay.wake(self.redis)

    async def _open(self) -> None:
        self.database = await Database.connect(
            self._settings.database_url,
            "prog_scheduler",
            min_size=1,
            max_size=THREADS + 1,
            statement_seconds=STATEMENT_SECONDS,
        )

    async def _close(self) -> None:
        if hasattr(self, "database"):
            try:
                await asyncio.wait_for(self.database.close(), CLOSE_SECONDS)
            except (TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                self.database.pool.terminate()
        await self.redis.aclose()


def _in_loop(work: Any) -> None:
    """Runs a coroutine in the worker's event loop and waits for it."""
    thread = get_event_loop_thread()
    assert thread is not None
    thread.run_coroutine(work)
