"""Publishing to streams, groups and their positions, signals: the commands that the adapter sends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from prog_broker.ports import AddressedReply, Delivery, LostPlace, Position, Shard
from prog_broker.redis import scripts
from prog_broker.redis.connection import Client, raw
from prog_contracts.envelope import Envelope
from prog_contracts.topics import Topic, dead_topic

WAKE_CHANNEL: Final = "prog.relay.wake"
EVENTS_WAIT: Final = b"events"
"""What the relay is told when nothing waits but rows of the event log; with anything else it looks at all."""
BEGINNING: Final = b"0-0"


class StreamPublisher:
    """The port's `Publisher`: a batch is one command."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def prepared(self, envelopes: Sequence[tuple[Topic, Envelope]]) -> Sequence[tuple[Topic, Envelope]]:
        return envelopes

    async def send(self, envelopes: Sequence[tuple[Topic, Envelope]]) -> None:
        if len(envelopes) == 1:
            await scripts.add_one(self._client, entries_of(envelopes)[0])
        elif envelopes:
            await scripts.add(self._client, entries_of(envelopes))

    async def announce(self, topic: Topic, deliveries: Sequence[Delivery]) -> None:
        stream = topic.stream(0)
        await scripts.add(self._client, [(stream, delivery.attributes, delivery.data) for delivery in deliveries])


class Positions:
    """How far groups have got, as the server keeps it: the group's last delivered id.

    `counted` is how many entries of the stream a group has got past, where the server knows: told back to it, its lag
    stays exact.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self.counted: dict[str, int | None] = {}

    async def find(self, shard: Shard) -> bytes:
        """Where the group of a shard goes on; the group is made at the beginning when it is missing."""
        stream = stream_of(shard)
        for _ in range(2):
            group = await group_of(self._client, stream, shard.group)
            if group is not None:
                read = group.entries_read
                self.counted[shard.name] = (
                    await _entries_behind(self._client, stream, shard.group) if read is None else read
                )
                return group.last_delivered
            await ensure_group(self._client, stream, shard.group)
        return BEGINNING

    def command(self, shard: Shard, position: Position) -> tuple[Any, ...]:
        """The command that keeps a position."""
        counted = self.counted.get(shard.name)
        words: tuple[Any, ...] = ("XGROUP", "SETID", stream_of(shard), shard.group, position.receipt)
        if counted is None:
            return words
        self.counted[shard.name] = counted + position.count
        return (*words, "ENTRIESREAD", counted + position.count)


class StreamSignals:
    """The port's `Signals` where Redis is the broker."""

    def __init__(self, client: Client, positions: Positions) -> None:
        self._client = client
        self._positions = positions

    async def settled(
        self,
        shard: Shard,
        position: Position | None,
        answers: Sequence[AddressedReply],
        *,
        wake: bool,
        buried: Sequence[Delivery] = (),
    ) -> None:
        # Answers go ahead of what nobody waits for: the wake-up of the relay would take a processor from who answers.
        await self._run(shard, [("PUBLISH", answer.channel, answer.payload) for answer in answers])
        commands: list[tuple[Any, ...]] = [] if position is None else [self._positions.command(shard, position)]
        dead = dead_topic(shard.group).stream(0)
        commands += [("XADD", dead, "*", "ce", letter.attributes, "data", letter.data) for letter in buried]
        if wake:
            commands.append(("PUBLISH", WAKE_CHANNEL, EVENTS_WAIT))
        await self._run(shard, commands)

    async def _run(self, shard: Shard, commands: list[tuple[Any, ...]]) -> None:
        """All in one round trip; raises the first error after all were tried."""
        try:
            if len(commands) == 1:
                await raw(self._client, *commands[0])
            elif commands:
                pipeline = self._client.pipeline(transaction=False)
                for command in commands:
                    pipeline.execute_command(*command)
                for result in await pipeline.execute(raise_on_error=False):
                    if isinstance(result, Exception):
                        raise result
        except ResponseError as error:
            if _is_missing(error):
                raise LostPlace(shard.name) from error
            # A server that is full or read-only is as good as away: what was committed stands.
            raise RedisConnectionError(str(error)) from error


def entries_of(envelopes: Iterable[tuple[Topic, Envelope]]) -> list[scripts.Entry]:
    """Where each envelope goes, and its two fields."""
    return [(topic.stream(topic.partition_of(e.partition_key)), e.attributes(), e.data) for topic, e in envelopes]


def stream_of(shard: Shard) -> str:
    return shard.topic.stream(shard.partition)


@dataclass(frozen=True, slots=True)
class Group:
    """A group as XINFO GROUPS tells it. `entries_read` is None where the server does not know."""

    last_delivered: bytes
    entries_read: int | None


async def group_of(client: Client, stream: str, name: str) -> Group | None:
    """A stream's group, or None when either is missing."""
    try:
        groups: Any = await raw(client, "XINFO", "GROUPS", stream)
    except ResponseError:
        return None
    for row in groups:
        fields = row if isinstance(row, dict) else dict(zip(row[::2], row[1::2], strict=True))
        if fields[b"name"] == name.encode():
            return Group(fields[b"last-delivered-id"], fields.get(b"entries-read"))
    return None


async def _entries_behind(client: Client, stream: str, name: str) -> int | None:
    """How many entries a group has got past, of which Redis has no number yet; None where it cannot be told.

    Of a group at either end of its stream, as a new one is, Redis knows how many entries wait.
    """
    pipeline = client.pipeline(transaction=True)
    pipeline.xinfo_stream(stream)
    pipeline.xinfo_groups(stream)
    whole, groups = await pipeline.execute()
    [lag] = [row["lag"] for row in groups if row["name"] == name.encode()] or [None]
    return None if lag is None else int(whole["entries-added"]) - int(lag)


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


def deliveries_of(reply: Any) -> list[Delivery]:
    """The entries in a bare reply of XREAD over one stream: a list under RESP2, a map of lists under RESP3."""
    if not reply:
        return []
    entries = next(iter(reply.values())) if isinstance(reply, dict) else reply[0][1]
    return [delivery_of(receipt, fields) for receipt, fields in entries]


def delivery_of(receipt: bytes, fields: Any) -> Delivery:
    """A delivery from an entry's fields: a flat list under RESP2, a map under RESP3."""
    if not isinstance(fields, dict):
        if len(fields) == 4 and fields[0] == b"ce" and fields[2] == b"data":
            return Delivery(receipt, fields[1], fields[3])
        fields = dict(zip(fields[::2], fields[1::2], strict=True))
    return Delivery(receipt, fields.get(b"ce", b""), fields.get(b"data", b""))


def _is_missing(error: ResponseError) -> bool:
    text = str(error)
    return "NOGROUP" in text or "requires the key to exist" in text
