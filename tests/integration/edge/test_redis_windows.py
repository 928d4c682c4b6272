"""What the script that counts for all edges does with the counts it finds, to the unit and the millisecond.

The window is so long that no test sees one of its slices end: where in a slice it stands, Redis' own clock says.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import pytest
import pytest_asyncio

from prog_broker.redis.connection import Client, connect
from prog_edge.limits.windows import NO_UNITS, SLICES, Batch, RedisWindows, Spent, slice_of

WINDOWS_SECONDS: Final = (10_000_000, 17_000_000)
"""Where a slice of the one is about to end, one of the other is not."""
KEY: Final = "prog:limits:test:ada"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Counted:
    """What is counted for one client. Slices are told from the current one: -1 is the one before."""

    client: Client
    window_seconds: int
    current: int

    @property
    def length(self) -> int:
        return slice_of(self.window_seconds)

    async def put(self, counts: dict[int, int]) -> None:
        await self.client.delete(KEY)
        if counts:
            await self.client.hset(KEY, mapping={str(self.current + place): count for place, count in counts.items()})

    async def kept(self) -> dict[int, int]:
        found = await self.client.hgetall(KEY)
        return {int(number) - self.current: int(count) for number, count in found.items()}

    async def spend(self, quota: int, *, ahead: int = 0, unused: Batch = NO_UNITS) -> tuple[Spent, Batch, int]:
        """With the slice, from the current one, from which on there is more: it has left the window by then."""
        before = await now(self.client)
        spent, batch = await RedisWindows(self.client).spend(
            KEY, quota, self.window_seconds, ahead=ahead, unused=unused
        )
        after = await now(self.client)
        ends = [at + spent.more_in_milliseconds for at in (before, after)]
        [place] = {number for number in range(-30, 31) if ends[0] <= self.end_of(number) <= ends[1]}
        return spent, batch, place

    def end_of(self, place: int) -> int:
        """When a slice has left the window."""
        return (self.current + place + SLICES + 1) * self.length


async def now(client: Client) -> int:
    seconds, microseconds = await client.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


@pytest_asyncio.fixture(loop_scope="module")
async def counted(valkey_url: str) -> AsyncIterator[Counted]:
    client = connect(valkey_url)
    at = await now(client)
    window_seconds = max(WINDOWS_SECONDS, key=lambda seconds: slice_of(seconds) - at % slice_of(seconds))
    yield Counted(client, window_seconds, at // slice_of(window_seconds))
    await client.delete(KEY)
    await client.aclose()


async def test_a_request_counts_in_the_slice_in_which_it_comes(counted: Counted) -> None:
    for number in (1, 2, 3):
        spent, _, more = await counted.spend(10)
        assert (spent.allowed, spent.remaining, more) == (True, 10 - number, 0)
        assert await counted.kept() == {0: number}


async def test_what_has_left_the_window_is_forgotten_and_what_is_about_to_counts(counted: Counted) -> None:
    await counted.put({-SLICES - 2: 7, -SLICES - 1: 7, -SLICES: 2, -3: 1})
    spent, _, more = await counted.spend(10)
    assert (spent.allowed, spent.remaining, more) == (True, 6, -SLICES)
    assert await counted.kept() == {-SLICES: 2, -3: 1, 0: 1}


async def test_who_is_refused_is_told_when_enough_has_left_the_window(counted: Counted) -> None:
    await counted.put({-6: 1, -4: 3, -2: 2})
    for quota, more in ((6, -6), (5, -4), (3, -4), (2, -2)):
        spent, _, found = await counted.spend(quota)
        assert (spent, found) == (Spent(False, 0, spent.more_in_milliseconds), more), quota
    assert await counted.kept() == {-6: 1, -4: 3, -2: 2}, "what is refused does not count"


async def test_units_ahead_count_in_the_next_slice_while_they_leave_half_the_quota(counted: Counted) -> None:
    spent, batch, more = await counted.spend(20, ahead=9)
    assert (spent.remaining, batch, more) == (10, Batch(9, counted.current + 1), 0), "half of it, to the unit"
    assert await counted.kept() == {0: 1, 1: 9}
    spent, batch, _ = await counted.spend(20, ahead=1)
    assert (spent.remaining, batch.units) == (9, 0), "beyond half of it none is counted ahead"
    assert await counted.kept() == {0: 2, 1: 9}
    spent, _, more = await counted.spend(5)
    assert (spent.allowed, more) == (False, 1), "they have to leave the window, too"


async def test_what_went_unused_is_given_back_where_it_was_counted(counted: Counted) -> None:
    await counted.put({0: 1, 1: 9})
    spent, _, _ = await counted.spend(20, unused=Batch(4, counted.current + 1))
    assert (spent.remaining, await counted.kept()) == (13, {0: 2, 1: 5})
    spent, _, _ = await counted.spend(20, unused=Batch(4, counted.current - 2))
    assert (spent.remaining, await counted.kept()) == (12, {0: 3, 1: 5}), "nothing was counted there"
    assert await counted.client.hget(KEY, str(counted.current + 1)) == b"5"
    spent, _, _ = await counted.spend(20, unused=Batch(0, counted.current + 1))
    assert await counted.kept() == {0: 4, 1: 5}


async def test_a_quota_that_has_become_smaller_leaves_nothing(counted: Counted) -> None:
    await counted.put({-1: 8, 0: 4})
    spent, batch, more = await counted.spend(3, ahead=1)
    assert (spent.allowed, spent.remaining, batch.units, more) == (False, 0, 0, 0)
    assert await counted.kept() == {-1: 8, 0: 4}


async def test_who_comes_no_more_is_forgotten_once_nothing_of_theirs_counts(counted: Counted) -> None:
    await counted.spend(10, ahead=2)
    left = await counted.client.pttl(KEY)
    whole = counted.length * (SLICES + 2)
    assert whole - 60_000 < left <= whole, "what was counted ahead is in the window for so long"
