"""Names, addresses and errors of Kafka, translated into ours."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from prog_broker.ports import Outages, Shard
from prog_contracts.topics import TOPICS, Topic
from prog_kit.settings import Settings
from prog_kit.tasks import cancelled

OUTAGES: Final[Outages] = (KafkaError, OSError)
"""What aiokafka raises while brokers are away. Its other errors, of topics that are not made yet for one, pass too."""

REQUEST_TIMEOUT_MILLISECONDS: Final = 10_000
STARTING_SECONDS: Final = 1.0
"""For so long who is cancelled waits for what is being started."""


async def started(client: Any) -> Any:
    """Starts one of aiokafka's clients; it is ended when that fails. Raises what its `start` does.

    A cancellation waits until the start is through, if that does not take long: aiokafka forgets the connection over
    which it asks for the first metadata when it is cancelled there, and leaves it open.
    """
    try:
        await _start(client)
    except BaseException:
        await (client.close() if isinstance(client, AIOKafkaAdminClient) else client.stop())
        raise
    return client


async def _start(client: Any) -> None:
    starting = asyncio.ensure_future(client.start())
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        deadline = asyncio.get_running_loop().time() + STARTING_SECONDS
        while not starting.done():
            with suppress(asyncio.CancelledError):  # who cancels again waits no less
                left = deadline - asyncio.get_running_loop().time()
                if left > 0:
                    await asyncio.wait([starting], timeout=left)
                else:
                    await cancelled([starting])
        raise


@dataclass(frozen=True, slots=True)
class Names:
    """Where this platform's topics and groups are on a cluster that it may share with others."""

    bootstrap: str
    prefix: str

    @classmethod
    def of(cls, settings: Settings) -> Names:
        return cls(urlsplit(settings.effective_broker_url).netloc, settings.kafka_topic_prefix)

    def topic(self, topic: Topic) -> str:
        return f"{self.prefix}{topic.name}"

    def topic_named(self, name: str) -> Topic:
        return TOPICS[name.removeprefix(self.prefix)]

    def group(self, name: str) -> str:
        """The consumer group of a domain: `prog.users`. Its offsets are what Kafka's own tools show."""
        return f"{self.prefix}prog.{name}"

    def partition(self, shard: Shard) -> TopicPartition:
        return TopicPartition(self.topic(shard.topic), shard.partition)
