"""Units that are counted ahead: as many as a client is likely to use, for a slice, and what is left goes back."""

from __future__ import annotations

import pytest

from prog_edge.limits import ahead
from prog_edge.limits.ahead import UnitsAhead
from prog_edge.limits.policies import Policy
from prog_edge.limits.windows import NO_UNITS, Batch, Spent

WRITES = Policy("writes", 1_200, 60, share_alone=1.0)
SLICE_SECONDS = 6.0


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Client:
    """Somebody who sends requests. `counts` has what each count asked for."""

    def __init__(self, policy: Policy = WRITES) -> None:
        self.policy = policy
        self.clock = Clock()
        self.ahead = UnitsAhead(self.clock)
        self.counts: list[tuple[int, Batch]] = []

    def sends(self, requests: int = 1, every_seconds: float = 0.1) -> None:
        for _ in range(requests):
            if self.ahead.take("ada", self.policy) is None:
                asking = self.ahead.ask("ada", self.policy)
                assert asking is not None
                self.counts.append((asking.units, asking.unused))
                self.ahead.keep("ada", self.policy, asking, Spent(True, 500, 6_000), Batch(asking.units, 7))
            self.clock.seconds += every_seconds


def test_who_asks_once_uses_nothing_ahead() -> None:
    client = Client()
    client.sends()
    assert client.counts == [(0, NO_UNITS)]


def test_a_busy_client_is_counted_ever_more_seldom() -> None:
    client = Client()
    client.sends(60)
    assert [units for units, _ in client.counts] == [0, 1, 3, 7, 12, 12, 12, 12]


def test_what_went_unused_is_given_back_and_asked_for_no_more() -> None:
    client = Client()
    client.sends(1 + 2 + 4 + 3)
    client.clock.seconds += SLICE_SECONDS
    client.sends()
    assert client.counts[-1] == (2, Batch(5, 7))


def test_who_comes_back_after_a_slice_has_half() -> None:
    client = Client()
    client.sends(1 + 2 + 4 + 8)
    client.clock.seconds += SLICE_SECONDS
    client.sends()
    assert client.counts[-1] == (3, Batch(0, 7))


def test_a_unit_is_good_for_one_slice_from_when_it_was_asked_for() -> None:
    client = Client()
    client.sends(3, every_seconds=0.0)
    client.clock.seconds += SLICE_SECONDS - 0.001
    assert client.ahead.take("ada", WRITES) is None, "none is left"
    client.sends(1, every_seconds=0.0)
    client.clock.seconds += SLICE_SECONDS - 0.001
    assert client.ahead.take("ada", WRITES) is not None
    client.clock.seconds += 0.001
    assert client.ahead.take("ada", WRITES) is None


def test_the_verdict_tells_what_the_client_has_with_what_is_held_for_it() -> None:
    client = Client()
    client.sends(4)
    assert client.ahead.take("ada", WRITES) == Spent(True, 502, 5_900)


def test_of_counts_at_once_one_brings_units() -> None:
    client = Client()
    client.sends(2)
    client.ahead.take("ada", WRITES)
    first, second = (client.ahead.ask("ada", WRITES) for _ in range(2))
    assert first is not None
    assert second is None


def test_after_a_count_that_failed_the_next_begins_anew() -> None:
    client = Client()
    client.sends(4)
    client.ahead.take("ada", WRITES)
    client.ahead.take("ada", WRITES)
    client.ahead.take("ada", WRITES)
    assert client.ahead.ask("ada", WRITES) is not None
    client.ahead.drop("ada")
    client.sends()
    assert client.counts[-1] == (0, NO_UNITS)


def test_another_quota_gives_back_what_the_old_one_had() -> None:
    client = Client()
    client.sends(4)
    client.policy = WRITES.scaled(2.0)
    client.sends()
    assert client.counts[-1] == (0, Batch(3, 7))


@pytest.mark.parametrize(("quota", "most"), [(99, 0), (100, 1), (1_200, 12), (60_000, 64)])
def test_no_more_than_a_share_of_the_quota_is_held(quota: int, most: int) -> None:
    client = Client(Policy("writes", quota, 60, share_alone=1.0))
    client.sends(400, every_seconds=0.001)
    assert max(units for units, _ in client.counts) == most


def test_what_is_held_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "MAX_CLIENTS", 10)
    held = UnitsAhead()
    for number in range(15):
        held.ask(str(number), WRITES)
    assert len(held._held) == 10
    asking = held.ask("14", WRITES)
    assert asking is None, "the newest are held"
