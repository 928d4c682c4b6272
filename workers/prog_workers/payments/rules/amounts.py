"""Amounts in integer minor units. A fraction is rounded once, half away from zero."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Final, Literal

from prog_contracts.payments import Interval

PriceModel = Literal["flat", "per_unit"]

_MONTHS: Final[dict[Interval, Fraction]] = {
    "day": Fraction(12, 365),
    "week": Fraction(12 * 7, 365),
    "month": Fraction(1),
    "year": Fraction(12),
}
"""Months in an interval; a year has 365 days here, so that a daily and a yearly price compare."""


def rounded(value: Fraction) -> int:
    """The nearest integer; a half goes away from zero, as on invoices in most countries."""
    whole, rest = divmod(abs(value.numerator), value.denominator)
    if 2 * rest >= value.denominator:
        whole += 1
    return whole if value >= 0 else -whole


def line_amount_minor(model: PriceModel, unit_amount_minor: int, quantity: int) -> int:
    """What one period costs: `flat` whatever the quantity, `per_unit` for each unit."""
    return unit_amount_minor if model == "flat" else unit_amount_minor * quantity


def monthly_minor(amounts: Iterable[tuple[int, Interval, int]]) -> int:
    """Monthly recurring revenue of (amount a period, interval, interval count); rounded once, for the sum."""
    parts = (Fraction(amount) / (_MONTHS[interval] * count) for amount, interval, count in amounts)
    return rounded(sum(parts, Fraction(0)))
