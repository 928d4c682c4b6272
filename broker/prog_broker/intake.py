"""What one shard has read and not settled yet, and the position that follows from it.

The adapter's reader fills it while the batch before is at work, and makes the next batch ready, so that a broker's
round trip and the decoding cost no time of their own. The bodies of what waits behind that batch are unread: models
take much more memory than bytes, and few of them stay in the processor's cache.

When more waits than a batch takes, tenants take turns in it, and batches are kept so small that one does not hold up
the next for long: a tenant that sends a flood waits behind itself, the others do not. Messages of one key keep their
order whatever their tenants are.

Messages may be settled in any order; the position moves over the longest run that is settled from the beginning, so a
crash repeats what is behind it, and the inbox makes that harmless. Over events that the group does not handle it moves
without a batch, and is told to the broker with the next one, or a moment later.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from prog_broker.decoding import Decoded, Gate, Incoming, open_batch, read_bodies
from prog_broker.ports import Delivery, Position, Shard

if TYPE_CHECKING:
    from prog_broker.domain import Domain

WINDOW_BATCHES: Final = 4
"""How far ahead of the batch at work is read: fairness between tenants reaches so far."""
READ_BYTES: Final = 4 * 1024 * 1024
"""What one read may bring, roughly: large bodies make smaller batches."""
BATCH_SECONDS: Final = 0.25
"""How long a batch should take at most, by what the messages before it took."""


class Budget:
    """Bytes that all intakes of a process may hold together. Each may hold one read's worth in any case."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._held = 0

    def take(self, count: int) -> None:
        self._held += count

    def give_back(self, count: int) -> None:
        self._held -= count

    @property
    def left(self) -> int:
        return max(0, self._limit - self._held)


class Intake:
    """One a shard. `room` says how many messages may still be read; `take` gives the next batch."""

    def __init__(
        self, domain: Domain, shard: Shard, *, batch_size: int, gate: Gate | None = None, budget: Budget | None = None
    ) -> None:
        self._domain = domain
        self.shard = shard
        self._gate = gate
        self.batch_size = batch_size
        self.linger_seconds = domain.linger_seconds if shard.topic.kind == "events" else 0.0
        self._budget = budget or Budget(WINDOW_BATCHES * READ_BYTES)
        self._ready: deque[Incoming] = deque()
        """The beginning of the next batch, with bodies."""
        self._incoming: deque[Incoming] = deque()
        """What comes after that, without."""
        self._others = Decoded()
        self._tenants: Counter[str] = Counter()
        self._unsettled: deque[tuple[bytes, int]] = deque()
        self._settled: set[bytes] = set()
        self._untold: Position | None = None
        self._held = 0
        self._mean_bytes = 0.0
        self._mean_seconds = 0.0

    def __len__(self) -> int:
        """Messages that wait to be taken."""
        return len(self._ready) + len(self._incoming) + len(self._others.rejected) + len(self._others.skipped)

    @property
    def room(self) -> int:
        """How many messages to read next; 0 when enough wait."""
        waiting = len(self)
        free = WINDOW_BATCHES * self.batch_size - waiting
        if free <= 0:
            return 0
        affordable = READ_BYTES if waiting == 0 else min(READ_BYTES, self._budget.left)
        return min(self.batch_size, free, max(int(affordable / max(self._mean_bytes, 1.0)), 1 if waiting == 0 else 0))

    def add(self, deliveries: list[Delivery]) -> None:
        """Takes in what was read, in the broker's order."""
        if not deliveries:
            return
        sizes = [delivery.size_bytes for delivery in deliveries]
        total = sum(sizes)
        mean = total / len(deliveries)
        self._mean_bytes = max(mean, self._mean_bytes * 0.98)  # quick to see large ones, slow to forget them
        self._budget.take(total)
        self._held += total
        self._unsettled.extend((delivery.receipt, size) for delivery, size in zip(deliveries, sizes, strict=True))
        decoded = open_batch(self._domain, self.shard, deliveries, self._gate)
        self._incoming.extend(decoded.incoming)
        self._others.rejected += decoded.rejected
        self._others.skipped += decoded.skipped
        self._tenants.update([item.envelope.tenant_id for item in decoded.incoming])

    @property
    def has_untold(self) -> bool:
        """Whether the position has moved over what was passed by, and nobody was told."""
        return self._untold is not None

    def pass_by(self) -> bool:
        """Settles all that waits when none of it is the group's; tells whether it did. Nothing must be at work."""
        others = self._others
        if self._ready or self._incoming or others.rejected or not others.skipped:
            return False
        self._others = Decoded()
        self._untold = self.settled([delivery.receipt for delivery in others.skipped])
        return True

    def make_ready(self) -> None:
        """Reads the bodies of the next batch."""
        missing = self._quick() - len(self._ready)
        if missing > 0 and self._incoming:
            readable, broken = read_bodies(self._pick(missing))
            self._ready.extend(readable)
            self._others.rejected += broken

    def take(self, limit: int | None = None) -> Decoded:
        """The next batch, of `limit` messages at most."""
        self.make_ready()
        decoded, self._others = self._others, Decoded()
        ready, count = self._ready, min(self._quick(), limit or self.batch_size)
        if len(ready) <= count:
            decoded.incoming = list(ready)
            ready.clear()
        else:
            decoded.incoming = [ready.popleft() for _ in range(count)]
        return decoded

    def put_back(self, items: Sequence[Incoming]) -> None:
        """Takes back the end of a batch that was not begun."""
        self._ready.extendleft(reversed(items))

    def took(self, seconds: float, messages: int) -> None:
        """Learns how long a batch took."""
        if messages:
            each = seconds / messages
            self._mean_seconds = each if self._mean_seconds == 0 else 0.8 * self._mean_seconds + 0.2 * each

    def settled(self, receipts: Sequence[bytes]) -> Position | None:
        """Notes what is settled; the position to tell, or None while it stays where it was told last."""
        settled, unsettled = self._settled, self._unsettled
        settled.update(receipts)
        last, count, freed = None, 0, 0
        if self._untold is not None:
            last, count, self._untold = self._untold.receipt, self._untold.count, None
        while unsettled and unsettled[0][0] in settled:
            last, size = unsettled.popleft()
            settled.discard(last)
            count += 1
            freed += size
        self._release(freed)
        return None if last is None else Position(last, count)

    def clear(self) -> None:
        """Forgets everything: the shard is another's now, or is read again from its position."""
        self._ready.clear()
        self._incoming.clear()
        self._others = Decoded()
        self._tenants.clear()
        self._unsettled.clear()
        self._settled.clear()
        self._untold = None
        self._release(self._held)

    def _release(self, count: int) -> None:
        self._held -= count
        self._budget.give_back(count)

    def _quick(self) -> int:
        """As many messages as take BATCH_SECONDS."""
        if self._mean_seconds * self.batch_size <= BATCH_SECONDS:
            return self.batch_size
        return max(1, int(BATCH_SECONDS / self._mean_seconds))

    def _pick(self, count: int) -> list[Incoming]:
        waiting = self._incoming
        if len(waiting) <= count:
            picked = list(waiting)
            waiting.clear()
            self._tenants.clear()
            return picked
        if len(self._tenants) == 1:
            picked = [waiting.popleft() for _ in range(count)]
        else:
            chosen = _in_turns(waiting, count)
            picked = [item for number, item in enumerate(waiting) if number in chosen]
            self._incoming = deque(item for number, item in enumerate(waiting) if number not in chosen)
        self._tenants.subtract([item.envelope.tenant_id for item in picked])
        self._tenants += Counter()  # drops those with nothing left
        return picked


def _in_turns(waiting: deque[Incoming], count: int) -> set[int]:
    """The places of those that come first when each tenant has one message a turn, in its own order.

    A key belongs to the tenant that it was first seen with, so that its messages are never taken out of order.
    """
    lanes: dict[str, str] = {}
    places: defaultdict[str, list[int]] = defaultdict(list)
    for number, item in enumerate(waiting):
        envelope = item.envelope
        places[lanes.setdefault(envelope.partition_key, envelope.tenant_id)].append(number)
    chosen: set[int] = set()
    left, turn = list(places.values()), 0
    while left and len(chosen) < count:
        those_next = [lane[turn] for lane in left]
        if len(those_next) > count - len(chosen):  # the last turn, which is not for all
            those_next = sorted(those_next)[: count - len(chosen)]
        chosen.update(those_next)
        turn += 1
        left = [lane for lane in left if len(lane) > turn]
    return chosen
