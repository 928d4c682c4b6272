"""The sliding window of one process: no window ever has more than the quota, and what it tells comes true."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from prog_edge.limits import windows
from prog_edge.limits.windows import SLICES, LocalWindows

WINDOW_SECONDS = 10


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@given(st.integers(1, 12), st.lists(st.integers(0, 6_000), max_size=150))
def test_no_window_wherever_it_begins_has_more_than_the_quota(quota: int, pauses_milliseconds: list[int]) -> None:
    clock = Clock()
    counted = LocalWindows(clock)
    allowed: list[float] = []
    for pause in pauses_milliseconds:
        clock.seconds += pause / 1000
        spent = counted.spend("ada", quota, WINDOW_SECONDS)
        if spent.allowed:
            allowed.append(clock.seconds)
        within = [at for at in allowed if at > clock.seconds - WINDOW_SECONDS]
        assert len(within) <= quota
        assert 0 <= spent.remaining <= quota - 1


@given(st.integers(1, 8), st.lists(st.integers(0, 4_000), min_size=10, max_size=80))
def test_who_comes_back_when_told_is_let_in_and_not_much_earlier(quota: int, pauses_milliseconds: list[int]) -> None:
    clock = Clock()
    counted = LocalWindows(clock)
    for pause in pauses_milliseconds:
        clock.seconds += pause / 1000
        spent = counted.spend("ada", quota, WINDOW_SECONDS)
        if not spent.allowed:
            assert spent.remaining == 0
            assert 0 < spent.more_in_milliseconds <= WINDOW_SECONDS * 1000 * (SLICES + 1) // SLICES
            clock.seconds += (spent.more_in_milliseconds - 2) / 1000
            assert not counted.spend("ada", quota, WINDOW_SECONDS).allowed
            clock.seconds += 0.003
            assert counted.spend("ada", quota, WINDOW_SECONDS).allowed


def test_clients_do_not_share_a_quota() -> None:
    counted = LocalWindows(Clock())
    assert [counted.spend("ada", 2, WINDOW_SECONDS).allowed for _ in range(3)] == [True, True, False]
    assert counted.spend("grace", 2, WINDOW_SECONDS).allowed


def test_what_is_remembered_is_bounded() -> None:
    counted = LocalWindows(Clock())
    for number in range(windows.MAX_CLIENTS + 50):
        counted.spend(str(number), 1, WINDOW_SECONDS)
    assert len(counted._counts) == windows.MAX_CLIENTS
    assert not counted.spend(str(windows.MAX_CLIENTS + 49), 1, WINDOW_SECONDS).allowed
