"""The port between the guarantees and a broker. Redis streams and Kafka are the adapters.

A broker keeps the bytes of a shard in order and hands them out from a position; reading takes nothing away. Everything
else (inbox, retries, dead letters, order per key, fencing) is decided above this line and is the same for every broker.

- `Transport`  one connection to a broker: publishes, reads shards, keeps their positions, tells their lag
- `Signals`    what processes tell each other over Redis pub/sub, whichever broker carries the messages
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, TypeAlias

from prog_contracts.envelope import Envelope
from prog_contracts.topics import Topic

if TYPE_CHECKING:
    from prog_broker.intake import Intake
    from prog_broker.leases import OwnedShard


class Delivery:
    """One message as a broker handed it over. `receipt` is its place in the shard: what the next reader goes on after.

    `attributes` is the JSON object of the CloudEvents attributes, whatever form the broker keeps them in.
    """

    __slots__ = ("attributes", "data", "receipt")

    def __init__(self, receipt: bytes, attributes: bytes, data: bytes) -> None:
        self.receipt = receipt
        self.attributes = attributes
        self.data = data

    @property
    def size_bytes(self) -> int:
        """Roughly what it takes in memory."""
        return len(self.data) + len(self.attributes)

    def envelope(self) -> Envelope:
        """Raises ValueError, naming what is wrong, when this is no CloudEvent with our extensions."""
        return Envelope.parse(self.attributes, self.data)


@dataclass(frozen=True, slots=True)
class Shard:
    """One partition of a topic for one consumer group: the unit of order and of ownership."""

    group: str
    topic: Topic
    partition: int

    @property
    def name(self) -> str:
        return f"{self.group}/{self.topic.name}.{self.partition}"


@dataclass(frozen=True, slots=True)
class Position:
    """How far a group has got in a shard: everything up to and including `receipt` is settled.

    `count` says how many messages that is since the position was last kept.
    """

    receipt: bytes
    count: int


@dataclass(frozen=True, slots=True)
class ShardLag:
    """What waits in one partition for one group. `oldest_at` is when the oldest of it was published."""

    topic: str
    group: str
    partition: int
    lag: int
    oldest_at: datetime | None


@dataclass(frozen=True, slots=True)
class AddressedReply:
    """What goes back to whoever waits: an encoded reply and the channel it is for."""

    channel: str
    payload: bytes


class LostPlace(Exception):
    """The broker no longer has the group: it lost its data. Whoever reads finds the position anew."""


class Publisher(Protocol):
    """Puts envelopes on their topics."""

    async def send(self, envelopes: Sequence[tuple[Topic, Envelope]]) -> None:
        """Publishes all, in order, in one round trip where the broker can.

        Returns when the broker holds them. Raises Unavailable when it does not answer; some may then be published,
        which the inbox of the consumers makes harmless.
        """
        ...

    def prepared(self, envelopes: Sequence[tuple[Topic, Envelope]]) -> Sequence[tuple[Topic, Envelope]]:
        """The envelopes as `send` would put them on their topics: signed, where it signs."""
        ...

    async def announce(self, topic: Topic, deliveries: Sequence[Delivery]) -> None:
        """Copies messages as they came onto a topic of dead letters. Raises Unavailable."""
        ...


Outages: TypeAlias = tuple[type[BaseException], ...]
"""What an `except` names: the errors of servers that are away."""

Deliver = Callable[["Intake"], Awaitable[None]]
"""Settles the next batch of an intake; called by the adapter's reader of a shard, one call at a time."""


class Transport(Protocol):
    """A connection of one process to a broker."""

    @property
    def kind(self) -> str:
        """`redis` or `kafka`."""
        ...

    @property
    def outages(self) -> Outages:
        """What its calls raise while the broker is away."""
        ...

    @property
    def publisher(self) -> Publisher: ...

    @property
    def signals(self) -> Signals: ...

    async def start(self) -> None:
        """Connects and begins to read the shards that were subscribed. Raises one of `outages`."""
        ...

    async def stop(self) -> None:
        """Stops reading and waits for the batches at work. Publishing and signals still work."""
        ...

    async def close(self) -> None:
        """Lets go of all connections."""
        ...

    async def ping(self) -> None:
        """Raises one of `outages` when the broker does not answer."""
        ...

    async def ensure(self, topics: Iterable[Topic]) -> int:
        """Makes topics and groups that are missing, groups at the very beginning; tells how many were made."""
        ...

    def subscribe(self, owned: OwnedShard, intake: Intake, deliver: Deliver) -> None:
        """Registers a shard; it is read once `start` was called and its lease is gained."""
        ...

    async def keep(self, shard: Shard, position: Position) -> None:
        """Keeps how far the group has got. Raises one of `outages`."""
        ...

    async def lags(self, readers: Mapping[str, Sequence[str]]) -> list[ShardLag]:
        """What waits in each partition of the topics given, for the groups that read it."""
        ...

    async def trim(self, topics: Iterable[Topic]) -> int:
        """Lets go of what every group has handled and whose retention is over; how many messages went, if known."""
        ...

    async def marker(self) -> str | None:
        """The relay's note of what it published last, as the broker itself remembers it: None when it lost its data."""
        ...

    async def publish_after(self, marker: str | None, envelopes: Sequence[tuple[Topic, Envelope]], note: str) -> bool:
        """Publishes all, in order, and replaces the relay's note by `note`, in one piece where the broker can.

        False, and nothing published, when the note is not `marker`: the broker lost data, or somebody else relays.
        Raises Unavailable when the broker does not answer; all may then be published, or nothing.
        """
        ...

    def follow(
        self,
        topics: Sequence[Topic],
        *,
        from_start: bool = False,
        since: datetime | None = None,
        until_now: bool = False,
    ) -> AsyncIterator[tuple[Topic, int, Delivery]]:
        """Every message as it passes, without a group: topic, partition, message. Ends when it is closed.

        `since` begins with the messages that the broker took at that time (to the millisecond) or later. `until_now`
        ends behind what the broker held when it began.
        """
        ...


class Signals(Protocol):
    """What happens after a commit: answer, keep the position, announce dead letters, wake the relay."""

    async def settled(
        self,
        shard: Shard,
        position: Position | None,
        answers: Sequence[AddressedReply],
        *,
        wake: bool,
        buried: Sequence[Delivery] = (),
    ) -> None:
        """In as few round trips as can be, the answers first: somebody waits for them.

        Raises LostPlace when the position cannot be kept because the broker lost the group, and an outage when a server
        does not answer: what was committed stands, the message comes again and the inbox absorbs it.
        """
        ...
