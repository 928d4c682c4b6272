"""The fault rig's checker: it finds what was lost, doubled and reordered, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.faults.rig.ledger import COMMANDS, EVENTS, Applied, Effect, Ledgers, Sent, check

KEY = "producer-1.0"


def sent(*sequences: int, group: str = COMMANDS, behaviour: str = "plain", accepted: bool = True) -> tuple[Sent, ...]:
    return tuple(
        Sent(f"id {sequence}", Effect(group, KEY, sequence), behaviour, at=float(sequence), accepted=accepted)
        for sequence in sequences
    )


def applied(*sequences: int, group: str = COMMANDS, first: int = 1) -> tuple[Applied, ...]:
    return tuple(
        Applied(position, Effect(group, KEY, sequence), "worker-1", f"{group}/shard", at=float(position))
        for position, sequence in enumerate(sequences, start=first)
    )


def of_events(*sequences: int, applied_as: tuple[int, ...]) -> Ledgers:
    """Messages of one key that are appended events, and the order in which they were applied."""
    return Ledgers(sent=sent(*sequences, group=EVENTS), applied=applied(*applied_as, group=EVENTS))


def of_commands(*sequences: int) -> Ledgers:
    """Commands that were all applied once and in order, in both groups."""
    return Ledgers(sent=sent(*sequences), applied=(*applied(*sequences), *applied(*sequences, group=EVENTS, first=100)))


def test_what_was_applied_once_and_in_order_is_good() -> None:
    verdict = check(of_commands(1, 2, 3))
    assert verdict.ok, verdict


def test_a_lost_message_is_named() -> None:
    verdict = check(of_events(1, 2, 3, applied_as=(1, 3)))
    assert verdict.lost == [f"payments {KEY} #2: accepted and never handled (id id 2)"]
    assert not verdict.duplicated
    assert not verdict.reordered
    assert not verdict.ok


def test_what_was_never_accepted_may_be_missing_but_not_doubled() -> None:
    unsure = Ledgers(sent=sent(1, group=EVENTS, accepted=False))
    assert check(unsure).ok
    assert check(replace(unsure, applied=applied(1, group=EVENTS))).ok
    assert len(check(replace(unsure, applied=applied(1, 1, group=EVENTS))).duplicated) == 1


def test_a_doubled_message_is_named_and_is_not_out_of_order() -> None:
    verdict = check(of_events(1, 2, 3, applied_as=(1, 2, 3, 2)))
    assert verdict.duplicated == [f"payments {KEY} #2: applied 2 times"]
    assert not verdict.lost
    assert not verdict.reordered
    assert not verdict.ok


def test_a_reordered_message_is_named() -> None:
    verdict = check(of_events(1, 2, 3, applied_as=(1, 3, 2)))
    assert verdict.reordered == [f"payments {KEY} #2: applied after #3, by worker-1"]
    assert not verdict.lost
    assert not verdict.duplicated
    assert not verdict.ok


def test_the_order_is_that_of_the_ledger_whatever_the_rows_come_in() -> None:
    ledgers = of_events(1, 2, 3, applied_as=(1, 2, 3))
    assert check(replace(ledgers, applied=ledgers.applied[::-1])).ok


def test_keys_and_groups_have_an_order_of_their_own() -> None:
    others = tuple(replace(row, effect=row.effect._replace(key="other")) for row in applied(1, first=50))
    ledgers = of_commands(1, 2)
    ledgers = replace(
        ledgers,
        sent=(*ledgers.sent, Sent("other id", Effect(COMMANDS, "other", 1), "plain", 0.0)),
        applied=(
            *ledgers.applied,
            *others,
            *(replace(row, position=200, effect=row.effect._replace(group=EVENTS)) for row in others),
        ),
    )
    assert check(ledgers).ok


def test_the_event_of_an_applied_command_must_arrive() -> None:
    verdict = check(replace(of_commands(1), applied=applied(1)))
    assert verdict.lost == [f"payments {KEY} #1: the event of an applied command never came"]


def test_the_event_of_a_command_that_was_not_applied_is_told() -> None:
    verdict = check(replace(of_commands(1), applied=applied(1, group=EVENTS)))
    assert f"payments {KEY} #1: the event of a command that was not applied" in verdict.unknown


@pytest.mark.parametrize("end", ["dead", "refused"])
def test_a_dead_letter_and_a_refusal_are_ends(end: str) -> None:
    ended = frozenset({Effect(COMMANDS, KEY, 1)})
    ledgers = Ledgers(sent=sent(1, behaviour="defect" if end == "dead" else "refused"))
    good = replace(ledgers, dead=ended) if end == "dead" else replace(ledgers, refused=ended)
    assert check(good).ok
    assert len(check(ledgers).lost) == 1
    both = replace(good, applied=(*applied(1), *applied(1, group=EVENTS, first=9)))
    assert any("and" in entry for entry in check(both).duplicated), "two ends are one too many"


def test_a_dead_letter_that_nobody_meant_is_told() -> None:
    verdict = check(Ledgers(sent=sent(1), dead=frozenset({Effect(COMMANDS, KEY, 1)})))
    assert not verdict.lost
    assert verdict.died == [f"tenants {KEY} #1: a dead letter that nobody meant"]
    assert not verdict.ok


def test_an_effect_that_nobody_sent_is_told() -> None:
    verdict = check(Ledgers(applied=applied(7, group=EVENTS)))
    assert verdict.unknown == [f"payments {KEY} #7: nobody sent it"]
    assert not verdict.ok


def test_the_provider_does_each_thing_once() -> None:
    charged = replace(of_commands(1), sent=sent(1, behaviour="charge"))
    effect = Effect(COMMANDS, KEY, 1)
    assert check(replace(charged, executed=(effect,))).ok
    assert check(replace(charged, executed=(effect, effect))).duplicated == [f"{effect}: the provider did it 2 times"]
    assert check(charged).lost == [f"{effect}: recorded as done outside, and the provider never did it"]
    done_alone = Ledgers(sent=sent(1, behaviour="charge"), executed=(effect,))
    assert f"{effect}: the provider did it, and no outcome was recorded" in check(done_alone).lost
    assert check(Ledgers(executed=(effect,))).unknown == [f"{effect}: the provider did what nobody sent"]
