"""A FastStream subscriber for one shard.

FastStream owns the subscription: its life cycle, its middleware and the call of the handler. What it lacks is here:
reading only while the shard's lease is ours, first what a former owner left pending, then what is new; groups that are
made again at 0 when the server has lost them; reconnecting with backoff instead of stopping the application.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from faststream import AckPolicy
from faststream._internal.broker.registrator import Registrator
from faststream._internal.endpoint.subscriber.call_item import CallsCollection
from faststream.redis import RedisBroker, StreamSub
from faststream.redis.message import BatchStreamMessage, RedisBatchStreamMessage
from faststream.redis.subscriber.config import RedisSubscriberConfig, RedisSubscriberSpecificationConfig
from faststream.redis.subscriber.specification import StreamSubscriberSpecification
from faststream.redis.subscriber.usecases import StreamBatchSubscriber
from faststream.redis.subscriber.usecases.basic import LogicSubscriber
from redis.exceptions import ResponseError

from prog_broker.leases import OwnedShard
from prog_broker.ports import Delivery
from prog_broker.redis import streams
from prog_broker.redis.connection import OUTAGES, raw, reconnect_delay_seconds
from prog_kit import logging

if TYPE_CHECKING:
    from anyio import Event

BLOCK_MILLISECONDS: Final = 2_000
log = logging.get("prog_broker.redis.subscriber")

_ACKNOWLEDGED_ABOVE: Any = None
"""FastStream's message wants a client to acknowledge with; ours is acknowledged by `Signals` after the commit."""

Handle = Callable[[list[Delivery]], Awaitable[None]]


class ShardSubscriber(StreamBatchSubscriber):
    """Reads one stream for one group while `owned` says so. Entries reach the handler as `list[Delivery]`."""

    owned: OwnedShard
    consumer: str
    batch_size: int
    linger_seconds: float

    def get_log_context(self, message: Any) -> dict[str, str]:
        """What FastStream would log; its own way copies the subscription for every batch."""
        return {"channel": self.owned.shard.name, "message_id": ""}

    async def start(self) -> None:
        """Starts the reading task. No group is made here: `_serve` does, at 0, when it first reads."""
        await LogicSubscriber.start(self)

    async def _consume(self, *args: Any, start_signal: Event) -> None:
        start_signal.set()
        failures = 0
        while self.running:
            await self.owned.gained.wait()
            try:
                await self._serve()
                failures = 0
            except ResponseError as error:
                if "NOGROUP" not in str(error):
                    raise
                log.warning("group is gone, making it again", shard=self.owned.shard.name)
                await self._ensure_group()
            except OUTAGES as error:
                failures += 1
                if failures == 1:
                    log.warning("broker does not answer", shard=self.owned.shard.name, error=str(error))
                await asyncio.sleep(reconnect_delay_seconds(failures))

    async def _serve(self) -> None:
        """Reads until the lease is lost or the subscriber stops."""
        await self._ensure_group()
        shard = self.owned.shard
        while self._may_read():
            pending = await streams.claim_pending(self._client, shard, self.consumer, self.batch_size)
            if not pending:
                break
            await self._deliver(pending)
        self.owned.drained = True
        while self._may_read():
            if not self.owned.drained:
                return
            entries = await self._read(self.batch_size, block=True)
            if entries and self.linger_seconds and len(entries) < self.batch_size:
                await asyncio.sleep(self.linger_seconds)
                entries += await self._read(self.batch_size - len(entries), block=False)
            if entries:
                await self._deliver([streams.delivery_of(receipt, fields) for receipt, fields in entries])

    async def _read(self, count: int, *, block: bool) -> list[tuple[bytes, Any]]:
        shard = self.owned.shard
        waiting = ("BLOCK", BLOCK_MILLISECONDS) if block else ()
        stream = streams.stream_of(shard)
        reply: Any = await raw(
            self._client, "XREADGROUP", "GROUP", shard.group, self.consumer, "COUNT", count, *waiting,
            "STREAMS", stream, ">",
        )  # fmt: skip
        return _entries(reply)

    def _may_read(self) -> bool:
        return self.running and self.owned.gained.is_set()

    async def _ensure_group(self) -> None:
        await streams.ensure_group(self._client, streams.stream_of(self.owned.shard), self.owned.shard.group)

    async def _deliver(self, deliveries: list[Delivery]) -> None:
        """Hands a batch to FastStream, which runs its middleware and calls the handler."""
        message: Any = BatchStreamMessage(
            type="bstream",
            channel=streams.stream_of(self.owned.shard),
            data=deliveries,  # type: ignore[typeddict-item]
            message_ids=[delivery.receipt for delivery in deliveries],
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
    owned: OwnedShard,
    handle: Handle,
    *,
    consumer: str,
    batch_size: int,
    linger_seconds: float = 0.0,
) -> None:
    """Registers a shard with FastStream; it reads once the broker is started and the lease is gained."""
    stream = StreamSub(
        streams.stream_of(owned.shard), group=owned.shard.group, consumer=consumer, batch=True, max_records=batch_size
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
    subscriber = ShardSubscriber(config, specification, calls)
    subscriber.owned, subscriber.consumer = owned, consumer
    subscriber.batch_size, subscriber.linger_seconds = batch_size, linger_seconds
    Registrator.subscriber(broker, subscriber)
    subscriber.add_call(parser_=_parse, decoder_=_decode, dependencies_=())

    async def deliver(deliveries: list[Delivery]) -> None:
        await handle(deliveries)

    subscriber(deliver)


def _entries(reply: Any) -> list[tuple[bytes, Any]]:
    """The entries in a reply of XREADGROUP over one stream: a list under RESP2, a map of lists under RESP3."""
    if isinstance(reply, dict):
        return [entry for batches in reply.values() for batch in batches for entry in batch]
    return list(reply[0][1]) if reply else []
