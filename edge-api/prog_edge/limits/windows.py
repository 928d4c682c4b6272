"""Sliding windows, counted in slices: in Redis for all edges together, or in this process alone.

A window is cut into `SLICES`; a slice counts until it lies wholly before the window. So no window of that length,
wherever it begins, ever has more than the quota, which an average over two fixed windows cannot promise; the price is
that a request may count up to a tenth of the window too long. One step decides and tells what is left, so that verdict,
`RateLimit` and `Retry-After` agree. Refused requests do not count.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from prog_broker.redis.connection import Client

SLICES: Final = 10
MAX_CLIENTS: Final = 20_000
"""Clients that one process remembers when it counts alone; of more, those that were silent longest are forgotten."""

_SPEND: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local quota, slice, slices = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local ahead, unused = tonumber(ARGV[4]), tonumber(ARGV[6])
local current = math.floor(now / slice)
local oldest = current - slices
if unused > 0 and redis.call('HEXISTS', KEYS[1], ARGV[5]) == 1 then
    redis.call('HINCRBY', KEYS[1], ARGV[5], -unused)
end
local counts, total = {}, 0
local entries = redis.call('HGETALL', KEYS[1])
for i = 1, #entries, 2 do
    local number, count = tonumber(entries[i]), tonumber(entries[i + 1])
    if number < oldest then
        redis.call('HDEL', KEYS[1], entries[i])
    else
        counts[number] = count
        total = total + count
    end
end
local allowed = 0
if total < quota then
    allowed = 1
    total = total + 1
    counts[current] = (counts[current] or 0) + 1
    redis.call('HINCRBY', KEYS[1], string.format('%.0f', current), 1)
    redis.call('PEXPIRE', KEYS[1], slice * (slices + 2))
end
if (total + ahead) * 2 > quota then
    ahead = 0
end
if ahead > 0 then
    total = total + ahead
    redis.call('HINCRBY', KEYS[1], string.format('%.0f', current + 1), ahead)
end
local freed, last = 0, current
for number = oldest, current + 1 do
    freed = freed + (counts[number] or 0)
    if freed > 0 and total - freed < quota then
        last = number
        break
    end
end
return {allowed, math.max(quota - total, 0), (last + slices + 1) * slice - now, ahead, current + 1}
"""


@dataclass(frozen=True, slots=True)
class Batch:
    """Units of a quota that are counted in one slice, for requests that have not come yet."""

    units: int
    slice_number: int


NO_UNITS: Final = Batch(0, 0)


@dataclass(frozen=True, slots=True)
class Spent:
    """Whether the request goes on, how many more would, and in how many milliseconds there is more again."""

    allowed: bool
    remaining: int
    more_in_milliseconds: int


def slice_of(window_seconds: int) -> int:
    """The length of one of the window's slices, in milliseconds."""
    return window_seconds * 1000 // SLICES


class RedisWindows:
    """Counts for all edges, by the clock of Redis."""

    def __init__(self, client: Client) -> None:
        self._script: Any = client.register_script(_SPEND)

    async def spend(
        self, key: str, quota: int, window_seconds: int, *, ahead: int = 0, unused: Batch = NO_UNITS
    ) -> tuple[Spent, Batch]:
        """Counts a request, and with it `ahead` further ones while all of them leave half of the quota; what was
        counted ahead before and went `unused` is given back first.

        Units counted ahead may be used for one slice from when they were asked for: they are counted in the slice after
        the current one, and so for a whole window after their use. Raises one of the broker's outages.
        """
        slice_milliseconds = slice_of(window_seconds)
        numbers = [quota, slice_milliseconds, SLICES, ahead, unused.slice_number, unused.units]
        allowed, remaining, more_in, units, slice_number = await self._script(keys=[key], args=numbers)
        return Spent(bool(allowed), int(remaining), int(more_in)), Batch(int(units), int(slice_number))


class LocalWindows:
    """Counts for this process; bounded."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: OrderedDict[str, dict[int, int]] = OrderedDict()

    def spend(self, key: str, quota: int, window_seconds: int) -> Spent:
        now = int(self._clock() * 1000)
        length = slice_of(window_seconds)
        current = now // length
        oldest = current - SLICES
        counts = {number: count for number, count in self._counts.pop(key, {}).items() if number >= oldest}
        total = sum(counts.values())
        allowed = total < quota
        if allowed:
            counts[current] = counts.get(current, 0) + 1
            total += 1
        self._keep(key, counts)
        freed, last = 0, current
        for number in range(oldest, current + 1):
            freed += counts.get(number, 0)
            if freed and total - freed < quota:
                last = number
                break
        return Spent(allowed, max(quota - total, 0), (last + SLICES + 1) * length - now)

    def _keep(self, key: str, counts: dict[int, int]) -> None:
        self._counts[key] = counts
        if len(self._counts) > MAX_CLIENTS:
            self._counts.popitem(last=False)
