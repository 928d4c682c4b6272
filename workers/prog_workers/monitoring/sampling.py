"""The sampler: every two seconds, what waits in the broker, in the outbox and among the dead letters.

One monitoring worker at a time samples, by advisory lock; others stand by. Samples go to the tables that the edge reads
and to the Prometheus gauges that dashboards and autoscaling read.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import asyncpg

from prog_broker.ports import Outages, ShardLag
from prog_contracts.envelope import wrap
from prog_contracts.errors import Unavailable
from prog_contracts.ids import PLATFORM_TENANT_ID
from prog_contracts.monitoring import CloseWindows
from prog_contracts.topics import TOPICS, topic_of
from prog_kit import logging
from prog_kit.clock import Clock
from prog_kit.database import Connection
from prog_kit.telemetry import (
    CONSUMER_LAG,
    CONSUMER_OLDEST_SECONDS,
    DEAD_LETTERS,
    OUTBOX_OLDEST_SECONDS,
    OUTBOX_PENDING,
)
from prog_workers.monitoring import rules, store
from prog_workers.monitoring.store import Measured

if TYPE_CHECKING:
    from prog_broker.worker import Resources

log = logging.get("prog_workers.monitoring.sampling")

PERIOD_SECONDS: Final = 2.0
ADVISORY_LOCK: Final = 0x4D4F4E49  # "MONI"
_FORGET_EVERY: Final = 300  # samples: ten minutes
_PATIENCE_SECONDS: Final = 5.0


class Sampler:
    """`run` samples until it is cancelled; `sample` is one round, which tests call directly."""

    def __init__(self, resources: Resources, clock: Clock) -> None:
        self._resources = resources
        self._clock = clock
        self._rounds = 0
        self._silence: Outages = (*resources.transport.outages, Unavailable)
        self._outages: Outages = (*self._silence, asyncpg.PostgresError, asyncpg.InterfaceError)

    async def run(self) -> None:
        while True:
            try:
                async with self._resources.database.pool.acquire() as connection:
                    await self._lead(connection)
            except self._outages as error:
                log.warning("no sample", error=str(error))
            _clear_gauges()
            await asyncio.sleep(PERIOD_SECONDS)

    async def sample(self, connection: Connection) -> None:
        """Measures once and keeps what was found."""
        now = self._clock.now()
        measured = await store.measure(connection)
        lags = await self._resources.transport.lags(rules.readers(measured.subscriptions))
        await store.keep_lag(connection, lags, now)
        await store.keep_backlog(connection, measured.backlog, now)
        _show(lags, measured, now)
        # Reports close windows as they come in; this is for the last window before a silence.
        if await store.is_any_due(connection, now - timedelta(seconds=_PATIENCE_SECONDS)):
            await self._ask_to_close()
        if self._rounds % _FORGET_EVERY == 0:
            await store.forget(connection, now - timedelta(seconds=rules.RETENTION_SECONDS))
        self._rounds += 1

    async def _lead(self, connection: Connection) -> None:
        """Samples for as long as the lock is ours; the connection holds it."""
        while await connection.fetchval("SELECT pg_try_advisory_lock($1)", ADVISORY_LOCK):
            try:
                while True:
                    await self.sample(connection)
                    await asyncio.sleep(PERIOD_SECONDS)
            except self._silence as error:
                log.warning("no sample, the broker does not answer", error=str(error))
                await asyncio.sleep(PERIOD_SECONDS)
            finally:
                if not connection.is_closed():
                    await connection.execute("SELECT pg_advisory_unlock($1)", ADVISORY_LOCK)

    async def _ask_to_close(self) -> None:
        process = self._resources.settings.process_name
        command = CloseWindows(process=process)
        envelope = wrap(command, tenant_id=PLATFORM_TENANT_ID, source=f"/prognetwork/{process}", now=self._clock.now())
        await self._resources.publisher.send([(topic_of(command), envelope)])


def _show(lags: Sequence[ShardLag], measured: Measured, now: datetime) -> None:
    oldest: dict[tuple[str, str], float] = defaultdict(float)
    for lag in lags:
        CONSUMER_LAG.labels(lag.topic, lag.group, lag.partition).set(lag.lag)
        place = lag.topic, lag.group
        oldest[place] = max(oldest[place], _age_seconds(lag.oldest_at, now))
    for place, seconds in oldest.items():
        CONSUMER_OLDEST_SECONDS.labels(*place).set(seconds)
    for topic in TOPICS.values():
        if topic.consumers:
            DEAD_LETTERS.labels(topic.name).set(measured.dead_letters.get(topic.name, 0))
    OUTBOX_PENDING.set(sum(item.pending for item in measured.backlog))
    OUTBOX_OLDEST_SECONDS.set(max((_age_seconds(item.oldest_at, now) for item in measured.backlog), default=0.0))


def _clear_gauges() -> None:
    """What another process samples now must not be told by this one too."""
    for gauge in (CONSUMER_LAG, CONSUMER_OLDEST_SECONDS, DEAD_LETTERS):
        gauge.clear()
    OUTBOX_PENDING.set(0)
    OUTBOX_OLDEST_SECONDS.set(0)


def _age_seconds(at: datetime | None, now: datetime) -> float:
    return 0.0 if at is None else max(0.0, (now - at).total_seconds())
