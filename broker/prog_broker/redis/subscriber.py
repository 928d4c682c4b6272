"""A FastStream subscriber for one shard.

FastStream owns the subscription: its life cycle, its middleware and the call of the handler. `ShardReader` owns what it
lacks: when to read, and from where. Entries are read with XREAD from the group's position, not with XREADGROUP: that
would hand an entry to whoever is blocked in a read, a paused former owner too, and keep it from everybody else.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

from faststream import AckPolicy
from faststream._internal.broker.registrator import Registrator
from faststream._internal.endpoint.subscriber.call_item import CallsCollection
from faststream.redis import RedisBroker, StreamSub
from faststream.redis.message import BatchStreamMessage, RedisBatchStreamMessage
from faststream.redis.subscriber.config import RedisSubscriberConfig, RedisSubscriberSpecificationConfig
from faststream.redis.subscriber.specification import StreamSubscriberSpecification
from faststream.redis.subscriber.usecases import StreamBatchSubscriber
from faststream.redis.subscriber.usecases.basic import LogicSubscriber

from prog_broker.intake import Intake
from prog_broker.leases import OwnedShard
from prog_broker.ports import Deliver, Delivery
from prog_broker.reading import ShardReader, at_work, never_logged
from prog_broker.redis import streams
from prog_broker.redis.connection import OUTAGES, raw

if TYPE_CHECKING:
    from anyio import Event

_ACKNOWLEDGED_ABOVE: Any = None
"""FastStream's message wants a client to acknowledge with; ours is acknowledged by `Signals` after the commit."""


class StreamReader(ShardReader, StreamBatchSubscriber):
    """Reads one stream for one group while its lease is ours."""

    positions: streams.Positions
    read_outages = OUTAGES
    _after: bytes = streams.BEGINNING

    def get_log_context(self, message: Any) -> dict[str, str]:
        return never_logged(self)

    async def start(self) -> None:
        """Starts the reading task. No group is made here: `begin` does, at 0, when it first reads."""
        await LogicSubscriber.start(self)

    async def _consume(self, *args: Any, start_signal: Event) -> None:
        start_signal.set()
        await self.consume_while_owned()

    async def begin(self) -> None:
        self._after = await self.positions.find(self.owned.shard)

    async def read(self, count: int, *, wait_seconds: float) -> list[Delivery]:
        waiting = ("BLOCK", math.ceil(wait_seconds * 1000)) if wait_seconds > 0 else ()  # BLOCK 0 is for ever
        stream = streams.stream_of(self.owned.shard)
        reply: Any = await raw(self._client, "XREAD", "COUNT", count, *waiting, "STREAMS", stream, self._after)
        deliveries = streams.deliveries_of(reply)
        if deliveries:
            self._after = deliveries[-1].receipt
        return deliveries

    async def hand_over(self, work: asyncio.Task[None]) -> None:
        message: Any = BatchStreamMessage(
            type="bstream",
            channel=streams.stream_of(self.owned.shard),
            data=work,  # type: ignore[typeddict-item]
            message_ids=[],
        )
        await self.consume_one(message)


async def _parse(message: Any, _: Any) -> RedisBatchStreamMessage:
    return RedisBatchStreamMessage(
        raw_message=message, body=message["data"], headers={}, consumer=_ACKNOWLEDGED_ABOVE, group=None
    )


async def _decode(message: RedisBatchStreamMessage, _: Any) -> Any:
    return message.body


def subscribe(
    broker: RedisBroker,
    positions: streams.Positions,
    owned: OwnedShard,
    intake: Intake,
    deliver: Deliver,
    *,
    linger_seconds: float = 0.0,
) -> None:
    """Registers a shard with FastStream; it reads once the broker is started and the lease is gained."""
    stream = StreamSub(
        streams.stream_of(owned.shard),
        group=owned.shard.group,
        consumer=owned.shard.group,
        batch=True,
        max_records=intake.batch_size,
    )
    outer: Any = broker.config
    config = RedisSubscriberConfig(
        stream_sub=stream, no_reply=True, _outer_config=outer, _ack_policy=AckPolicy.MANUAL, _message_format=None
    )
    calls: CallsCollection[Any] = CallsCollection()
    specification = StreamSubscriberSpecification(
        outer,
        RedisSubscriberSpecificationConfig(title_=owned.shard.name, description_=None, include_in_schema=True),
        calls,
        stream_sub=stream,
    )
    reader = StreamReader(config, specification, calls)
    reader.owned, reader.intake, reader.positions = owned, intake, positions
    reader.deliver, reader.linger_seconds = deliver, linger_seconds
    Registrator.subscriber(broker, reader)
    reader.add_call(parser_=_parse, decoder_=_decode, dependencies_=())

    reader(at_work)
