"""The measure by which tests tell times apart."""

from __future__ import annotations

import random

from tests.integration.edge.timing import interleaved, superiority


def test_times_of_one_kind_are_not_told_apart() -> None:
    chance = random.Random(1)
    one, other = ([chance.lognormvariate(0, 1) for _ in range(500)] for _ in range(2))
    assert abs(superiority(one, other) - 0.5) < 0.06


def test_what_is_always_slower_is_seen_through_any_noise_of_its_own_size() -> None:
    assert superiority([2, 3, 4], [1, 1, 1]) == 1
    assert superiority([1, 1, 1], [2, 3, 4]) == 0
    assert superiority([1, 2], [1, 2]) == 0.5
    chance = random.Random(1)
    one, other = ([chance.gauss(at, 1) for _ in range(500)] for at in (2, 0))
    assert superiority(one, other) > 0.9


async def test_every_question_is_asked_as_often_and_in_one_order_for_a_seed() -> None:
    heard: list[str] = []

    def ask(name: str):  # type: ignore[no-untyped-def]
        async def go() -> None:
            heard.append(name)

        return go

    first = await interleaved({"a": ask("a"), "b": ask("b")}, 30, seed=1, servers=frozenset())
    order, heard[:] = heard[:], []
    await interleaved({"a": ask("a"), "b": ask("b")}, 30, seed=1, servers=frozenset())
    assert {name: len(times.worked) for name, times in first.items()} == {"a": 30, "b": 30}
    assert {name: len(times.waited) for name, times in first.items()} == {"a": 30, "b": 30}
    assert order == heard
    assert order != sorted(order)
