from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from prog_contracts.payments import Interval
from prog_workers.payments.rules.periods import boundary, period
from tests.depth import by_depth

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
anchors = st.integers(0, 60 * 366 * 86_400).map(lambda seconds: EPOCH + timedelta(seconds=seconds))
intervals = st.sampled_from(("day", "week", "month", "year"))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("anchor", "interval", "count", "expected"),
    [
        ("2027-01-31", "month", 1, ["2027-02-28", "2027-03-31", "2027-04-30", "2027-05-31"]),
        ("2028-01-31", "month", 1, ["2028-02-29", "2028-03-31"]),
        ("2027-01-30", "month", 1, ["2027-02-28", "2027-03-30"]),
        ("2028-02-29", "year", 1, ["2029-02-28", "2030-02-28", "2031-02-28", "2032-02-29"]),
        ("2027-08-31", "month", 3, ["2027-11-30", "2028-02-29", "2028-05-31"]),
        ("2027-03-31", "month", 6, ["2027-09-30", "2028-03-31"]),
        ("2027-12-30", "week", 2, ["2028-01-13", "2028-01-27"]),
        ("2027-02-27", "day", 10, ["2027-03-09", "2027-03-19"]),
    ],
)
def test_the_day_of_the_anchor_survives_short_months(
    anchor: str, interval: Interval, count: int, expected: list[str]
) -> None:
    dates = [boundary(at(anchor), interval, count, index) for index in range(1, len(expected) + 1)]
    assert [date.date().isoformat() for date in dates] == expected


def test_monthly_windows_of_a_quarter_that_is_anchored_on_the_31st_are_three_whole_ones() -> None:
    windows = [period(at("2027-03-31"), "month", 1, index) for index in (6, 7, 8)]
    assert [(window.start.date().isoformat(), window.end.date().isoformat()) for window in windows] == [
        ("2027-09-30", "2027-10-31"),
        ("2027-10-31", "2027-11-30"),
        ("2027-11-30", "2027-12-31"),
    ]


@settings(max_examples=by_depth(usual=100, thorough=2_000))
@given(anchors, st.integers(1, 24), st.integers(0, 240))
def test_a_monthly_boundary_has_the_anchors_day_or_the_months_last(anchor: datetime, count: int, index: int) -> None:
    date = boundary(anchor, "month", count, index)
    last = calendar.monthrange(date.year, date.month)[1]
    assert date.day == min(anchor.day, last)
    assert (date.year - anchor.year) * 12 + date.month - anchor.month == count * index
    assert date.timetz() == anchor.timetz()


@settings(max_examples=by_depth(usual=100, thorough=500))
@given(anchors, st.integers(0, 240))
@example(datetime(2028, 2, 29, tzinfo=UTC), 1)
@example(datetime(2028, 2, 29, tzinfo=UTC), 4)
def test_a_yearly_boundary_is_the_anchors_date_in_every_year_that_has_it(anchor: datetime, index: int) -> None:
    date = boundary(anchor, "year", 1, index)
    leap_day_missing = (anchor.month, anchor.day) == (2, 29) and not calendar.isleap(anchor.year + index)
    expected = (2, 28) if leap_day_missing else (anchor.month, anchor.day)
    assert (date.year, date.month, date.day) == (anchor.year + index, *expected)


@settings(max_examples=by_depth(usual=100, thorough=1_000))
@given(anchors, intervals, st.integers(1, 12), st.integers(0, 240))
def test_periods_adjoin_and_are_never_empty(anchor: datetime, interval: Interval, count: int, index: int) -> None:
    here, following = period(anchor, interval, count, index), period(anchor, interval, count, index + 1)
    assert here.end == following.start
    assert here.end > here.start
    if interval == "month":
        assert here.end - here.start >= timedelta(days=28)


@given(anchors, intervals, st.integers(1, 12))
def test_the_first_period_begins_at_the_anchor(anchor: datetime, interval: Interval, count: int) -> None:
    assert period(anchor, interval, count, 0).start == anchor
