"""The port's `Signals` where Kafka is the broker: answers and wake-ups over Redis, the position to Kafka."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prog_broker.kafka.publisher import KafkaPublisher
from prog_broker.ports import AddressedReply, Delivery, Position, Shard
from prog_broker.redis.connection import Client
from prog_broker.redis.streams import EVENTS_WAIT, WAKE_CHANNEL
from prog_contracts.topics import dead_topic


class KafkaSignals:
    """Positions are committed in the background, all that have moved in one request: nobody waits for them."""

    def __init__(self, client: Client, publisher: KafkaPublisher, keep: Callable[[Shard, Position], None]) -> None:
        self._client = client
        self._publisher = publisher
        self._keep = keep

    async def settled(
        self,
        shard: Shard,
        position: Position | None,
        answers: Sequence[AddressedReply],
        *,
        wake: bool,
        buried: Sequence[Delivery] = (),
    ) -> None:
        if position is not None:
            self._keep(shard, position)
        if answers or wake:
            pipeline = self._client.pipeline(transaction=False)
            for answer in answers:
                pipeline.publish(answer.channel, answer.payload)
            if wake:
                pipeline.publish(WAKE_CHANNEL, EVENTS_WAIT)
            await pipeline.execute()
        if buried:
            await self._publisher.announce(dead_topic(shard.group), buried)
