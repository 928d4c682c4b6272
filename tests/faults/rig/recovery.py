"""How long it took until work went on after a fault. Pure; times are of one machine's clock, in seconds.

The recovery of a shard from a fault is the time from the moment when nothing external hinders it any more (the end of
a pause, a cut or an outage; for a kill, the kill itself, for replacing the dead is the platform's own work) until the
next message is applied on this shard. Time in which the shard had nothing to do does not count: it begins at the
earliest when that next message was sent, or, for what a command caused, when the command was applied. When another
fault begins before the shard has recovered, its recovery counts from that one's end.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.faults.rig.ledger import COMMANDS, EVENTS, Applied, Effect, Sent


@dataclass(frozen=True, slots=True)
class Outage:
    """One fault: from when it held, and from when the platform was free to recover."""

    kind: str
    target: str
    began_at: float
    healed_at: float


@dataclass(frozen=True, slots=True)
class Recovery:
    """The time until one shard went on after one fault."""

    seconds: float
    outage: Outage
    shard: str


def longest_recovery(outages: Sequence[Outage], applied: Iterable[Applied], sent: Iterable[Sent]) -> Recovery | None:
    """The longest recovery of any shard from any fault; None when nothing was applied after one."""
    longest: Recovery | None = None
    for shard, steps in _steps(applied, sent).items():
        moments = [moment for moment, _ in steps]
        for outage in outages:
            place = bisect_right(moments, outage.healed_at)
            if place == len(steps):
                continue
            moment, ready_at = steps[place]
            if any(outage.healed_at < other.began_at < moment or _holds(other, outage.healed_at) for other in outages):
                continue
            seconds = moment - max(outage.healed_at, ready_at)
            if longest is None or seconds > longest.seconds:
                longest = Recovery(seconds, outage, shard)
    return longest


def _holds(other: Outage, moment: float) -> bool:
    return other.began_at <= moment < other.healed_at


def _steps(applied: Iterable[Applied], sent: Iterable[Sent]) -> dict[str, list[tuple[float, float]]]:
    """For each shard, in time: when a message was applied, and since when it could have been."""
    rows = list(applied)
    ready: dict[Effect, float] = {each.effect: each.at for each in sent}
    for row in rows:
        if row.effect.group == COMMANDS:
            ready.setdefault(row.effect._replace(group=EVENTS), row.at)
    steps = defaultdict(list)
    for row in rows:
        steps[row.shard].append((row.at, ready.get(row.effect, row.at)))
    return {shard: sorted(moments) for shard, moments in steps.items()}
