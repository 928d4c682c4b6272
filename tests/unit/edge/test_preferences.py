"""The Prefer header."""

from __future__ import annotations

import pytest

from prog_edge.preferences import DEFAULT_WAIT_SECONDS, LONGEST_WAIT_SECONDS, read_preferences


@pytest.mark.parametrize(
    ("header", "wait_seconds", "respond_async", "applied"),
    [
        (None, DEFAULT_WAIT_SECONDS, False, None),
        ("", DEFAULT_WAIT_SECONDS, False, None),
        ("wait=10", 10.0, False, "wait=10"),
        ("WAIT = 3", 3.0, False, "wait=3"),
        ("wait=600", LONGEST_WAIT_SECONDS, False, "wait=30"),
        ("respond-async", DEFAULT_WAIT_SECONDS, True, "respond-async"),
        ("respond-async, wait=7", 7.0, True, "respond-async, wait=7"),
        ("return=minimal", DEFAULT_WAIT_SECONDS, False, None),
        ("wait=-1", DEFAULT_WAIT_SECONDS, False, None),
        ("wait=soon; foo=bar", DEFAULT_WAIT_SECONDS, False, None),
    ],
)
def test_what_is_honoured_is_told_and_the_rest_is_ignored(
    header: str | None, wait_seconds: float, respond_async: bool, applied: str | None
) -> None:
    preferences = read_preferences(header)
    assert preferences.wait_seconds == wait_seconds
    assert preferences.respond_async is respond_async
    assert preferences.applied == applied


@pytest.mark.parametrize(
    ("header", "wait_seconds", "applied"),
    [
        (None, DEFAULT_WAIT_SECONDS, None),
        ("wait=10", 10.0, "wait=10"),
        ("wait=0", DEFAULT_WAIT_SECONDS, None),
        ("respond-async", DEFAULT_WAIT_SECONDS, None),
        ("respond-async, wait=7", DEFAULT_WAIT_SECONDS, None),
    ],
)
def test_where_an_answer_is_not_put_off_a_longer_wait_alone_is_honoured(
    header: str | None, wait_seconds: float, applied: str | None
) -> None:
    preferences = read_preferences(header).undeferred()
    assert (preferences.wait_seconds, preferences.applied) == (wait_seconds, applied)
    assert not preferences.respond_async
    assert not preferences.deferrable
