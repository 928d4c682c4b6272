from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prog_contracts.payments import FailureReason
from prog_workers.payments.rules.dunning import (
    Attempt,
    Failure,
    GiveUp,
    Keep,
    Step,
    Trigger,
    Wait,
    after_failure,
    is_hard,
    slot_dates,
)

DAY_0 = datetime(2027, 2, 28, 9, 30, tzinfo=UTC)
POLICY = (3, 5, 7, 7)
policies = st.lists(st.integers(1, 30), min_size=0, max_size=8)


def failure(
    day: float,
    slot: int,
    *,
    reason: FailureReason = "declined",
    trigger: Trigger = "dunning",
    pending: int | None = None,
) -> Failure:
    return Failure(
        reason=reason,
        trigger=trigger,
        slot=slot,
        at=DAY_0 + timedelta(days=day),
        first_failed_at=DAY_0 if day or slot else None,
        pending_at=None if pending is None else DAY_0 + timedelta(days=pending),
    )


def test_the_default_policy_charges_on_days_0_3_8_15_and_22() -> None:
    assert [(date - DAY_0).days for date in slot_dates(DAY_0, POLICY)] == [0, 3, 8, 15, 22]


def test_each_failed_slot_leads_to_the_next_and_the_last_to_the_end() -> None:
    steps: list[Step] = [after_failure(failure(0, 0, trigger="initial"), POLICY)]
    steps += [after_failure(failure(day, slot), POLICY) for slot, day in ((1, 3), (2, 8), (3, 15), (4, 22))]
    days = [(step.slot, (step.at - DAY_0).days) for step in steps if isinstance(step, Attempt)]
    assert days == [(1, 3), (2, 8), (3, 15), (4, 22)]
    assert steps[-1] == GiveUp()


def test_an_attempt_that_ran_late_does_not_move_the_later_ones() -> None:
    assert after_failure(failure(3.7, 1), POLICY) == Attempt(2, DAY_0 + timedelta(days=8))


@pytest.mark.parametrize("reason", ["lost_card", "requires_action"])
def test_a_hard_decline_schedules_no_attempt_and_ends_when_the_last_slot_would_be(reason: FailureReason) -> None:
    assert is_hard(reason)
    assert after_failure(failure(0, 0, reason=reason, trigger="initial"), POLICY) == Wait(DAY_0 + timedelta(days=22))
    assert after_failure(failure(8, 2, reason=reason), POLICY) == Wait(DAY_0 + timedelta(days=22))


@pytest.mark.parametrize("trigger", ["manual", "new_card"])
def test_an_attempt_out_of_turn_uses_up_no_slot(trigger: Trigger) -> None:
    assert after_failure(failure(5, 1, trigger=trigger, pending=8), POLICY) == Keep()


def test_a_new_card_that_is_declined_softly_brings_back_the_slots_still_to_come() -> None:
    assert after_failure(failure(9, 0, trigger="new_card"), POLICY) == Attempt(3, DAY_0 + timedelta(days=15))


def test_a_new_card_that_is_declined_for_good_ends_the_automatic_attempts() -> None:
    lost = failure(5, 1, trigger="new_card", reason="lost_card", pending=8)
    assert after_failure(lost, POLICY) == Wait(DAY_0 + timedelta(days=22))


def test_a_policy_without_retries_gives_up_at_once() -> None:
    assert after_failure(failure(0, 0, trigger="initial"), ()) == GiveUp()


@given(policies)
def test_every_policy_ends_after_one_attempt_a_slot(policy: list[int]) -> None:
    step: Step = after_failure(failure(0, 0, trigger="initial"), policy)
    slots = [0]
    while isinstance(step, Attempt):
        assert step.at == slot_dates(DAY_0, policy)[step.slot]
        slots.append(step.slot)
        step = after_failure(
            Failure(reason="declined", trigger="dunning", slot=step.slot, at=step.at, first_failed_at=DAY_0), policy
        )
    assert step == GiveUp()
    assert slots == list(range(len(policy) + 1))


@given(policies, st.floats(0, 250), st.integers(0, 8), st.sampled_from(("manual", "new_card", "dunning")))
def test_no_attempt_is_ever_scheduled_in_the_past_by_an_attempt_out_of_turn(
    policy: list[int], day: float, slot: int, trigger: Trigger
) -> None:
    failed = failure(day, min(slot, len(policy)), trigger=trigger)
    step = after_failure(failed, policy)
    if isinstance(step, Attempt) and trigger != "dunning":
        assert step.at > failed.at
    if isinstance(step, Attempt):
        assert step.slot > failed.slot
    if isinstance(step, Wait):
        assert step.until > failed.at
