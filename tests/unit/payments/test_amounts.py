from __future__ import annotations

from fractions import Fraction
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prog_contracts.money import Money
from prog_contracts.payments import Interval
from prog_workers.payments.rules import postings
from prog_workers.payments.rules.amounts import line_amount_minor, monthly_minor, rounded
from prog_workers.payments.rules.charging import idempotency_key

amounts = st.integers(0, 10**12)
intervals = st.sampled_from(("day", "week", "month", "year"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1/2", 1), ("-1/2", -1), ("3/2", 2), ("5/2", 3), ("-5/2", -3), ("1/3", 0), ("2/3", 1), ("-2/3", -1), ("7", 7)],
)
def test_a_half_is_rounded_away_from_zero(value: str, expected: int) -> None:
    assert rounded(Fraction(value)) == expected


@given(st.fractions(max_denominator=10**6))
def test_rounding_is_off_by_half_a_unit_at_most_and_has_no_side(value: Fraction) -> None:
    assert abs(rounded(value) - value) <= Fraction(1, 2)
    assert rounded(-value) == -rounded(value)


def test_a_flat_price_ignores_the_quantity_and_a_price_per_unit_multiplies_it() -> None:
    assert line_amount_minor("flat", 2900, 7) == 2900
    assert line_amount_minor("per_unit", 700, 12) == 8400


def test_a_yearly_price_counts_a_twelfth_a_month() -> None:
    assert monthly_minor([(120_000, "year", 1)]) == 10_000
    assert monthly_minor([(2900, "month", 1), (8700, "month", 3), (120_000, "year", 1)]) == 15_800


def test_monthly_revenue_is_rounded_once_for_the_sum() -> None:
    assert monthly_minor([(100, "month", 3)] * 3) == 100


@given(amounts, st.integers(1, 12), intervals)
def test_revenue_of_two_equal_subscriptions_is_twice_that_of_one_within_a_unit(
    amount: int, count: int, interval: Interval
) -> None:
    one = monthly_minor([(amount, interval, count)])
    assert abs(monthly_minor([(amount, interval, count)] * 2) - 2 * one) <= 1


@given(amounts, st.sampled_from(("USD", "JPY", "KWD")))
def test_every_posting_sums_to_zero(amount: int, currency: str) -> None:
    money = Money(amount=amount, currency=currency)
    for posting in (
        postings.invoice_issued("invoice", money),
        postings.payment_received("payment", money),
        postings.overpayment_received("payment", money),
        postings.invoice_written_off("invoice", money),
        postings.invoice_voided("invoice", money),
    ):
        assert sum(entry.amount_minor for entry in posting.entries) == 0
        assert all(entry.amount_minor for entry in posting.entries)


def test_automatic_attempts_are_known_by_their_slot_and_the_others_by_the_command() -> None:
    first, second = UUID(int=1), UUID(int=2)
    assert idempotency_key("invoice_1", "dunning", 2, first) == idempotency_key("invoice_1", "dunning", 2, second)
    assert idempotency_key("invoice_1", "initial", 0, first) != idempotency_key("invoice_1", "dunning", 1, first)
    assert idempotency_key("invoice_1", "manual", 0, first) != idempotency_key("invoice_1", "manual", 0, second)
    assert idempotency_key("invoice_1", "manual", 0, first) == idempotency_key("invoice_1", "manual", 3, first)
