"""What one shard has read and not settled yet: at most two batches, decoded, and the position that follows from it.

The adapter's reader fills it while the batch before is at work, so that a broker's round trip and the decoding cost no
time of their own. Messages may be settled in any order; the position moves over the longest run that is settled from
the beginning, so a crash repeats what is behind it, and the inbox makes that harmless.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from prog_broker.decoding import Decoded, Gate, decode_batch
from prog_broker.ports import Delivery, Position, Shard

if TYPE_CHECKING:
    from prog_broker.domain import Domain

WINDOW_BATCHES: Final = 2
FULL_READ_BYTES: Final = 8 * 1024 * 1024
"""What one read may bring, roughly: large bodies make smaller batches, so that memory stays bounded."""


class Intake:
    """One a shard. `room` says how many messages may still be read; `take` gives the next batch."""

    def __init__(self, domain: Domain, shard: Shard, *, batch_size: int, gate: Gate | None = None) -> None:
        self._domain = domain
        self.shard = shard
        self._gate = gate
        self.batch_size = batch_size
        self.linger_seconds = domain.linger_seconds
        self._batches: deque[tuple[list[Delivery], Decoded]] = deque()
        self._unsettled: deque[bytes] = deque()
        self._settled: set[bytes] = set()
        self._waiting = 0
        self._mean_bytes = 0.0

    def __len__(self) -> int:
        """Messages that wait to be taken."""
        return self._waiting

    @property
    def room(self) -> int:
        """How many messages to read next; 0 when enough wait."""
        if len(self._batches) >= WINDOW_BATCHES:
            return 0
        return max(1, min(self.batch_size, int(FULL_READ_BYTES / max(self._mean_bytes, 1.0))))

    def add(self, deliveries: list[Delivery]) -> None:
        """Takes in what was read, in the broker's order."""
        if not deliveries:
            return
        size = sum(delivery.size_bytes for delivery in deliveries) / len(deliveries)
        self._mean_bytes = max(size, self._mean_bytes * 0.9)  # quick to see large ones, slow to forget them
        self._batches.append((deliveries, decode_batch(self._domain, self.shard, deliveries, self._gate)))
        self._unsettled.extend(delivery.receipt for delivery in deliveries)
        self._waiting += len(deliveries)

    def take(self) -> Decoded:
        """The next batch. Raises IndexError when nothing waits."""
        deliveries, decoded = self._batches.popleft()
        self._waiting -= len(deliveries)
        return decoded

    def settled(self, receipts: Sequence[bytes]) -> Position | None:
        """Notes what is settled; the new position, or None while something before it is not."""
        if not receipts:
            return None
        settled, unsettled = self._settled, self._unsettled
        settled.update(receipts)
        last, count = None, 0
        while unsettled and unsettled[0] in settled:
            last = unsettled.popleft()
            settled.discard(last)
            count += 1
        return None if last is None else Position(last, count)

    def clear(self) -> None:
        """Forgets everything: the shard is another's now, or is read again from its position."""
        self._batches.clear()
        self._unsettled.clear()
        self._settled.clear()
        self._waiting = 0
