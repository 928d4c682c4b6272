"""The circuit breaker: when it trips, what it lets through, and how it closes."""

from __future__ import annotations

from typing import Any

from prog_broker.breaker import LEAST, LONGEST_PAUSE_SECONDS, WINDOW, Breaker, Breakers
from prog_broker.decoding import Decoded, decode_batch
from prog_broker.domain import Domain
from prog_broker.ports import Delivery, Shard
from prog_broker.processing import Processor, RolledBack
from prog_broker.settled import Settled
from prog_broker.transaction import Transaction
from prog_contracts.envelope import wrap
from prog_contracts.ids import new_id
from prog_contracts.tenants import TenantUpdated
from prog_contracts.topics import TOPICS


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def breaker(clock: Clock, ratio: float = 0.5) -> Breaker:
    return Breaker("users", "prog.users.commands", ratio=ratio, pause_seconds=1.0, clock=clock)


def fail(subject: Breaker, times: int) -> None:
    for _ in range(times):
        subject.failed(first_try=True)


def test_it_trips_when_half_of_enough_messages_fail() -> None:
    subject = breaker(Clock())
    fail(subject, LEAST - 1)
    assert subject.admits()
    fail(subject, 1)
    assert subject.state == "open"
    assert not subject.admits()


def test_few_failures_among_many_successes_do_not_trip_it() -> None:
    subject = breaker(Clock())
    for _ in range(10):
        subject.succeeded(60)
        fail(subject, 40)
    assert subject.state == "closed"


def test_successes_that_left_the_window_do_not_count() -> None:
    subject = breaker(Clock())
    subject.succeeded(10_000)
    fail(subject, WINDOW // 2)
    assert subject.state == "open"


def test_the_tries_of_one_message_again_are_no_storm() -> None:
    subject = breaker(Clock())
    for _ in range(500):
        subject.failed(first_try=False)
    assert subject.state == "closed"


def test_half_open_lets_one_probe_through() -> None:
    clock = Clock()
    subject = breaker(clock)
    fail(subject, LEAST)
    clock.now += 1.0
    assert subject.state == "half_open"
    assert [subject.admits() for _ in range(3)] == [True, False, False]


def test_a_probe_that_succeeds_closes_it_and_the_past_is_forgotten() -> None:
    clock = Clock()
    subject = breaker(clock)
    fail(subject, LEAST)
    clock.now += 1.0
    assert subject.admits()
    subject.succeeded()
    assert subject.state == "closed"
    fail(subject, LEAST - 1)
    assert subject.state == "closed"


def test_probes_that_fail_double_the_pause_up_to_its_limit() -> None:
    clock = Clock()
    subject = breaker(clock)
    fail(subject, LEAST)
    pauses = []
    for _ in range(8):
        began = clock.now
        while not subject.admits():
            clock.now += 0.5
        pauses.append(clock.now - began)
        subject.failed(first_try=False)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS]


def test_an_abandoned_probe_lets_another_one_go() -> None:
    clock = Clock()
    subject = breaker(clock)
    fail(subject, LEAST)
    clock.now += 1.0
    assert subject.admits()
    subject.abandon_probe()
    assert subject.admits()


def test_a_message_of_another_shard_that_ends_during_the_pause_does_not_end_it() -> None:
    subject = breaker(Clock())
    fail(subject, LEAST)
    subject.succeeded()
    assert subject.state == "open"


def test_messages_at_work_when_it_trips_do_not_lengthen_the_pause() -> None:
    clock = Clock()
    subject = breaker(clock)
    fail(subject, LEAST + 8)
    clock.now += 1.0
    assert subject.state == "half_open"
    fail(subject, 8)
    assert subject.admits(), "nor do those that fail when it is over, before the probe"


def test_a_ratio_above_one_never_trips() -> None:
    subject = breaker(Clock(), ratio=1.1)
    fail(subject, 1000)
    assert subject.state == "closed"


async def test_a_batch_ends_where_the_breaker_trips_though_its_pause_is_over_before_the_next_message() -> None:
    """As when each message fails by a time-out that is longer than the pause."""
    payments = Domain("payments")

    @payments.handles(TenantUpdated)
    async def hear(event: TenantUpdated, tx: Transaction) -> None:
        return None

    class Failing(Processor):
        async def _together(self, *_: Any, **__: Any) -> Settled:
            raise RolledBack

        async def _fail(self, shard: Shard, token: int, item: Any, *_: Any, **__: Any) -> Settled:
            self.breakers.of(shard.topic.name).failed(first_try=True)
            return Settled([item.delivery.receipt])

    nothing: Any = None
    shard = Shard("payments", TOPICS["prog.tenants.events"], 0)
    subject = Failing(payments, nothing, nothing, breakers=Breakers("payments", ratio=0.5, pause_seconds=0.0))
    settled = await subject.settle_batch(shard, 1, batch_of(payments, shard, LEAST * 2))
    assert (len(settled.receipts), len(settled.left)) == (LEAST, LEAST)


def batch_of(domain: Domain, shard: Shard, count: int) -> Decoded:
    tenant = new_id("tenant")
    event = TenantUpdated(tenant_id=tenant, name="x", status="active")
    envelopes = [wrap(event, tenant_id=tenant, source="/test") for _ in range(count)]
    deliveries = [Delivery(b"%d-0" % n, each.attributes(), each.data) for n, each in enumerate(envelopes)]
    return decode_batch(domain, shard, deliveries)
