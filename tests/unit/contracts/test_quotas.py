"""What plans allow, and the one function that decides."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from prog_contracts.quotas import (
    FREE_LIMITS,
    PLAN_LIMITS,
    QUOTAS,
    REQUEST_FACTORS,
    QuotaName,
    limits_of,
    reached,
    refusal,
    request_factor,
)

COUNTS = st.integers(0, 10**9)


def test_every_plan_allows_at_least_what_is_free() -> None:
    for plan in (*PLAN_LIMITS, "a plan nobody knows yet"):
        assert set(limits_of(plan)) == set(QUOTAS)
        for name, free in FREE_LIMITS.items():
            limit = limits_of(plan)[name]
            assert limit is None or (free is not None and limit >= free)
        assert request_factor(plan) >= 1.0
    assert limits_of("STARTER") == limits_of("starter")
    assert limits_of(None) == limits_of("free") == FREE_LIMITS
    assert set(REQUEST_FACTORS) == {"free", *PLAN_LIMITS}, "a plan has all of its limits"


@given(st.sampled_from(QUOTAS), COUNTS, COUNTS, st.integers(1, 100))
def test_there_is_room_up_to_the_limit_and_not_beyond(quota: QuotaName, limit: int, used: int, wanted: int) -> None:
    refused = refusal(quota, limit, used, wanted)
    assert (refused is None) is (used + wanted <= limit)
    if refused is not None:
        assert f"{limit:,}" in refused.message, "it says which limit"
        assert "larger plan" in refused.message, "and how to raise it"
    assert refusal(quota, None, used, wanted) is None


@given(st.integers(1, 10**9), COUNTS)
def test_owners_are_told_at_eighty_and_at_a_hundred_percent(limit: int, used: int) -> None:
    mark = reached(limit, used)
    assert (mark == 100) is (used >= limit)
    assert (mark is None) is (used / limit < 0.8)
    assert reached(None, used) is None
    assert reached(0, used) is None, "what a plan does not have at all is never used up"
