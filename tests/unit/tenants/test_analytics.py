"""No answer about many tenants tells about a few."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from prog_workers.tenants.rules.analytics import (
    MINIMUM,
    Counted,
    Dimension,
    disclosed,
    group_of,
    groups_of,
)

COUNTS = st.lists(st.integers(0, 40), min_size=1, max_size=6)
DIMENSIONS: tuple[Dimension, ...] = ("status", "plan", "size", "month")


def told(counts: list[int]) -> tuple[int | None, list[int | None]]:
    groups = [str(number) for number in range(len(counts))]
    counted = {group: Counted(count, count, 1) for group, count in zip(groups, counts, strict=True) if count}
    total, parts = disclosed(counted, groups)
    return total.tenants, [part.tenants for part in parts]


@given(COUNTS)
def test_a_group_below_the_minimum_never_shows(counts: list[int]) -> None:
    total, parts = told(counts)
    assert len(parts) == len(counts), "an empty group is there as a small one is"
    for count, part in zip(counts, parts, strict=True):
        assert (part is None) is (count < MINIMUM)
        assert part is None or (part % MINIMUM == 0 and part <= count < part + MINIMUM)
    assert total == (sum(part or 0 for part in parts) or None)


@given(COUNTS)
def test_total_and_parts_together_never_tell_what_is_in_a_small_group(counts: list[int]) -> None:
    """Whatever number below the minimum is in it, the answer is the same; so nobody can say which one it is."""
    for place, count in enumerate(counts):
        if count < MINIMUM:
            for other in range(MINIMUM):
                assert told([*counts[:place], other, *counts[place + 1 :]]) == told(counts)


@given(COUNTS, st.integers(0, 5))
def test_one_tenant_more_changes_the_answer_only_where_a_step_is_full(counts: list[int], place: int) -> None:
    place %= len(counts)
    more = [count + (number == place) for number, count in enumerate(counts)]
    (_, before), (_, after) = told(counts), told(more)
    changed = [number for number in range(len(counts)) if before[number] != after[number]]
    assert changed == ([place] if more[place] % MINIMUM == 0 else [])


@given(st.lists(st.integers(1, 500), min_size=1, max_size=12))
def test_a_mean_is_not_told_where_one_has_most_of_it(sizes: list[int]) -> None:
    _, [part] = disclosed({"g": Counted(len(sizes), sum(sizes), max(sizes))}, ["g"])
    if len(sizes) < MINIMUM or max(sizes) * 2 > sum(sizes):
        assert part.mean_members is None
    else:
        assert part.mean_members == round(sum(sizes) / len(sizes))


def test_groups_are_the_same_whoever_there_is() -> None:
    today = date(2027, 2, 14)
    months = groups_of("month", today)
    assert (months[0], months[1], months[-1], len(months)) == ("earlier", "2026-03", "2027-02", 13)
    assert group_of("month", date(2026, 12, 1), months) == "2026-12"
    assert group_of("month", date(2020, 1, 1), months) == "earlier"
    plans = groups_of("plan", today)
    assert group_of("plan", None, plans) == "free"
    assert group_of("plan", "Growth", plans) == "growth"
    assert group_of("plan", "of one's own", plans) == "other", "a plan of one customer names that customer"
    sizes = groups_of("size", today)
    assert [group_of("size", size, sizes) for size in (0, 1, 2, 5, 6, 20, 100, 101)] == [
        "1", "1", "2-5", "2-5", "6-20", "6-20", "21-100", "more"
    ]  # fmt: skip
    for dimension in DIMENSIONS:
        assert len(set(groups_of(dimension, today))) == len(groups_of(dimension, today))
