"""Publishing to streams, acknowledging, groups, lag: the commands that the adapter sends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from redis.exceptions import ResponseError

from prog_broker.ports import AddressedReply, Delivery, Shard
from prog_broker.redis.connection import OUTAGES, Client, raw
from prog_contracts.envelope import Envelope
from prog_contracts.errors import Unavailable
from prog_contracts.topics import Topic, dead_topic

WAKE_CHANNEL: Final = "prog.relay.wake"


class StreamPublisher:
    """The port's `Publisher`: pipelined XADD on one connection."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def send(self, envelopes: Sequence[tuple[Topic, Envelope]]) -> None:
        commands = [
            ("XADD", topic.stream(topic.partition_of(e.partition_key)), "*", "ce", e.attributes(), "data", e.data)
            for topic, e in envelopes
        ]
        try:
            if len(commands) == 1:  # the edge's case: a pipeline of one costs more than the command
                await raw(self._client, *commands[0])
                return
            pipeline = self._client.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            await pipeline.execute()
        except OUTAGES as error:
            raise Unavailable(f"the broker does not answer: {error}", code="broker_unavailable") from error


class StreamSignals:
    """The port's `Signals`: acknowledge, answer and wake the relay in one pipeline."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def settled(
        self,
        shard: Shard,
        receipts: Sequence[bytes],
        answers: Sequence[AddressedReply],
        *,
        wake: bool,
        buried: Sequence[Delivery] = (),
    ) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for answer in answers:  # first: somebody waits for them
            pipeline.publish(answer.channel, answer.payload)
        if receipts:
            pipeline.execute_command("XACK", stream_of(shard), shard.group, *receipts)
        for delivery in buried:
            stream = dead_topic(shard.group).stream(0)
            pipeline.execute_command("XADD", stream, "*", "ce", delivery.attributes, "data", delivery.data)
        if wake:
            pipeline.publish(WAKE_CHANNEL, b"1")
        await pipeline.execute()


def stream_of(shard: Shard) -> str:
    return shard.topic.stream(shard.partition)


async def ensure_group(client: Client, stream: str, group: str) -> bool:
    """Creates the group at the stream's beginning unless it is there; tells whether it was made.

    FastStream would begin at the end, which loses what was published before the first start.
    """
    try:
        await client.xgroup_create(stream, group, id="0", mkstream=True)
    except ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise
        return False
    return True


async def ensure_groups(client: Client, topics: Iterable[Topic]) -> int:
    """All groups of all topics; returns how many were made."""
    made = 0
    for topic in topics:
        for partition in range(topic.partitions):
            for group in topic.consumers:
                made += await ensure_group(client, topic.stream(partition), group)
    return made


async def claim_pending(client: Client, shard: Shard, consumer: str, count: int) -> list[Delivery]:
    """Takes over up to `count` entries that any consumer of the group left unacknowledged, oldest first.

    Only the holder of the shard's lease may ask: nobody else is at work on them then. Entries that were trimmed away
    meanwhile are dropped from the pending list by the server.
    """
    reply: Any = await raw(client, "XAUTOCLAIM", stream_of(shard), shard.group, consumer, 0, "0-0", "COUNT", count)
    return [delivery_of(receipt, fields) for receipt, fields in reply[1] if fields]


def delivery_of(receipt: bytes, fields: Any) -> Delivery:
    """A delivery from an entry's fields, which redis-py gives as a dict, or as a flat list from a raw command."""
    pairs = fields if isinstance(fields, dict) else dict(zip(fields[::2], fields[1::2], strict=True))
    return Delivery(receipt, pairs.get(b"ce", b""), pairs.get(b"data", b""))
