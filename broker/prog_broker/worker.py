"""A worker process: the domains it serves, each with its pool, leases, retry pump and FastStream subscriptions.

    await Worker([users, tenants], settings).run()

It starts without its servers (and says so on /readyz), survives their absence, and on SIGTERM finishes the batch at
work, commits, acknowledges and gives its leases back.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import asyncpg

import prog_contracts.catalogue  # noqa: F401 - the registry must be whole before the first message
from prog_broker import sql
from prog_broker.breaker import Breakers
from prog_broker.carrier import Fenced
from prog_broker.decoding import Decoded
from prog_broker.domain import Domain
from prog_broker.intake import Budget, Intake
from prog_broker.leases import LeaseKeeper, OwnedShard
from prog_broker.ports import LostPlace, Outages, Publisher, Shard, Transport
from prog_broker.processing import Processor
from prog_broker.producers import ProducerGate
from prog_broker.redis.connection import OUTAGES, Client, connect, reconnect_delay_seconds
from prog_broker.replaying import ReplayRunner
from prog_broker.reporting import ConsumptionReport
from prog_broker.retrying import RetryPump
from prog_broker.settled import Settled
from prog_broker.settlement import RetryPolicy
from prog_broker.transport import open_transport
from prog_contracts.errors import Unavailable
from prog_kit import logging
from prog_kit.ahead import BegunAhead
from prog_kit.database import FAILURES, Database
from prog_kit.database import OUTAGES as DATABASE_OUTAGES
from prog_kit.secrets import Sealer
from prog_kit.settings import Settings
from prog_kit.tasks import cancelled

REST_SECONDS: Final = 0.05
log = logging.get("prog_broker.worker")

ANSWER_SECONDS: Final = 30.0
"""A statement of a handler that takes longer counts as lost."""
LEAVE_SECONDS: Final = 5.0
"""For giving leases back at the end; without it they expire by themselves."""


@dataclass(slots=True)
class Resources:
    """What a domain's start hooks may use."""

    settings: Settings
    database: Database
    sealer: Sealer
    redis: Client
    transport: Transport
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    """Background tasks of the domain: they are cancelled when the worker stops."""

    @property
    def publisher(self) -> Publisher:
        return self.transport.publisher


@dataclass(slots=True)
class Serving:
    """One domain at work."""

    domain: Domain
    resources: Resources
    processor: Processor
    keeper: LeaseKeeper
    pump: RetryPump
    due: asyncio.Event
    replays: ReplayRunner
    intakes: list[tuple[OwnedShard, Intake]] = field(default_factory=list)


class Worker:
    """One process that serves some domains until it is told to stop."""

    def __init__(self, domains: Sequence[Domain], settings: Settings) -> None:
        self.domains = domains
        self.settings = settings
        self.sealer = Sealer(settings.secret_keys)
        self.gate = ProducerGate.of(settings)
        self.redis = connect(settings.signals_url, max_connections=32)
        self.transport = open_transport(settings)
        self.outages: Outages = (*OUTAGES, *self.transport.outages)
        self._absences: Outages = (
            *self.outages, *DATABASE_OUTAGES, asyncpg.CannotConnectNowError
        )  # fmt: skip
        self.budget = Budget(settings.intake_mib * 1024 * 1024)
        self.report = ConsumptionReport(self.transport.publisher, settings.process_name)
        self.serving: list[Serving] = []
        self.stopping = asyncio.Event()
        self.ready = False
        self.failure: BaseException | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._pumps: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Serves until SIGTERM or SIGINT, or until `stopping` is set.

        Raises what ended one of its own tasks: a worker without its leases or its retries must not look alive.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        await self.start()
        await self.stopping.wait()
        await self.stop()
        if self.failure is not None:
            raise self.failure

    async def start(self) -> None:
        """Connects, waiting for servers that are away, and begins to read."""
        for domain in self.domains:
            self.serving.append(await self._serve(domain))
        self.ready = True
        await self._until_up(self.transport.start, "broker")
        for serving in self.serving:
            self._spawn(serving.keeper.keep())
            self._pumps.append(self._spawn(serving.pump.pump()))
            self._pumps.append(self._spawn(serving.replays.run()))
        self._spawn(self._report())
        gc.collect()
        gc.freeze()  # what is loaded by now stays for good: no collection need look at it again
        log.info("ready", domains=[domain.name for domain in self.domains])

    async def stop(self) -> None:
        """Stops reading, finishes what is at work, gives leases back and closes."""
        self.ready = False
        for serving in self.serving:
            serving.pump.stop()
            serving.replays.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._tell_what_was_passed_by()
        await self.transport.stop()
        if self._pumps:
            await asyncio.wait(self._pumps, timeout=self.settings.drain_seconds)
        await cancelled(self._tasks)
        for serving in self.serving:
            await cancelled(serving.resources.tasks)
            with suppress(*FAILURES):
                async with asyncio.timeout(LEAVE_SECONDS):
                    await serving.keeper.leave()
        with suppress(Unavailable):
            await self.report.flush()
        for serving in self.serving:
            if serving.processor.ahead is not None:
                await serving.processor.ahead.close()
            await serving.resources.database.close()
        await self.transport.close()
        await self.redis.aclose()
        log.info("stopped")

    async def _serve(self, domain: Domain) -> Serving:
        settings = self.settings
        database = await self._connect_database(domain)
        resources = Resources(settings, database, self.sealer, self.redis, self.transport)
        policy = RetryPolicy(settings.retry_attempts, settings.retry_base_seconds, settings.retry_cap_seconds)
        breakers = Breakers(domain.name, ratio=settings.breaker_ratio, pause_seconds=settings.breaker_pause_seconds)
        processor = Processor(domain, database, self.sealer, policy=policy, report=self.report, breakers=breakers)
        processor.ahead = BegunAhead(database)
        shards = [
            Shard(domain.name, topic, partition) for topic in domain.topics() for partition in range(topic.partitions)
        ]
        keeper = LeaseKeeper(database, domain.name, settings.process_name, shards, lease_seconds=settings.lease_seconds)
        due = asyncio.Event()
        pump = RetryPump(processor, keeper.owned, self.transport.signals, due, self.outages)
        replays = ReplayRunner(
            domain, database, self.sealer, member=settings.process_name, lease_seconds=settings.lease_seconds
        )
        serving = Serving(domain, resources, processor, keeper, pump, due, replays)
        for owned in keeper.owned.values():
            intake = Intake(domain, owned.shard, batch_size=settings.batch_size, gate=self.gate, budget=self.budget)
            serving.intakes.append((owned, intake))
            self.transport.subscribe(owned, intake, self._deliver(serving, owned))
        await self._until_up(partial(self._declare, serving), "database")
        for hook in domain.started:
            await hook(resources)
        return serving

    async def _declare(self, serving: Serving) -> None:
        domain = serving.domain
        await serving.resources.database.pool.execute(sql.SUBSCRIBE, domain.name, list(domain.registrations))
        await serving.replays.announce()

    async def _connect_database(self, domain: Domain) -> Database:
        database: list[Database] = []

        async def attempt() -> None:
            database.append(
                await Database.connect(
                    self.settings.database_url,
                    f"prog_{domain.name}",
                    max_size=self.settings.database_pool_size,
                    # A paused process must not hold its lease's row lock, or its shard, for longer than the lease.
                    idle_in_transaction_seconds=self.settings.lease_seconds,
                    answer_seconds=ANSWER_SECONDS,
                    plan_once=True,
                )
            )

        await self._until_up(attempt, "database")
        return database[0]

    def _deliver(self, serving: Serving, owned: OwnedShard) -> Any:
        breaker = serving.processor.breakers.of(owned.shard.topic.name)

        async def deliver(intake: Intake) -> None:
            if not breaker.admits():
                await asyncio.sleep(REST_SECONDS)  # the reader asks again, if the shard is still ours
                return
            probing = breaker.state == "half_open"
            decoded = intake.take(1 if probing else None)
            began = time.perf_counter()
            async with owned.busy:
                settled = await self._settle(serving, owned, decoded)
                intake.took(time.perf_counter() - began, len(decoded.incoming))
                if settled is not None:
                    intake.put_back(settled.left)
                    await self._tell(owned, intake, settled)
                    if settled.retry_in_seconds is not None:
                        serving.due.set()
            if probing and breaker.state == "half_open":
                breaker.abandon_probe()

        return deliver

    async def _settle(self, serving: Serving, owned: OwnedShard, decoded: Decoded) -> Settled | None:
        """Processes a batch, again and again while the database is away; None when the shard is no longer ours."""
        failures = 0
        while owned.gained.is_set():
            try:
                return await serving.processor.settle_batch(
                    owned.shard, owned.token, decoded, may_go_on=lambda: self.ready and owned.gained.is_set()
                )
            except Fenced:
                log.warning("fenced", shard=owned.shard.name, token=owned.token)
                owned.lose()
            except (*DATABASE_OUTAGES, OSError) as error:
                failures += 1
                if failures == 1:
                    log.warning("the database does not answer", shard=owned.shard.name, error=str(error))
                await asyncio.sleep(reconnect_delay_seconds(failures))
            except Exception:
                # A defect of the broker room itself: keep the batch, tell loudly, do not spin.
                failures += 1
                log.exception("batch cannot be settled", shard=owned.shard.name, messages=len(decoded.incoming))
                await asyncio.sleep(reconnect_delay_seconds(failures))
        return None

    async def _tell(self, owned: OwnedShard, intake: Intake, settled: Settled) -> None:
        """Answers and keeps the position. When the broker is away, messages come again and the inbox absorbs them."""
        position = intake.settled(settled.receipts)
        try:
            await self.transport.signals.settled(
                owned.shard, position, settled.answers, wake=settled.appended, buried=settled.buried
            )
        except LostPlace:
            log.warning("the broker has lost the group, beginning again", shard=owned.shard.name)
            owned.lost_place = True
        except self.outages as error:
            log.warning("position not kept", shard=owned.shard.name, error=str(error))

    async def _tell_what_was_passed_by(self) -> None:
        """So that a group without a worker does not seem to be behind, and nobody starts one for it."""
        for owned, intake in (each for serving in self.serving for each in serving.intakes):
            if intake.has_untold and owned.gained.is_set() and not owned.busy.locked():
                async with owned.busy:
                    await self._tell(owned, intake, Settled())

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            with suppress(Unavailable):
                await self.report.flush()

    async def _until_up(self, step: Any, server: str) -> None:
        failures = 0
        while True:
            try:
                await step()
                return
            except self._absences as error:
                failures += 1
                if failures == 1:
                    log.warning("waiting for a server", server=server, error=str(error))
                await asyncio.sleep(reconnect_delay_seconds(failures))

    def _spawn(self, coroutine: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(coroutine)
        task.add_done_callback(self._notice_end)
        self._tasks.append(task)
        return task

    def _notice_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a background task ended, so this process does", error=repr(error))
            self.failure = self.failure or error
            self.stopping.set()
