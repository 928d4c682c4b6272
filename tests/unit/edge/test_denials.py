"""Denials are bounded: however many requests are turned away, few entries tell of them, and each is counted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from prog_contracts.ids import PLATFORM_TENANT_ID
from prog_edge.audit.denials import MANY, Denial, Denials, Example

START = datetime(2027, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
FIRST = Example("req_1", None, "agent/1")
AGAIN = Example("req_2", None, "agent/2")


def denial(name: str = "GET /v1/x", code: str = "denied") -> Denial:
    return Denial("tenant_1", name, code)


def test_the_first_is_told_at_once_and_what_is_alike_at_the_end_of_its_minute() -> None:
    denials = Denials()
    denials.add(denial(), FIRST, START)
    [told] = denials.take(START)
    assert (told.count, told.at, told.until, told.example) == (1, START, START, FIRST)
    for second in (10, 20, 30):
        denials.add(denial(), AGAIN, START + second * SECOND)
        assert denials.take(START + second * SECOND) == []
    [told] = denials.take(START + 60 * SECOND)
    assert (told.count, told.at, told.until) == (3, START + 10 * SECOND, START + 30 * SECOND)
    assert told.example == AGAIN
    assert denials.take(START + 300 * SECOND) == []


def test_after_its_minute_the_next_one_is_a_first_again() -> None:
    denials = Denials()
    denials.add(denial(), FIRST, START)
    denials.take(START)
    denials.take(START + 61 * SECOND)
    denials.add(denial(), AGAIN, START + 62 * SECOND)
    assert [told.count for told in denials.take(START + 62 * SECOND)] == [1]


def test_different_ones_are_told_apart() -> None:
    denials = Denials()
    for each in (denial(), denial("GET /v1/y"), denial(code="rate_limited")):
        denials.add(each, FIRST, START)
    assert len(denials.take(START)) == 3


def test_beyond_the_bound_they_are_told_apart_by_their_code_alone() -> None:
    denials = Denials(most=2)
    for number in range(50):
        denials.add(denial(f"GET /v1/{number}", "denied" if number % 2 else "rate_limited"), FIRST, START)
    told = denials.take(START)
    assert [(each.denial.action, each.count) for each in told[:2]] == [("GET /v1/0", 1), ("GET /v1/1", 1)]
    assert {(each.denial.action, each.denial.code, each.count) for each in told[2:]} == {
        (MANY, "denied", 24), (MANY, "rate_limited", 24)
    }  # fmt: skip
    assert {each.denial.tenant_id for each in told[2:]} == {PLATFORM_TENANT_ID}
    assert {each.example for each in told[2:]} == {None}


def test_what_could_not_be_told_is_told_later_and_counted_once() -> None:
    denials = Denials()
    denials.add(denial(), FIRST, START)
    denials.put_back(denials.take(START))
    denials.add(denial(), AGAIN, START + SECOND)
    [told] = denials.take(START + 90 * SECOND)
    assert (told.count, told.at, told.until, told.example) == (2, START, START + SECOND, FIRST)


def test_at_the_end_everything_is_told() -> None:
    denials = Denials()
    denials.add(denial(), FIRST, START)
    denials.take(START)
    denials.add(denial(), AGAIN, START + SECOND)
    assert denials.take(START + SECOND) == []
    assert [told.count for told in denials.take(START + SECOND, everything=True)] == [1]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 40), st.booleans()), max_size=300), st.integers(1, 5))
def test_every_denial_is_counted_exactly_once_and_entries_are_few(
    steps: list[tuple[int, int, bool]], most: int
) -> None:
    denials = Denials(most=most)
    now, counted, entries = START, 0, 0
    for name, seconds, fails in steps:
        now += seconds * SECOND
        denials.add(denial(f"GET /v1/{name}"), FIRST, now)
        told = denials.take(now)
        if fails:
            denials.put_back(told)
        else:
            counted += sum(each.count for each in told)
            entries += len(told)
    told = denials.take(now, everything=True)
    assert counted + sum(each.count for each in told) == len(steps)
    minutes = 1 + (now - START) // timedelta(seconds=60)
    assert entries + len(told) <= 2 * (most + 1) * (minutes + 1)
