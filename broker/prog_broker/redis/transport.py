"""The port's `Transport` over Redis streams."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from faststream.redis import RedisBroker

from prog_broker.intake import Intake
from prog_broker.leases import OwnedShard
from prog_broker.ports import Deliver, Delivery, Position, Publisher, Shard, ShardLag
from prog_broker.redis import lag, scripts, streams, trimming
from prog_broker.redis.connection import OUTAGES, connect, raw
from prog_broker.redis.subscriber import subscribe
from prog_contracts.envelope import Envelope
from prog_contracts.topics import Topic
from prog_kit.settings import Settings

MARKER: Final = "prog.relay.marker"
FOLLOW_COUNT: Final = 200


class RedisTransport:
    """One client for commands, and FastStream's broker with a connection a shard for what is read."""

    kind: Final = "redis"
    outages: Final = OUTAGES

    def __init__(self, settings: Settings) -> None:
        self._retention_hours = settings.redis_retention_hours
        self.client = connect(settings.effective_broker_url, max_connections=512)
        self.publisher: Publisher = streams.StreamPublisher(self.client)
        self.positions = streams.Positions(self.client)
        self.signals = streams.StreamSignals(self.client, self.positions)
        self.broker = RedisBroker(
            settings.effective_broker_url,
            logger=None,  # type: ignore[arg-type]  # None is FastStream's way to say: no logs of its own
            apply_types=False,
            # Handlers take what our decoder made: a model of each would be built and never used.
            serializer=None,  # type: ignore[arg-type]
            graceful_timeout=settings.drain_seconds + 5,
            max_connections=512,
        )

    async def start(self) -> None:
        await self.broker.start()

    async def stop(self) -> None:
        await self.broker.stop()

    async def close(self) -> None:
        await self.client.aclose()

    async def ping(self) -> None:
        await raw(self.client, "PING")

    async def ensure(self, topics: Iterable[Topic]) -> int:
        return await streams.ensure_groups(self.client, topics)

    def subscribe(self, owned: OwnedShard, intake: Intake, deliver: Deliver) -> None:
        subscribe(self.broker, self.positions, owned, intake, deliver, linger_seconds=intake.linger_seconds)

    async def keep(self, shard: Shard, position: Position) -> None:
        await self.signals.settled(shard, position, [], wake=False)

    async def lags(self, readers: Mapping[str, Sequence[str]]) -> list[ShardLag]:
        return await lag.shard_lags(self.client, readers)

    async def trim(self, topics: Iterable[Topic]) -> int:
        return await trimming.trim(self.client, topics, retention_hours=self._retention_hours)

    async def marker(self) -> str | None:
        return _text(await self.client.get(MARKER))

    async def publish_after(self, marker: str | None, envelopes: Sequence[tuple[Topic, Envelope]], note: str) -> bool:
        entries = streams.entries_of(self.publisher.prepared(envelopes))
        return await scripts.add_after(self.client, MARKER, marker, note, entries)

    async def follow(
        self,
        topics: Sequence[Topic],
        *,
        from_start: bool = False,
        since: datetime | None = None,
        until_now: bool = False,
    ) -> AsyncIterator[tuple[Topic, int, Delivery]]:
        places = {topic.stream(n).encode(): (topic, n) for topic in topics for n in range(topic.partitions)}
        positions: dict[bytes, bytes] = dict.fromkeys(places, streams.BEGINNING)
        if since is not None:
            positions = dict.fromkeys(places, _just_before(since))
        elif not from_start:  # "$" anew in each read would miss what comes in between
            positions = await self._ends(places)
        ends = await self._ends(places) if until_now else None
        patience = () if until_now else ("BLOCK", 1000)
        while True:
            reply: Any = await raw(
                self.client, "XREAD", "COUNT", FOLLOW_COUNT, *patience, "STREAMS", *positions, *positions.values()
            )
            held = 0
            for stream, entries in reply or ():
                topic, partition = places[stream]
                for receipt, fields in entries:
                    positions[stream] = receipt
                    if ends is None or _number(receipt) <= _number(ends[stream]):
                        held += 1
                        yield topic, partition, streams.delivery_of(receipt, fields)
            if until_now and not held:
                return

    async def _ends(self, names: Iterable[bytes]) -> dict[bytes, bytes]:
        """The id of each stream's newest entry."""
        ends = {}
        for name in names:
            newest: Any = await raw(self.client, "XREVRANGE", name, "+", "-", "COUNT", 1)
            ends[name] = newest[0][0] if newest else streams.BEGINNING
        return ends


def _just_before(at: datetime) -> bytes:
    """The last id that an entry of an earlier millisecond may have: XREAD leaves out the id that it is given."""
    milliseconds = int(at.timestamp() * 1000)
    return f"{milliseconds - 1}-{2**64 - 1}".encode() if milliseconds > 0 else streams.BEGINNING


def _number(receipt: bytes) -> tuple[int, int]:
    """An entry's id in the order of its stream."""
    milliseconds, _, sequence = receipt.partition(b"-")
    return int(milliseconds), int(sequence)


def _text(value: Any) -> str | None:
    return None if value is None else bytes(value).decode()
