"""Telling answers apart by their times, as somebody would who wants to know whether an address has an account."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Final

import psutil

Ask = Callable[[], Awaitable[object]]

SERVERS: Final = frozenset({"postgres", "valkey-server"})


@dataclass
class Times:
    """What a question has taken each time, in seconds: by the clock, and of processors."""

    waited: list[float] = field(default_factory=list)
    worked: list[float] = field(default_factory=list)


class Work:
    """How long this process and its servers have had a processor: the time of an answer without that for which it waits
    until others have had theirs, which on a busy machine is most of it."""

    def __init__(self, servers: frozenset[str]) -> None:
        mine = psutil.Process().children()
        self._servers = [child for child in mine if child.name() in servers]
        assert {server.name() for server in self._servers} == servers, "what they take would be seen by nobody"

    def seconds(self) -> float:
        """Since some moment."""
        return time.process_time() + sum(_had(process) for server in self._servers for process in _and_children(server))


def _and_children(server: psutil.Process) -> list[int]:
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text(encoding="ascii")
    return [server.pid, *map(int, children.split())]


def _had(process: int) -> float:
    with suppress(OSError):  # a connection that has ended
        return int(Path(f"/proc/{process}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9
    return 0.0


async def interleaved(
    asks: Mapping[str, Ask], times: int, *, seed: int, servers: frozenset[str] = SERVERS
) -> dict[str, Times]:
    """What each question takes, each asked so many times, all in one random order.

    What else the machine does meanwhile then falls on all alike, and so does the work that a question leaves behind: in
    rounds of one each, a question would never meet its own.
    """
    order = [name for name in asks for _ in range(times)]
    random.Random(seed).shuffle(order)
    found = {name: Times() for name in asks}
    work = Work(servers)
    for name in order:
        worked, started = work.seconds(), perf_counter()
        await asks[name]()
        found[name].waited.append(perf_counter() - started)
        found[name].worked.append(work.seconds() - worked)
    return found


def superiority(one: Sequence[float], other: Sequence[float]) -> float:
    """How often a time of `one` is longer than one of `other` (a tie is half): 0.5 tells nothing, 0 or 1 tells all.

    The Mann-Whitney U divided by the number of pairs, which Vargha and Delaney call A. It does not grow with the number
    of samples, as the evidence of a p-value would, and outliers of a busy machine count as any other sample.
    """
    longer = sum((a > b) + (a == b) / 2 for a in one for b in other)
    return longer / (len(one) * len(other))
