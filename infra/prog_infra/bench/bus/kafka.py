"""The contests on Kafka: one node of its own, and a judge who fills topics and reads back what came out."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from prog_broker.kafka.connection import Names
from prog_broker.kafka.publisher import KafkaPublisher
from prog_broker.kafka.topics import ensure
from prog_infra.bench.bus import message
from prog_infra.bench.bus.contest import Comparison, Contest, Process
from prog_infra.bench.bus.stage import Stage, must
from prog_infra.servers import Kafka

OURS: Final = ""
RAW: Final = "bench."
"""What stands before topics and groups: both sides have the same topic, each its own."""


@dataclass
class Judge:
    """Connections of the judge. `ends` is where each partition ended when it was last looked at."""

    url: str
    bootstrap: str
    admin: AIOKafkaAdminClient
    reader: AIOKafkaConsumer
    publishers: dict[str, KafkaPublisher]
    ends: dict[TopicPartition, int] = field(default_factory=dict)

    async def fill(self, prefix: str, messages: int) -> None:
        """Partition 0 gets all of them."""
        waiting = [(message.TOPIC, envelope) for envelope in message.envelopes(messages)]
        for start in range(0, messages, 5000):
            await self.publishers[prefix].send(waiting[start : start + 5000])

    async def look(self, prefix: str) -> None:
        """Remembers where the topic ends."""
        self.ends |= await self._ends(prefix)

    async def published(self, prefix: str) -> tuple[int, int]:
        """How many messages came since then, and the sum of their numbers."""
        before, after = self.ends, await self._ends(prefix)
        self.reader.assign(list(after))
        for place in after:
            self.reader.seek(place, before[place])
        count = total = 0
        while any([await self.reader.position(place) < end for place, end in after.items()]):
            for records in (await self.reader.getmany(timeout_ms=1000)).values():
                count += len(records)
                total += sum(orjson.loads(record.value)["number"] for record in records)
        return count, total

    async def is_settled(self, prefix: str) -> bool:
        """Whether the group has committed up to the end of partition 0."""
        place = TopicPartition(f"{prefix}{message.TOPIC.name}", 0)
        offsets: dict[Any, Any] = await self.admin.list_consumer_group_offsets(f"{prefix}prog.{message.GROUP}")
        ends = await self.reader.end_offsets([place])
        return place in offsets and offsets[place].offset == ends[place]

    async def _ends(self, prefix: str) -> dict[TopicPartition, int]:
        topic = f"{prefix}{message.TOPIC.name}"
        places = [TopicPartition(topic, partition) for partition in range(message.TOPIC.partitions)]
        found: dict[TopicPartition, int] = await self.reader.end_offsets(places)
        return found


@asynccontextmanager
async def with_kafka(stage: Stage) -> AsyncIterator[Stage]:
    """The stage with an empty Kafka on it. Raises OperatorError when the jars cannot be had."""
    folder = Path(tempfile.mkdtemp(prefix="kafka-", dir=stage.folder))
    with Kafka(folder / "data").running(folder / "kafka.log") as server:
        names = {prefix: Names(server.bootstrap, prefix) for prefix in (OURS, RAW)}
        for each in names.values():
            await ensure(each, [message.TOPIC], replication=1)
        publishers = {prefix: KafkaPublisher(each) for prefix, each in names.items()}
        admin = AIOKafkaAdminClient(bootstrap_servers=server.bootstrap)
        reader = AIOKafkaConsumer(bootstrap_servers=server.bootstrap, enable_auto_commit=False)
        await admin.start()
        await reader.start()
        try:
            yield replace(stage, kafka=Judge(server.url(), server.bootstrap, admin, reader, publishers))
        finally:
            await reader.stop()
            await admin.close()
            for publisher in publishers.values():
                await publisher.close()


def contests() -> list[Contest]:
    """Publishing and consuming."""

    def process(side: str, name: str, before: Any, after: Any, prefix: str) -> OnKafka:
        number = version("prognetwork" if prefix == OURS else "aiokafka")
        return OnKafka(side, name, partial(before, prefix=prefix), partial(after, prefix=prefix), number)

    return [
        Contest(
            "kafka-publish",
            [
                Comparison(
                    "Kafka publish",
                    process("kafka-publish-ours", "ours", look, published, OURS),
                    process("kafka-publish-raw", "aiokafka, send", look, published, RAW),
                    0.90,
                    1.0,
                )
            ],
            setting=with_kafka,
        ),
        Contest(
            "kafka-consume",
            [
                Comparison(
                    "Kafka batch consume",
                    process("kafka-consume-ours", "ours", fill, settled, OURS),
                    process("kafka-consume-raw", "aiokafka, getmany, validate, commit", fill, settled, RAW),
                    0.75,
                    1.0,
                )
            ],
            setting=with_kafka,
        ),
    ]


class OnKafka(Process):
    """A process whose broker is Kafka."""

    def environment(self, stage: Stage) -> dict[str, str]:
        return super().environment(stage) | {"PROG_BROKER_URL": judge(stage).url}


async def look(stage: Stage, messages: int, prefix: str) -> None:
    """A publisher finds a topic that may hold earlier rounds' messages; they are left out of the count."""
    await judge(stage).look(prefix)


async def published(stage: Stage, messages: int, prefix: str) -> None:
    found = await judge(stage).published(prefix)
    must(found == (messages, message.checksum(messages)), f"{found[0]} of {messages} messages were published")


async def fill(stage: Stage, messages: int, prefix: str) -> None:
    await judge(stage).fill(prefix, messages)


async def settled(stage: Stage, messages: int, prefix: str) -> None:
    must(await judge(stage).is_settled(prefix), "not everything is committed")


def judge(stage: Stage) -> Judge:
    assert isinstance(stage.kafka, Judge)
    return stage.kafka
