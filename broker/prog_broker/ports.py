"""The port between the guarantees and a broker. Redis streams stand behind it now; Kafka is the other adapter.

A broker delivers bytes of one shard in order and takes acknowledgements; everything else (inbox, retries, dead letters,
order per key, fencing) is decided above this line and is the same for every broker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from prog_contracts.envelope import Envelope
from prog_contracts.topics import Topic


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as a broker handed it over. `receipt` is what the broker wants back as acknowledgement."""

    receipt: bytes
    attributes: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class Shard:
    """One partition of a topic for one consumer group: the unit of order and of ownership."""

    group: str
    topic: Topic
    partition: int

    @property
    def name(self) -> str:
        return f"{self.group}/{self.topic.name}.{self.partition}"


class Publisher(Protocol):
    """Puts envelopes on their topics."""

    async def send(self, envelopes: Sequence[tuple[Topic, Envelope]]) -> None:
        """Publishes all, in order, in one round trip where the broker can.

        Returns when the broker holds them. Raises Unavailable when it does not answer; some may then be published,
        which the inbox of the consumers makes harmless.
        """
        ...


@dataclass(frozen=True, slots=True)
class AddressedReply:
    """What goes back to whoever waits: an encoded reply and the channel it is for."""

    channel: str
    payload: bytes


class Signals(Protocol):
    """What happens after a commit, in one round trip: answer, acknowledge, announce dead letters, wake the relay."""

    async def settled(
        self,
        shard: Shard,
        receipts: Sequence[bytes],
        answers: Sequence[AddressedReply],
        *,
        wake: bool,
        buried: Sequence[Delivery] = (),
    ) -> None: ...
