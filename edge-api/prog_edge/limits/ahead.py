"""Units of a quota that were counted ahead: most requests of a busy client wait for no answer of Redis.

A request that is counted counts some more in the same round trip, as many as the client is likely to send within a
slice of the window. They are Redis' units like all others, so the edges together still let in no more than the quota;
what goes unused is given back with the next count. A client that used up more than half its quota counts one by one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Final

from prog_edge.limits.policies import Policy
from prog_edge.limits.windows import MAX_CLIENTS, NO_UNITS, Batch, Spent, slice_of

LARGEST_SHARE: Final = 100
"""A batch is at most one part in so many of the quota; a quota of fewer units is counted one by one."""
MAX_UNITS: Final = 64


_NOTHING: Final = Spent(allowed=True, remaining=0, more_in_milliseconds=0)


@dataclass(slots=True)
class _Held:
    """What one client has: `left` of the units in `batch` until `ends_at`, after which `spent` was the verdict."""

    quota: int
    batch: Batch
    left: int
    spent: Spent
    asked_at: float
    ends_at: float
    is_asking: bool = False


@dataclass(frozen=True, slots=True)
class Asking:
    """What to ask Redis for, with the next count."""

    units: int
    unused: Batch
    at: float


class UnitsAhead:
    """The units that this process holds, by client and kind of endpoint; bounded."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._held: OrderedDict[str, _Held] = OrderedDict()

    def take(self, key: str, policy: Policy) -> Spent | None:
        """Uses a unit; None when there is none, and the request is to be counted."""
        held = self._held.get(key)
        if held is None or held.left == 0 or held.quota != policy.quota:
            return None
        now = self._clock()
        if now >= held.ends_at:
            return None
        held.left -= 1
        elapsed = int((now - held.asked_at) * 1000)
        return Spent(True, held.spent.remaining + held.left, max(1, held.spent.more_in_milliseconds - elapsed))

    def ask(self, key: str, policy: Policy) -> Asking | None:
        """What the next count should bring, from what became of the last; None while another count brings it.

        `keep` or `drop` must follow.
        """
        now = self._clock()
        held = self._held.get(key)
        if held is None:
            self._held[key] = _Held(policy.quota, NO_UNITS, 0, _NOTHING, now, now, is_asking=True)
            if len(self._held) > MAX_CLIENTS:
                self._held.popitem(last=False)
            return Asking(0, NO_UNITS, now)
        self._held.move_to_end(key)
        if held.is_asking:
            return None
        held.is_asking = True
        used = held.batch.units - held.left
        was_too_small = held.left == 0 and now < held.ends_at
        wanted = 2 * used + 1 if was_too_small else used if held.left else used // 2
        unused, held.left = Batch(held.left, held.batch.slice_number), 0
        return Asking(min(wanted, MAX_UNITS, policy.quota // LARGEST_SHARE), unused, now)

    def keep(self, key: str, policy: Policy, asking: Asking, spent: Spent, batch: Batch) -> None:
        """Holds what the count has brought."""
        if key in self._held:
            ends_at = asking.at + slice_of(policy.window_seconds) / 1000
            self._held[key] = _Held(policy.quota, batch, batch.units, spent, asking.at, ends_at)

    def drop(self, key: str) -> None:
        """The count did not come about."""
        self._held.pop(key, None)
