"""What the ledgers say: lost, applied twice, out of order. Pure, so that the checker itself can be tested.

An *effect* is one message taken in by one consumer group, named by group, key and sequence: a producer numbers the
messages of each of its keys from 1. A command has an effect in the group `tenants`, and what it causes there one in
`payments`; an appended event has one in `payments` alone.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Final, NamedTuple

COMMANDS: Final = "tenants"
"""The group that handles the producers' commands."""
EVENTS: Final = "payments"
"""The group that handles the appended events, and what the commands cause."""


class Effect(NamedTuple):
    """One message in one consumer group."""

    group: str
    key: str
    sequence: int

    def __str__(self) -> str:
        return f"{self.group} {self.key} #{self.sequence}"


@dataclass(frozen=True, slots=True)
class Sent:
    """One message that its producer noted before sending it. `accepted` once the platform promised to handle it."""

    id: str
    effect: Effect
    behaviour: str
    at: float
    accepted: bool = True

    @property
    def calls_outside(self) -> bool:
        return self.behaviour == "charge"


@dataclass(frozen=True, slots=True)
class Applied:
    """One row of the ledger table, written in the transaction of the effect. `position` is the order of writing."""

    position: int
    effect: Effect
    worker: str
    shard: str
    at: float


@dataclass(frozen=True, slots=True)
class Ledgers:
    """Everything that was noted in a run."""

    sent: tuple[Sent, ...] = ()
    applied: tuple[Applied, ...] = ()
    dead: frozenset[Effect] = frozenset()
    """Dead letters that were not redriven."""
    refused: frozenset[Effect] = frozenset()
    """Commands whose answer was a refusal: settled, without effect."""
    executed: tuple[Effect, ...] = ()
    """What the provider did, one entry each time it did it."""


@dataclass(slots=True)
class Verdict:
    """What the check found; each entry tells what happened to which message."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    reordered: list[str] = field(default_factory=list)
    died: list[str] = field(default_factory=list)
    """Dead letters of messages that were not meant to fail."""
    unknown: list[str] = field(default_factory=list)
    """Effects that nobody sent."""

    @property
    def ok(self) -> bool:
        return not (self.lost or self.duplicated or self.reordered or self.died or self.unknown)


def check(ledgers: Ledgers) -> Verdict:
    """Compares what was sent with what came of it."""
    verdict = Verdict()
    applied = Counter(row.effect for row in ledgers.applied)
    sent = {each.effect: each for each in ledgers.sent}
    _check_settled(ledgers, sent, applied, verdict)
    _check_caused(ledgers, sent, applied, verdict)
    _check_outside(ledgers, sent, applied, verdict)
    verdict.duplicated += [f"{effect}: applied {count} times" for effect, count in applied.items() if count > 1]
    verdict.reordered += out_of_order(ledgers.applied)
    verdict.died += [
        f"{effect}: a dead letter that nobody meant"
        for effect in sorted(ledgers.dead)
        if (source := _source(effect, sent)) is not None and source.behaviour != "defect"
    ]
    verdict.unknown += [f"{effect}: nobody sent it" for effect in applied if _source(effect, sent) is None]
    return verdict


def out_of_order(applied: Iterable[Applied]) -> list[str]:
    """Effects that came, for the first time, after a later one of their key and group."""
    found = []
    by_key = defaultdict(list)
    for row in applied:
        by_key[row.effect.group, row.effect.key].append(row)
    for rows in by_key.values():
        highest, seen = 0, set[int]()
        for row in sorted(rows, key=attrgetter("position")):
            sequence = row.effect.sequence
            if sequence in seen:
                continue
            seen.add(sequence)
            if sequence < highest:
                found.append(f"{row.effect}: applied after #{highest}, by {row.worker}")
            highest = max(highest, sequence)
    return found


def _check_settled(
    ledgers: Ledgers, sent: Mapping[Effect, Sent], applied: Mapping[Effect, int], verdict: Verdict
) -> None:
    """Each accepted message has one end: applied, refused, or a dead letter."""
    for effect, message in sent.items():
        ends = [
            name
            for name, holds in (
                ("applied", applied.get(effect, 0) > 0),
                ("a dead letter", effect in ledgers.dead),
                ("refused", effect in ledgers.refused),
            )
            if holds
        ]
        if not ends and message.accepted:
            verdict.lost.append(f"{effect}: accepted and never handled (id {message.id})")
        if len(ends) > 1:
            verdict.duplicated.append(f"{effect}: {' and '.join(ends)} (id {message.id})")


def _check_caused(
    ledgers: Ledgers, sent: Mapping[Effect, Sent], applied: Mapping[Effect, int], verdict: Verdict
) -> None:
    """What a command caused reached the second group, and only what a command caused."""
    for effect in sent:
        if effect.group != COMMANDS:
            continue
        caused = effect._replace(group=EVENTS)
        if effect in applied and caused not in applied and caused not in ledgers.dead:
            verdict.lost.append(f"{caused}: the event of an applied command never came")
        if effect not in applied and caused in applied:
            verdict.unknown.append(f"{caused}: the event of a command that was not applied")


def _check_outside(
    ledgers: Ledgers, sent: Mapping[Effect, Sent], applied: Mapping[Effect, int], verdict: Verdict
) -> None:
    """The provider did each thing once, and everything that was recorded as done."""
    done = Counter(ledgers.executed)
    verdict.duplicated += [
        f"{effect}: the provider did it {count} times" for effect, count in done.items() if count > 1
    ]
    verdict.lost += [
        f"{effect}: recorded as done outside, and the provider never did it"
        for effect, message in sent.items()
        if message.calls_outside and effect in applied and effect not in done
    ]
    verdict.lost += [
        f"{effect}: the provider did it, and no outcome was recorded"
        for effect in done
        if effect not in applied and (effect in sent and sent[effect].accepted)
    ]
    verdict.unknown += [f"{effect}: the provider did what nobody sent" for effect in done if effect not in sent]


def _source(effect: Effect, sent: Mapping[Effect, Sent]) -> Sent | None:
    """The message that a producer sent for this effect: itself, or the command that caused it."""
    return sent.get(effect) or sent.get(effect._replace(group=COMMANDS))


def counted(entries: Iterable[str]) -> dict[str, int]:
    """How often each came, by name."""
    return {name: len(list(group)) for name, group in groupby(sorted(entries))}
