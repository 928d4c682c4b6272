"""Outside calls of one batch: those of different keys go on at once, those of one key one after the other.

A provider that takes a second for each call would otherwise let one shard make one call a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from prog_broker.decoding import Incoming
from prog_broker.settled import Settled
from prog_kit.tasks import cancelled

AT_ONCE: Final = 4
"""Calls of one shard that are under way together. A topic's other shards make as many beside it."""


async def side_by_side(
    items: Sequence[Incoming],
    settle: Callable[[Incoming], Awaitable[Settled]],
    may_begin: Callable[[int], bool],
) -> Settled:
    """Settles the items, which are begun in their order; what `may_begin` does not admit, and all behind it, is `left`.

    `may_begin` is given the place of the next item. Raises what `settle` raises, but not before all that was begun has
    ended: a call that goes on is not taken back.
    """
    begun: list[asyncio.Task[Settled]] = []
    under_way: dict[str, asyncio.Task[Settled]] = {}
    settled = Settled()
    try:
        for place, item in enumerate(items):
            key = item.envelope.partition_key
            while key in under_way or len(under_way) >= AT_ONCE:
                under_way = await _until_one_ends(under_way)
            if any(_has_failed(task) for task in begun) or not may_begin(place):
                settled.left += items[place:]
                break
            under_way[key] = asyncio.ensure_future(settle(item))
            begun.append(under_way[key])
        if under_way:
            await asyncio.wait(under_way.values())
    finally:
        await cancelled(begun)
    for task in begun:
        settled.add(task.result())
    return settled


async def _until_one_ends(under_way: dict[str, asyncio.Task[Settled]]) -> dict[str, asyncio.Task[Settled]]:
    """Those that go on after it."""
    await asyncio.wait(under_way.values(), return_when=asyncio.FIRST_COMPLETED)
    return {key: task for key, task in under_way.items() if not task.done()}


def _has_failed(task: asyncio.Task[Settled]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
