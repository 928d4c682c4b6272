"""Outside calls of one batch: together where their keys differ, in order where they do not, and nothing half known."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from prog_broker.settled import Settled
from prog_broker.side_by_side import AT_ONCE, side_by_side

PATIENCE_SECONDS = 60


def item(key: str, name: str) -> Any:
    return SimpleNamespace(envelope=SimpleNamespace(partition_key=key), name=name)


@dataclass
class Provider:
    """Calls wait until they are let go."""

    begun: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    most_at_once: int = 0
    failing: frozenset[str] = frozenset()
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    allowed: set[str] = field(default_factory=set)

    async def settle(self, each: Any) -> Settled:
        self.begun.append(each.name)
        self.most_at_once = max(self.most_at_once, len(self.begun) - len(self.ended))
        async with self.changed:
            self.changed.notify_all()
            await self.changed.wait_for(lambda: each.name in self.allowed)
            self.ended.append(each.name)
            self.changed.notify_all()
        if each.name in self.failing:
            raise ConnectionError(each.name)
        return Settled(receipts=[each.name.encode()])

    async def until_begun(self, names: set[str]) -> None:
        async with self.changed:
            await asyncio.wait_for(self.changed.wait_for(lambda: names <= set(self.begun)), PATIENCE_SECONDS)

    async def until_ended(self, names: set[str]) -> None:
        async with self.changed:
            await asyncio.wait_for(self.changed.wait_for(lambda: names <= set(self.ended)), PATIENCE_SECONDS)

    async def let_go(self, *names: str) -> None:
        async with self.changed:
            self.allowed.update(names)
            self.changed.notify_all()


def begin(provider: Provider, items: Sequence[Any], admitted: int = 100) -> asyncio.Task[Settled]:
    return asyncio.create_task(side_by_side(items, provider.settle, lambda place: place < admitted))


async def end_of(work: asyncio.Task[Settled]) -> Settled:
    return await asyncio.wait_for(work, PATIENCE_SECONDS)


async def test_calls_of_different_keys_are_under_way_together() -> None:
    provider = Provider()
    work = begin(provider, [item("a", "a1"), item("b", "b1"), item("c", "c1")])
    await provider.until_begun({"a1", "b1", "c1"})
    await provider.let_go("c1", "b1", "a1")
    assert (await end_of(work)).receipts == [b"a1", b"b1", b"c1"]


async def test_a_call_waits_for_the_one_before_it_of_its_key() -> None:
    provider = Provider()
    work = begin(provider, [item("a", "a1"), item("b", "b1"), item("a", "a2"), item("c", "c1")])
    await provider.until_begun({"a1", "b1"})
    await provider.let_go("b1", "c1", "a2")
    await provider.until_ended({"b1"})
    assert "a2" not in provider.begun
    assert "c1" not in provider.begun, "what is left must be the end of the batch, so calls are begun in order"
    await provider.let_go("a1")
    await end_of(work)
    assert provider.begun == ["a1", "b1", "a2", "c1"]
    assert provider.ended.index("a1") < provider.begun.index("a2")


async def test_there_is_a_limit() -> None:
    provider = Provider()
    names = [f"{number}" for number in range(3 * AT_ONCE)]
    work = begin(provider, [item(name, name) for name in names])
    await provider.until_begun(set(names[:AT_ONCE]))
    await provider.let_go(*names)
    assert (await end_of(work)).receipts == [name.encode() for name in names]
    assert provider.most_at_once == AT_ONCE


async def test_what_may_not_begin_is_left_with_all_that_is_behind_it() -> None:
    provider = Provider()
    items = [item("a", "a1"), item("b", "b1"), item("c", "c1"), item("d", "d1")]
    work = begin(provider, items, admitted=2)
    await provider.until_begun({"a1", "b1"})
    await provider.let_go("a1", "b1")
    settled = await end_of(work)
    assert settled.receipts == [b"a1", b"b1"]
    assert settled.left == items[2:]
    assert provider.begun == ["a1", "b1"]


async def test_an_error_is_told_when_all_that_was_begun_has_ended_and_nothing_begins_after_it() -> None:
    provider = Provider(failing=frozenset({"b1"}))
    keys = "abcdefgh"
    assert len(keys) > AT_ONCE
    work = begin(provider, [item(key, f"{key}1") for key in keys])
    first = {f"{key}1" for key in keys[:AT_ONCE]}
    await provider.until_begun(first)
    await provider.let_go("b1")
    await provider.until_ended({"b1"})
    done, _ = await asyncio.wait([work], timeout=0)
    assert not done, "calls go on"
    await provider.let_go(*first)
    with pytest.raises(ConnectionError, match="b1"):
        await end_of(work)
    assert set(provider.begun) == first == set(provider.ended)


async def test_cancelling_ends_what_was_begun() -> None:
    provider = Provider()
    work = begin(provider, [item("a", "a1"), item("b", "b1")])
    await provider.until_begun({"a1", "b1"})
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await end_of(work)
    assert provider.ended == []
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
