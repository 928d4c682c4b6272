import random

from hypothesis import given
from hypothesis import strategies as st

from prog_broker.settlement import RetryPolicy


@given(st.integers(1, 10_000), st.integers())
def test_a_delay_stays_inside_the_envelope_of_backoff_and_jitter(attempt: int, seed: int) -> None:
    policy = RetryPolicy(base_seconds=0.5, cap_seconds=300.0)
    delay = policy.delay_seconds(attempt, random.Random(seed))
    assert 0.0 <= delay <= min(300.0, 0.5 * 2.0 ** min(attempt - 1, 32))


def test_the_jitter_is_full() -> None:
    policy = RetryPolicy(base_seconds=1.0)
    chance = random.Random(7)
    delays = [policy.delay_seconds(4, chance) for _ in range(2000)]
    assert min(delays) < 0.1
    assert max(delays) > 7.9
    assert 3.8 < sum(delays) / len(delays) < 4.2, "uniform between 0 and 8 s"
