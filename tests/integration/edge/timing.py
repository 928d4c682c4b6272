"""Telling answers apart by their times, as somebody would who wants to know whether an address has an account."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import perf_counter

Ask = Callable[[], Awaitable[object]]


async def interleaved(asks: Mapping[str, Ask], times: int, *, seed: int) -> dict[str, list[float]]:
    """Seconds that each question takes, each asked so many times, all in one random order.

    What else the machine does meanwhile then falls on all alike, and so does the work that a question leaves behind: in
    rounds of one each, a question would never meet its own.
    """
    order = [name for name in asks for _ in range(times)]
    random.Random(seed).shuffle(order)
    seconds: dict[str, list[float]] = {name: [] for name in asks}
    for name in order:
        started = perf_counter()
        await asks[name]()
        seconds[name].append(perf_counter() - started)
    return seconds


def superiority(one: Sequence[float], other: Sequence[float]) -> float:
    """How often a time of `one` is longer than one of `other` (a tie is half): 0.5 tells nothing, 0 or 1 tells all.

    The Mann-Whitney U divided by the number of pairs, which Vargha and Delaney call A. It does not grow with the number
    of samples, as the evidence of a p-value would, and outliers of a busy machine count as any other sample.
    """
    longer = sum((a > b) + (a == b) / 2 for a in one for b in other)
    return longer / (len(one) * len(other))
