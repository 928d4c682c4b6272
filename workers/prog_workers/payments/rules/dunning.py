"""What follows a failed charge of a renewal.

A policy lists the days from each automatic attempt to the next. With 3, 5, 7, 7 the attempts are on days 0, 3, 8, 15
and 22 after the first failure; slot 0 is the first charge. When the last slot fails the subscription ends.

Two kinds of attempts use up no slot: the customer pressing "pay", and a new card. A hard decline means that this card
will never work, so no attempt is scheduled with it; the subscription still ends when the last slot would have been.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Final, Literal

from prog_contracts.payments import FailureReason

Trigger = Literal["initial", "dunning", "new_card", "manual"]
SLOT_TRIGGERS: Final[frozenset[Trigger]] = frozenset({"initial", "dunning"})

HARD_DECLINES: Final[frozenset[FailureReason]] = frozenset({"lost_card", "requires_action"})
"""Trying again without the customer cannot succeed. After Stripe's list of declines that are never retried
(docs.stripe.com/billing/revenue-recovery/smart-retries); an expired card is not on it, as networks renew cards."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A charge that failed at `at`. `slot` is the invoice's last automatic attempt, this one where it is one.

    `first_failed_at` is day 0, None when this is the first failure. `pending_at` is the automatic attempt that is
    scheduled already, None when there is none.
    """

    reason: FailureReason
    trigger: Trigger
    slot: int
    at: datetime
    first_failed_at: datetime | None = None
    pending_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """Charge again at `at`, as slot number `slot`."""

    slot: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Wait:
    """Charge no more by ourselves; the subscription ends at `until` unless it is paid before."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Keep:
    """What is scheduled already stays."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The subscription ends now."""


Step = Attempt | Wait | Keep | GiveUp


def is_hard(reason: FailureReason) -> bool:
    """Whether the card will never work without the customer."""
    return reason in HARD_DECLINES


def slot_dates(first_failed_at: datetime, retry_after_days: Sequence[int]) -> list[datetime]:
    """When each slot is due; slot 0 is `first_failed_at` itself."""
    return [first_failed_at + timedelta(days=days) for days in accumulate(retry_after_days, initial=0)]


def after_failure(failure: Failure, retry_after_days: Sequence[int]) -> Step:
    """What follows `failure` under a policy."""
    dates = slot_dates(failure.first_failed_at or failure.at, retry_after_days)
    last = len(dates) - 1
    uses_slot = failure.trigger in SLOT_TRIGGERS
    if uses_slot and failure.slot >= last:
        return GiveUp()
    if is_hard(failure.reason):
        return Wait(dates[last]) if failure.at < dates[last] else GiveUp()
    if uses_slot:
        return Attempt(failure.slot + 1, dates[failure.slot + 1])
    return _resume(failure, dates)


def _resume(failure: Failure, dates: Sequence[datetime]) -> Step:
    """After an attempt out of turn: what was scheduled stays; after a hard decline the slots still to come return."""
    if failure.pending_at is not None:
        return Keep()
    for slot, at in enumerate(dates):
        if slot > failure.slot and at > failure.at:
            return Attempt(slot, at)
    return GiveUp()
