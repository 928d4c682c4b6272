"""Contestants of several processes: workers that share the shards, and a server beside the one who asks it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from importlib.metadata import version

from prog_infra.bench.bus import message
from prog_infra.bench.bus.contest import Comparison, Contest, Process
from prog_infra.bench.bus.side import Tally
from prog_infra.bench.bus.sides import asking, sharing
from prog_infra.bench.bus.stage import Stage, must

STREAMS = [message.TOPIC.stream(partition) for partition in range(message.TOPIC.partitions)]


async def _nothing(stage: Stage, messages: int) -> None:
    """Several fill and check together."""


@dataclass(eq=False)
class Crowd:
    """`count` processes that work off all partitions of a topic together, on no core in particular.

    The clock runs from the moment when all are told to begin until the last one is done.
    """

    name: str
    side: str
    count: int
    version: str = version("prognetwork")
    share: float = 1.0
    _members: list[Process] = field(default_factory=list, init=False)

    async def open(self, stage: Stage) -> None:
        self._members = [
            Process(self.side, f"{self.name}, number {number + 1}", _nothing, _nothing) for number in range(self.count)
        ]
        await asyncio.gather(*(member.open(stage) for member in self._members))

    async def round(self, stage: Stage, messages: int) -> Tally:
        await asyncio.gather(*(member.order("arm", messages) for member in self._members))
        for partition, stream in enumerate(STREAMS):
            await stage.fill(stream, message.envelopes(messages // len(STREAMS), [partition]))
        tallies = [Tally(**each) for each in await asyncio.gather(*(m.order("run", messages) for m in self._members))]
        handled = sum(tally.messages for tally in tallies)
        expected = len(STREAMS) * message.checksum(messages // len(STREAMS))
        must(sum(tally.checksum for tally in tallies) == expected, f"{self.name} handled some twice and others never")
        for stream in STREAMS:
            must(await stage.is_settled(stream, sharing.GROUP), "not everything is acknowledged")
        await stage.empty(STREAMS)
        cpu = sum(tally.cpu_seconds for tally in tallies)
        return Tally(handled, expected, max(tally.seconds for tally in tallies), cpu)

    async def close(self) -> None:
        await asyncio.gather(*(member.close() for member in self._members))


@dataclass(eq=False)
class Dialogue(Process):
    """One who asks, and a process that answers; the time is that of each question."""

    server: str = ""
    share: float = 0.05
    _answering: Process | None = field(default=None, init=False)

    async def open(self, stage: Stage) -> None:
        self._answering = Process(self.server, f"{self.name}, answering", _nothing, _nothing)
        await self._answering.open(stage)
        await super().open(stage)

    async def close(self) -> None:
        await super().close()
        if self._answering is not None:
            await self._answering.close()


def contests() -> list[Contest]:
    """Scaling and round trips."""
    two = Crowd("ours, two processes", "share-half", 2)
    one = Crowd("ours, one process", "share-alone", 1)
    ours = Dialogue("ask-ours", "ours", _nothing, _asked, version("prognetwork"), server="answer-ours")
    bare = Dialogue("ask-bare", "redis-py, the same round by hand", _nothing, _asked, server="answer-bare")
    return [
        Contest("scaling", [Comparison("scaling from 1 to 2 workers", two, one, 1.6, 1.8)]),
        Contest(
            "asking",
            [
                Comparison("a command to its handler and back, p50", ours, bare, 0.4, 0.7, percentile=0.5),
                Comparison("a command to its handler and back, p99", ours, bare, 0.2, 0.5, percentile=0.99),
            ],
        ),
    ]


async def _asked(stage: Stage, messages: int) -> None:
    await stage.empty([asking.BARE_STREAM, *(asking.TOPIC.stream(n) for n in range(asking.TOPIC.partitions))])
