"""Names, addresses and errors of Kafka, translated into ours."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from prog_broker.ports import Outages, Shard
from prog_contracts.topics import TOPICS, Topic
from prog_kit.settings import Settings
from prog_kit.tasks import AGAIN_SECONDS

OUTAGES: Final[Outages] = (KafkaError, OSError)
"""What aiokafka raises while brokers are away. Its other errors, of topics that are not made yet for one, pass too."""

REQUEST_TIMEOUT_MILLISECONDS: Final = 10_000
STARTING_SECONDS: Final = 1.0
"""For so long who is cancelled waits for what is being started."""


async def started(client: Any) -> Any:
    """Starts one of aiokafka's clients; one that does not start is ended. Raises what its `start` does.

    A cancellation waits until the start is through, if that does not take long, and then until the client has ended:
    aiokafka forgets the connection over which it asks for the first metadata when it is cancelled there, and leaves it
    open.
    """
    starting = asyncio.ensure_future(client.start())
    cut_short = await _settled(starting)
    try:
        if cut_short is not None:
            raise cut_short
        starting.result()
    except BaseException:
        await ended(client)
        raise
    return client


async def ended(client: Any) -> None:
    """Ends one of aiokafka's clients after something else went wrong, of which alone is told.

    A cancellation waits for it, as in `started`: what is cut short is taken for ended, and never does.
    """
    end = client.close if isinstance(client, AIOKafkaAdminClient) else client.stop
    cut_short = await _settled(asyncio.ensure_future(end()))
    if cut_short is not None:
        raise cut_short from None


async def _settled(work: asyncio.Future[Any]) -> asyncio.CancelledError | None:
    """Waits until the work has ended, however it did, whoever is cancelled meanwhile; the first cancellation.

    From then on the work has STARTING_SECONDS.
    """
    loop, deadline = asyncio.get_running_loop(), 0.0
    first: asyncio.CancelledError | None = None
    while not work.done():
        left = None if first is None else max(deadline - loop.time(), 0.0)
        if left == 0.0:
            work.cancel()  # again and again: client libraries turn some cancellations into time-outs
            left = AGAIN_SECONDS
        try:
            await asyncio.wait([work], timeout=left)
        except asyncio.CancelledError as error:
            if first is None:
                first, deadline = error, loop.time() + STARTING_SECONDS
    if not work.cancelled():
        work.exception()  # heard, so that nobody is told of an error that nobody took
    return first


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
