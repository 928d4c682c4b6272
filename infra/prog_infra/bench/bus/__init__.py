"""The message core against the bare clients, and beside FastStream, dramatiq, taskiq and Celery, on one server.

All contestants carry the same event of 1 KB (`message`), on a Valkey that writes its append-only file every second and
a PostgreSQL with fsync on. Each works in a process of its own (`sides`): ours and the references on the same event loop
and with what was loaded kept out of the garbage collector, the peers as they are shipped. They take their rounds in
turns, after one to warm up, and are checked to have done all of the work (`contest`). A ratio is the median of the
rounds' ratios.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from prog_infra.bench import Length, Options, Result, machine
from prog_infra.errors import OperatorError

if TYPE_CHECKING:
    from prog_infra.bench.bus.contest import Contest, Figures

ROUNDS: Final[dict[Length, tuple[int, int]]] = {"short": (5, 10_000), "normal": (9, 20_000), "long": (21, 50_000)}
"""Rounds, and messages of each contestant in each."""


def run(options: Options) -> Result:
    """Holds the contests, or those that `options.only` names. Raises OperatorError when figures do not add up."""
    import uvloop  # not above: a contestant's process loads nothing that it does not use

    chosen = _chosen(options.only)
    rounds, messages = ROUNDS[options.length]
    figures = uvloop.run(_hold_all(chosen, rounds, messages, profile=options.profile))
    for each in figures:
        for name, profile in each.profiles.items():
            _say(_profile(name, profile))
    return Result(
        "bus",
        machine(),
        [row for each in figures for row in each.rows],
        [peer for each in figures for peer in each.peers],
    )


async def _hold_all(chosen: list[Contest], rounds: int, messages: int, *, profile: bool) -> list[Figures]:
    from prog_infra.bench.bus.contest import hold
    from prog_infra.bench.bus.stage import stage

    _say("starting PostgreSQL and Valkey")
    async with stage() as servers:
        return [await hold(servers, contest, rounds, messages, _say, profile=profile) for contest in chosen]


def _chosen(only: str | None) -> list[Contest]:
    from prog_infra.bench.bus.contests import contests

    everything = contests()
    chosen = [contest for contest in everything if only is None or only == contest.name]
    if not chosen:
        names = ", ".join(contest.name for contest in everything)
        raise OperatorError(f"there is no contest {only!r}", remedy=f"choose from {names}")
    return chosen


def _say(line: str) -> None:
    """Progress, where it does not disturb the object on standard output."""
    print(line, file=sys.stderr, flush=True)


def _profile(name: str, profile: dict[str, Any]) -> str:
    """Where the time of a side goes, as lines of text."""
    lines = [f"\n{name}: {profile['microseconds']} µs of processor a message, {profile['samples']} samples"]
    for title, kind in (("at work", "lines"), ("with all that it calls", "functions")):
        lines.append(f"  µs a message, {title}:")
        lines += [f"  {value:8.2f}  {place}" for place, value in profile[kind]]
    return "\n".join(lines)
