"""Reading for an outside group on Kafka: the group's own assignment, offsets committed behind what was handled.

aiokafka fetches for all partitions in one request a node, so one consumer serves the group. A partition that has
messages gets a task, which takes batch after batch until there are none; a single watcher waits for all others. When
Kafka takes a partition away, its task ends the message at work and commits before the assignment goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec
import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata

from prog_broker.bus.delivering import DeadLetter, Deliverer, Entry, wait_any
from prog_broker.bus.redis import ReadingOptions
from prog_broker.bus.subscriptions import Plan
from prog_broker.kafka import topics
from prog_broker.kafka.connection import OUTAGES, REQUEST_TIMEOUT_MILLISECONDS, Names, ended, started
from prog_broker.kafka.publisher import KafkaPublisher
from prog_broker.kafka.records import Record, attributes_of
from prog_broker.redis.connection import reconnect_delay_seconds
from prog_contracts.errors import Unavailable
from prog_contracts.topics import Topic
from prog_kit import logging
from prog_kit.tasks import cancelled

log = logging.get("prog_broker.bus.kafka")

SHORTEST_SESSION_SECONDS: Final = 6.0
"""Brokers refuse a shorter one (group.min.session.timeout.ms)."""

LONGEST_HANDLING_MILLISECONDS: Final = 3_600_000
WATCH_MILLISECONDS: Final = 2_000
FETCH_WAIT_MILLISECONDS: Final = 100
_encode: Final = msgspec.json.Encoder().encode


class KafkaGroupReader:
    """Reads one group with one consumer."""

    def __init__(
        self, names: Names, publisher: KafkaPublisher, plan: Plan, deliverer: Deliverer, options: ReadingOptions
    ) -> None:
        self._names = names
        self._publisher = publisher
        self._plan = plan
        self._deliverer = deliverer
        self._options = options
        self._dead = Topic(plan.group, "dead", partitions=1, retention_hours=24 * 14, consumers=())
        self._topics = {names.topic(topic): topic.name for topic in plan.topics.values()}
        self._stopping = asyncio.Event()
        self._busy: dict[TopicPartition, PartitionTask] = {}
        self._consumer: Any = None
        self._running: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[Any] | None = None

    async def start(self) -> None:
        """Makes the topics that are missing, waiting for the cluster, and begins to read."""
        failures = 0
        while True:
            try:
                await topics.ensure(self._names, [*self._plan.topics.values(), self._dead], replication=0)
                await self._connect()
                break
            except OUTAGES as error:
                failures += 1
                if failures == 1:
                    log.warning("waiting for the broker", error=repr(error))
                await asyncio.sleep(reconnect_delay_seconds(failures))
        self._running = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Finishes what is at work, as long as the drain time lasts, commits, and leaves the group."""
        self._stopping.set()
        self._look_again()
        tasks = [busy.task for busy in self._busy.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=self._options.drain_seconds)
        await cancelled([*tasks, *([self._running] if self._running else [])])
        await self._disconnect()

    async def _connect(self) -> None:
        session = int(max(self._options.lease_seconds, SHORTEST_SESSION_SECONDS) * 1000)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._names.bootstrap,
            group_id=f"{self._names.prefix}{self._plan.group}",
            client_id=self._options.member.strip("/").replace("/", "-"),
            enable_auto_commit=False,
            auto_offset_reset="earliest" if self._plan.start == "beginning" else "latest",
            session_timeout_ms=session,
            heartbeat_interval_ms=session // 3,
            max_poll_interval_ms=LONGEST_HANDLING_MILLISECONDS,
            request_timeout_ms=REQUEST_TIMEOUT_MILLISECONDS,
            fetch_max_wait_ms=FETCH_WAIT_MILLISECONDS,
        )
        consumer.subscribe(list(self._topics), listener=_Rebalance(self))
        await started(consumer)
        try:
            self._consumer = consumer
            if self._plan.start == "end":
                await self._note_the_end(consumer)
        except BaseException:
            self._consumer = None
            await ended(consumer)
            raise

    async def _note_the_end(self, consumer: Any) -> None:
        """Commits where a new group begins, so that what comes before its first batch is not passed over."""
        for place in consumer.assignment():
            if await consumer.committed(place) is None:
                await consumer.commit({place: OffsetAndMetadata(await consumer.position(place), "")})

    async def _disconnect(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with suppress(*OUTAGES):
                await consumer.stop()

    async def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                await self._watch()
                failures = 0
            except OUTAGES as error:
                failures += 1
                if failures == 1:
                    log.warning("broker does not answer", group=self._plan.group, error=repr(error))
                await wait_any(self._stopping, reconnect_delay_seconds(failures))
            except Exception:
                failures += 1
                log.exception("the group cannot be read", group=self._plan.group)
                await wait_any(self._stopping, reconnect_delay_seconds(failures))

    async def _watch(self) -> None:
        """Waits for messages on the partitions that have no task, and gives each that has some a task."""
        idle = [place for place in self._consumer.assignment() if place not in self._busy]
        if not idle:
            await wait_any(self._stopping, FETCH_WAIT_MILLISECONDS / 1000)
            return
        watcher = asyncio.ensure_future(
            self._consumer.getmany(*idle, timeout_ms=WATCH_MILLISECONDS, max_records=self._options.batch_size)
        )
        self._watcher = watcher
        await asyncio.wait({watcher})
        self._watcher = None
        if watcher.cancelled():  # told to look again; it was waiting, and held no records then
            return
        taken: Mapping[TopicPartition, list[Any]] = watcher.result()
        for place, records in taken.items():
            if not self._stopping.is_set():
                PartitionTask(self, place, records)

    def _look_again(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()


class PartitionTask:
    """One partition with messages in hand: the `Source` that the deliverer sees."""

    def __init__(self, group: KafkaGroupReader, place: TopicPartition, records: list[Any]) -> None:
        self.topic, self.partition = group._topics[place.topic], place.partition
        self.fence = _generation(group._consumer)
        self._group = group
        self._place = place
        self._kept = 0
        self._batch: list[Any] = []
        self.lost = False
        self.failed = False
        group._busy[place] = self
        self.task = asyncio.create_task(self._run(records))

    def holding(self) -> bool:
        return not self.lost and not self._group._stopping.is_set()

    def lose(self) -> None:
        self.lost = True

    async def rest(self, seconds: float) -> None:
        """Waits in short steps, for a partition may be taken away meanwhile."""
        deadline = asyncio.get_running_loop().time() + seconds
        while self.holding() and (left := deadline - asyncio.get_running_loop().time()) > 0:
            await wait_any(self._group._stopping, min(left, 0.25))

    async def keep(self, settled: int) -> None:
        """Commits the offset behind the first `settled` messages of the batch."""
        if settled <= self._kept:
            return
        failures = 0
        while True:
            try:
                offset = OffsetAndMetadata(self._batch[settled - 1].offset + 1, "")
                await self._group._consumer.commit({self._place: offset})
                self._kept = settled
                return
            except (CommitFailedError, IllegalStateError):
                self.lose()  # the partition went to another process while this one was silent
                return
            except OUTAGES as error:
                failures += 1
                if failures == 1:
                    log.warning("positions not kept", group=self._group._plan.group, error=repr(error))
                await self.rest(reconnect_delay_seconds(failures))
                if not self.holding():
                    return

    async def bury(self, entry: Entry, letter: DeadLetter) -> bool:
        """Puts the record as it was on the group's dead topic, with the reason in the header `dead`."""
        record, _, data = entry
        why = {
            "group": self._group._plan.group, "topic": self.topic, "partition": self.partition,
            "receipt": str(record.offset), "code": letter.code, "reason": letter.reason, "attempts": letter.attempts,
            "traceback": letter.traceback,
        }  # fmt: skip
        copied = Record(b"", [*record.headers, ("dead", orjson.dumps(why))], data)
        failures = 0
        while True:
            try:
                await self._group._publisher.announce(self._group._dead, [copied])
                return True
            except Unavailable:
                failures += 1
                await self.rest(reconnect_delay_seconds(failures))
                if not self.holding():
                    return False

    async def _run(self, records: list[Any]) -> None:
        group = self._group
        failures = 0
        try:
            while records and self.holding():
                try:
                    self._batch, self._kept = records, 0
                    settled = await group._deliverer.deliver(self, [_entry(record) for record in records])
                    await self.keep(settled)
                    if settled < len(records):
                        break
                    taken: Any = await group._consumer.getmany(
                        self._place, timeout_ms=0, max_records=group._options.batch_size
                    )
                    records, failures = taken.get(self._place, []), 0
                except (OSError, KafkaError, IllegalStateError) as error:
                    log.warning("partition cannot be read", topic=self.topic, error=repr(error))
                    break
                except Exception:
                    failures += 1
                    log.exception("batch cannot be settled", topic=self.topic, group=group._plan.group)
                    await self.rest(reconnect_delay_seconds(failures))
        finally:
            self._give_back()

    def _give_back(self) -> None:
        """The partition is watched again, from behind what is settled."""
        group = self._group
        del group._busy[self._place]
        if self._batch and self._kept < len(self._batch) and self._place in group._consumer.assignment():
            with suppress(IllegalStateError):
                group._consumer.seek(self._place, self._batch[self._kept].offset)
        group._look_again()


class _Rebalance(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    def __init__(self, group: KafkaGroupReader) -> None:
        self._group = group

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Has the tasks of what is taken away end the message at work and commit."""
        ending = [busy for place, busy in self._group._busy.items() if place in revoked]
        for busy in ending:
            busy.lose()
        if ending:
            await asyncio.wait([busy.task for busy in ending], timeout=self._group._options.drain_seconds)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._group._look_again()


def _entry(record: Any) -> Entry:
    return record, _encode(attributes_of(record.headers)), record.value or b""


def _generation(consumer: Any) -> int:
    """The group's generation, which grows at every change of hands; aiokafka tells it nowhere else."""
    return int(getattr(consumer._coordinator, "generation", 0))
