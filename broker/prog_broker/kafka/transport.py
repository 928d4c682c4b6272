"""The port's `Transport` over Kafka."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import GroupCoordinatorNotAvailableError
from aiokafka.structs import OffsetAndMetadata
from faststream.kafka import KafkaBroker

from prog_broker.intake import Intake
from prog_broker.kafka import lag, topics
from prog_broker.kafka.connection import OUTAGES, REQUEST_TIMEOUT_MILLISECONDS, Names, started
from prog_broker.kafka.consuming import GroupConsumer
from prog_broker.kafka.publisher import KafkaPublisher
from prog_broker.kafka.records import record_of
from prog_broker.kafka.signals import KafkaSignals
from prog_broker.kafka.subscriber import subscribe
from prog_broker.leases import OwnedShard
from prog_broker.ports import Deliver, Delivery, Position, Publisher, Shard, ShardLag
from prog_broker.redis.connection import connect
from prog_contracts.envelope import Envelope
from prog_contracts.topics import TOPICS, Topic, dead_topic
from prog_kit.settings import Settings

RELAY_GROUP: Final = "relay"
FOLLOW_COUNT: Final = 500
LOOK_BYTES: Final = 1024
"""To see when a record was published: a broker sends at least one batch of records, and here no more."""
COORDINATOR_SECONDS: Final = 20.0


class KafkaTransport:
    """A producer, a consumer a group, and Redis for the signals; each connects when it is first used."""

    kind: Final = "kafka"
    outages: Final = OUTAGES

    def __init__(self, settings: Settings) -> None:
        self._names = Names.of(settings)
        self._replication = settings.kafka_replication
        self._retention_hours = settings.kafka_retention_hours
        self._redis = connect(settings.signals_url, max_connections=32)
        self._shards: dict[str, list[TopicPartition]] = defaultdict(list)
        self._sources: dict[str, GroupConsumer] = {}
        self._waiting: list[tuple[OwnedShard, Intake, Deliver]] = []
        self._admin = topics.Admin(self._names)
        self._sampler: AIOKafkaConsumer | None = None
        self._marks: AIOKafkaConsumer | None = None
        self._producer = KafkaPublisher(self._names)
        self.publisher: Publisher = self._producer
        self.signals = KafkaSignals(self._redis, self._producer, self._keep)
        self.broker = KafkaBroker(
            self._names.bootstrap,
            consumer_only=True,
            logger=None,  # FastStream's way to say: no logs of its own
            apply_types=False,
            # Handlers take what our decoder made: a model of each would be built and never used.
            serializer=None,
            graceful_timeout=settings.drain_seconds + 5,
        )

    async def start(self) -> None:
        for group, partitions in self._shards.items():
            self._sources.setdefault(group, GroupConsumer(self._names, group, partitions))
        if self._shards:
            await self.ensure(TOPICS.values())
        for owned, intake, deliver in self._waiting:
            source = self._sources[owned.shard.group]
            subscribe(self.broker, source, self._names.partition(owned.shard), owned, intake, deliver)
        self._waiting = []
        await self.broker.start()

    async def stop(self) -> None:
        await self.broker.stop()
        for source in self._sources.values():
            with suppress(TimeoutError, *OUTAGES):
                await asyncio.wait_for(source.flush(), 5)

    async def close(self) -> None:
        for source in self._sources.values():
            await source.stop()
        await self._producer.close()
        await self._close_sampler()
        await self._admin.close()
        if self._marks is not None:
            await self._marks.stop()
        await self._redis.aclose()

    async def ping(self) -> None:
        try:
            admin = await self._admin.get()
            await admin.describe_cluster()
        except OUTAGES:
            await self._admin.close()
            raise

    async def ensure(self, wanted: Iterable[Topic]) -> int:
        return await topics.ensure(
            self._names, wanted, replication=self._replication, retention_hours=self._retention_hours
        )

    def subscribe(self, owned: OwnedShard, intake: Intake, deliver: Deliver) -> None:
        self._shards[owned.shard.group].append(self._names.partition(owned.shard))
        self._waiting.append((owned, intake, deliver))

    async def keep(self, shard: Shard, position: Position) -> None:
        self._keep(shard, position)
        await self._sources[shard.group].flush()

    def _keep(self, shard: Shard, position: Position) -> None:
        self._sources[shard.group].commit(self._names.partition(shard), int(position.receipt) + 1)

    async def lags(self, readers: Mapping[str, Sequence[str]]) -> list[ShardLag]:
        try:
            if self._sampler is None:
                self._sampler = await started(self._bare_consumer(max_partition_fetch_bytes=LOOK_BYTES))
            return await lag.shard_lags(self._names, self._sampler, await self._admin.get(), readers)
        except OUTAGES:
            await self._close_sampler()
            await self._admin.close()
            raise

    async def trim(self, topics: Iterable[Topic]) -> int:
        """Kafka does it by itself: `retention.ms` of each topic says when."""
        return 0

    async def marker(self) -> str | None:
        """It rests with the offsets of a group that reads nothing: lost with the cluster's data, and only with it."""
        deadline = asyncio.get_running_loop().time() + COORDINATOR_SECONDS
        while True:
            try:
                admin = await self._admin.get()
                offsets = await admin.list_consumer_group_offsets(self._names.group(RELAY_GROUP))
            except GroupCoordinatorNotAvailableError:  # the first group ever: the cluster is making its topic
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(0.1)
            except OUTAGES:
                await self._admin.close()
                raise
            else:
                noted = offsets.get(self._marked)
                return noted.metadata or None if noted is not None and noted.offset >= 0 else None

    async def publish_after(self, marker: str | None, envelopes: Sequence[tuple[Topic, Envelope]], note: str) -> bool:
        """The note is looked at before, for the order, and after, for what got lost on the way."""
        if await self.marker() != marker:
            return False
        await self.publisher.send(envelopes)
        if await self.marker() != marker:
            return False
        await self._mark(note)
        return True

    async def _mark(self, note: str) -> None:
        if self._marks is None:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._names.bootstrap,
                group_id=self._names.group(RELAY_GROUP),
                enable_auto_commit=False,
                request_timeout_ms=REQUEST_TIMEOUT_MILLISECONDS,
            )
            consumer.assign([self._marked])
            consumer.pause(self._marked)
            self._marks = await started(consumer)
        await self._marks.commit({self._marked: OffsetAndMetadata(0, note)})

    async def follow(
        self,
        topics: Sequence[Topic],
        *,
        from_start: bool = False,
        since: datetime | None = None,
        until_now: bool = False,
    ) -> AsyncIterator[tuple[Topic, int, Delivery]]:
        consumer = self._bare_consumer()
        places = [TopicPartition(self._names.topic(topic), n) for topic in topics for n in range(topic.partitions)]
        consumer.assign(places)
        await started(consumer)
        try:
            ends = await consumer.end_offsets(places)
            found: Mapping[TopicPartition, Any] = {}
            if since is not None:
                found = await consumer.offsets_for_times({place: int(since.timestamp() * 1000) for place in places})
            if since is not None or not from_start:
                # Not `seek_to_end`: the search for the beginning, which starts with the consumer, may answer after it.
                for place in places:
                    consumer.seek(place, found[place].offset if found.get(place) else ends[place])
            while not (until_now and await _are_past(consumer, ends)):
                taken: Mapping[TopicPartition, Any] = await consumer.getmany(timeout_ms=1000, max_records=FOLLOW_COUNT)
                for place, records in taken.items():
                    for record in records:
                        if not until_now or record.offset < ends[place]:
                            yield self._names.topic_named(place.topic), place.partition, record_of(record)
        finally:
            await consumer.stop()

    @property
    def _marked(self) -> TopicPartition:
        return TopicPartition(self._names.topic(dead_topic("events")), 0)

    def _bare_consumer(self, **options: Any) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            bootstrap_servers=self._names.bootstrap,
            auto_offset_reset="earliest",
            request_timeout_ms=REQUEST_TIMEOUT_MILLISECONDS,
            **options,
        )

    async def _close_sampler(self) -> None:
        sampler, self._sampler = self._sampler, None
        if sampler is not None:
            with suppress(*OUTAGES):
                await sampler.stop()


async def _are_past(consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> bool:
    return all([await consumer.position(place) >= end for place, end in ends.items()])
