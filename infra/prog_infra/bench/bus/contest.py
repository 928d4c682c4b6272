"""Rounds in turns: every contestant of a contest works off as many messages, one after the other, and again.

What a contestant says that it did is not believed: the judge counts what lies on the streams, what was acknowledged and
what stands in the database, and adds up the numbers.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Final, Protocol

from prog_infra.bench import Peer, Row
from prog_infra.bench.bus import message
from prog_infra.bench.bus.side import Tally
from prog_infra.bench.bus.stage import Stage, must
from prog_infra.bench.figures import median, percentile, row_of_rates, row_of_times
from prog_infra.errors import OperatorError
from prog_infra.servers.process import Launch

PATIENCE_SECONDS: Final = 120.0
STOP_SECONDS: Final = 30.0
WARM_UP: Final = 1
"""Rounds before those that count."""
UNIT: Final = "messages/s"

Step = Callable[[Stage, int], Awaitable[None]]


class Contestant(Protocol):
    """One side of a contest. `round` prepares, measures, checks and clears away."""

    name: str
    version: str
    share: float

    async def open(self, stage: Stage) -> None: ...

    async def round(self, stage: Stage, messages: int) -> Tally: ...

    async def close(self) -> None: ...


@dataclass(eq=False)
class Process:
    """A contestant of `prog_infra.bench.bus.sides` in a process of its own, which lives through all rounds."""

    side: str
    name: str
    fill: Step
    check: Step
    version: str = version("redis")
    share: float = 1.0
    """Of the messages of a round: for those that would take too long."""

    profile: dict[str, Any] | None = None
    _child: asyncio.subprocess.Process | None = field(default=None, init=False)
    _log: Any = field(default=None, init=False)

    async def open(self, stage: Stage) -> None:
        self._log = stage.folder / f"{self.side}-{id(self)}.log"
        with self._log.open("wb") as log:
            self._child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "prog_infra.bench.bus.sides", self.side,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log,
                env=self.environment(stage), limit=2**24,
                preexec_fn=Launch((), {}, death_signal=signal.SIGKILL).before_exec(),
            )  # fmt: skip
        await self._answer()

    def environment(self, stage: Stage) -> dict[str, str]:
        """The variables of its process."""
        return stage.environment(PROG_PROCESS_NAME=f"bench-{self.side}")

    async def prepare(self, stage: Stage, messages: int) -> None:
        """Has it ready to go, with the work before it."""
        await self.order("arm", messages)
        await self.fill(stage, messages)

    async def round(self, stage: Stage, messages: int, *, order: str = "run") -> Tally:
        await self.prepare(stage, messages)
        answer = await self.order(order, messages)
        self.profile = answer.pop("profile", None)
        tally = Tally(**answer)
        must(tally.messages == messages, f"{self.name} handled {tally.messages} of {messages} messages")
        must(tally.checksum == message.checksum(messages), f"{self.name} handled some twice and others never")
        await self.check(stage, messages)
        return tally

    async def close(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        assert child.stdin is not None
        with suppress(BrokenPipeError, ConnectionResetError):
            child.stdin.close()
        try:
            await asyncio.wait_for(child.wait(), STOP_SECONDS)
        except TimeoutError:
            child.kill()
            await child.wait()

    async def kill(self) -> None:
        """Without a word, as a machine dies."""
        if self._child is not None and self._child.returncode is None:
            self._child.kill()
        await self.close()

    async def order(self, do: str, messages: int) -> dict[str, Any]:
        assert self._child is not None
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps({"do": do, "messages": messages}).encode() + b"\n")
        return await self._answer()

    async def _answer(self) -> dict[str, Any]:
        assert self._child is not None
        assert self._child.stdout is not None
        try:
            line = await asyncio.wait_for(self._child.stdout.readline(), PATIENCE_SECONDS)
        except TimeoutError:
            line = b""
        if not line:
            await self.close()
            said = self._log.read_text(encoding="utf-8", errors="replace")[-3000:].strip()
            raise OperatorError(f"{self.name} does not come to an end\n{said}", remedy="see what it said")
        answer: dict[str, Any] = json.loads(line)
        return answer


@dataclass(frozen=True)
class Comparison:
    """A row: which two of the contestants, and what their ratio must be."""

    path: str
    ours: Contestant
    reference: Contestant
    at_least: float
    aim: float
    percentile: float | None = None
    """For a row of times instead of rates: which of each round's."""


@dataclass(frozen=True)
class Contest:
    """`peers` are shown with their rate; those that are a comparison's reference too."""

    name: str
    comparisons: Sequence[Comparison]
    peers: Sequence[Contestant] = ()
    setting: Callable[[Stage], AbstractAsyncContextManager[Stage]] = nullcontext
    """What has to be put on the stage for it."""
    times_as_long: int = 1
    """How many times as many messages a round has as those of others: for sides whose rates vary much."""

    def contestants(self) -> list[Contestant]:
        sides = [side for each in self.comparisons for side in (each.ours, each.reference)]
        return list(dict.fromkeys([*sides, *self.peers]))


@dataclass(frozen=True)
class Figures:
    rows: list[Row]
    peers: list[Peer]
    profiles: dict[str, dict[str, Any]] = field(default_factory=dict)


async def hold(
    stage: Stage, contest: Contest, rounds: int, messages: int, told: Callable[[str], None], *, profile: bool = False
) -> Figures:
    """Holds a contest: a round to warm up, then `rounds` in turns. Raises OperatorError when one does not add up."""
    async with contest.setting(stage) as furnished:
        return await _hold(furnished, contest, rounds, messages, told, profile=profile)


async def _hold(
    stage: Stage, contest: Contest, rounds: int, messages: int, told: Callable[[str], None], *, profile: bool
) -> Figures:
    sides, messages = contest.contestants(), messages * contest.times_as_long
    tallies: dict[Contestant, list[Tally]] = {side: [] for side in sides}
    profiles: dict[str, dict[str, Any]] = {}
    await stage.tidy()
    try:
        for side in sides:
            await side.open(stage)
        for number in range(-WARM_UP, rounds):
            for side in sides:
                tally = await side.round(stage, _share(messages, side))
                if number >= 0:
                    tallies[side].append(tally)
        if profile:
            for side in sides:
                if isinstance(side, Process) and side.name.startswith("ours"):
                    await side.round(stage, messages * 2, order="profile")
                    profiles[f"{contest.name}: {side.name}"] = side.profile or {}
    finally:
        for side in sides:
            await side.close()
    for side in sides:
        told(f"{contest.name}: {side.name} {_told(tallies[side])}")
    return Figures(_rows(contest, tallies), _peers(contest, tallies), profiles)


def _rows(contest: Contest, tallies: dict[Contestant, list[Tally]]) -> list[Row]:
    return [_row(each, tallies[each.ours], tallies[each.reference]) for each in contest.comparisons]


def _row(each: Comparison, ours: list[Tally], reference: list[Tally]) -> Row:
    probability = each.percentile
    if probability is not None:
        mine = [percentile(tally.milliseconds, probability) for tally in ours]
        theirs = [percentile(tally.milliseconds, probability) for tally in reference]
        return row_of_times(each.path, mine, theirs, unit="ms", at_least=each.at_least, aim=each.aim)
    mine, theirs = [tally.rate for tally in ours], [tally.rate for tally in reference]
    return row_of_rates(each.path, mine, theirs, unit=UNIT, at_least=each.at_least, aim=each.aim)


def _peers(contest: Contest, tallies: dict[Contestant, list[Tally]]) -> list[Peer]:
    paths = dict.fromkeys(contest.peers, contest.comparisons[0].path)
    paths |= {each.reference: each.path for each in contest.comparisons}
    return [
        Peer(side.name, side.version, paths[side], round(median([tally.rate for tally in tallies[side]])), UNIT)
        for side in contest.peers
    ]


def _told(tallies: list[Tally]) -> str:
    rate = median([tally.rate for tally in tallies])
    cpu = median([tally.cpu_seconds / tally.messages * 1e6 for tally in tallies])
    return f"{rate:,.0f}/s" + (f", {cpu:.1f} µs of processor a message" if cpu else "")


def _share(messages: int, side: Contestant) -> int:
    return max(1, round(messages * side.share))
