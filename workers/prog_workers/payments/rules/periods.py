"""Billing periods.

Every boundary is computed from the anchor, the instant at which the first period began, and never from another
boundary: a subscription anchored on the 31st is billed on 28 February and again on 31 March (Kill Bill issue 127 and
its kin come from taking the next date from a shortened one). Periods are half-open and adjoin: [start, end).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from dateutil.relativedelta import relativedelta

from prog_contracts.payments import Interval


@dataclass(frozen=True, slots=True)
class Period:
    """[start, end)."""

    start: datetime
    end: datetime


def boundary(anchor: datetime, interval: Interval, count: int, index: int) -> datetime:
    """The start of period number `index` after `anchor`; a day that a month lacks becomes that month's last."""
    steps = count * index
    match interval:
        case "day":
            return anchor + timedelta(days=steps)
        case "week":
            return anchor + timedelta(weeks=steps)
        case "month":
            return anchor + relativedelta(months=steps)
        case "year":
            return anchor + relativedelta(years=steps)


def period(anchor: datetime, interval: Interval, count: int, index: int) -> Period:
    """Period number `index`, from 0, of a subscription that is billed every `count` intervals."""
    return Period(boundary(anchor, interval, count, index), boundary(anchor, interval, count, index + 1))
