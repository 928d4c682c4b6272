"""The intake: whose turn it is, how far the position goes, and how much is held."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from prog_broker.domain import Domain
from prog_broker.intake import BATCH_SECONDS, READ_BYTES, WINDOW_BATCHES, Budget, Intake
from prog_broker.ports import Delivery, Position, Shard
from prog_broker.transaction import Transaction
from prog_contracts.envelope import wrap
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_contracts.tenants import ClockChanged, TenantUpdated
from prog_contracts.topics import TOPICS
from prog_contracts.users import RegisterUser

EVENTS = TOPICS["prog.tenants.events"]
NOISY, QUIET = new_id("tenant"), new_id("tenant")


def domain() -> Domain:
    payments = Domain("payments")

    @payments.handles(TenantUpdated)
    async def hear(event: TenantUpdated, tx: Transaction) -> None:
        return None

    return payments


def intake(batch_size: int = 10, budget: Budget | None = None) -> Intake:
    return Intake(domain(), Shard("payments", EVENTS, 0), batch_size=batch_size, budget=budget)


def delivery(number: int, tenant: str, key: str | None = None, name: str = "x") -> Delivery:
    event = TenantUpdated(tenant_id=key or tenant, name=name, status="active")
    envelope = wrap(event, tenant_id=tenant, source="/test")
    return Delivery(b"%d-0" % number, envelope.attributes(), envelope.data)


def of_no_concern(number: int) -> Delivery:
    """An event that the domain has no handler for."""
    event = ClockChanged(tenant_id=NOISY, at=datetime.now(UTC))
    envelope = wrap(event, tenant_id=NOISY, source="/test")
    return Delivery(b"%d-0" % number, envelope.attributes(), envelope.data)


def taken(subject: Intake) -> list[int]:
    return [int(item.delivery.receipt.split(b"-")[0]) for item in subject.take().incoming]


def test_events_may_gather_and_commands_are_taken_at_once() -> None:
    observer = Domain("events", linger_seconds=0.5)
    assert Intake(observer, Shard("events", EVENTS, 0), batch_size=10).linger_seconds == 0.5
    assert Intake(observer, Shard("events", TOPICS["prog.events.commands"], 0), batch_size=10).linger_seconds == 0


def test_what_fits_a_batch_is_taken_in_the_order_of_the_broker() -> None:
    subject = intake()
    subject.add([delivery(n, NOISY if n % 3 else QUIET) for n in range(10)])
    assert taken(subject) == list(range(10))


def test_tenants_take_turns_when_more_waits_than_a_batch() -> None:
    subject = intake(batch_size=10)
    subject.add([delivery(n, NOISY, key=new_id("tenant")) for n in range(30)])
    subject.add([delivery(n, QUIET, key=new_id("tenant")) for n in range(30, 35)])
    first = taken(subject)
    assert first == [0, 1, 2, 3, 4, 30, 31, 32, 33, 34], "the quiet one is served at once, behind a part of the flood"
    assert taken(subject) == list(range(5, 15))


def test_a_flood_of_one_tenant_alone_goes_in_full_batches() -> None:
    subject = intake(batch_size=10)
    subject.add([delivery(n, NOISY) for n in range(25)])
    assert [taken(subject) for _ in range(3)] == [list(range(10)), list(range(10, 20)), list(range(20, 25))]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=60), st.integers(1, 7))
def test_the_messages_of_a_key_keep_their_order(rows: list[tuple[int, int]], batch_size: int) -> None:
    tenants = [NOISY, QUIET, new_id("tenant"), new_id("tenant")]
    keys = [new_id("tenant") for _ in range(4)]
    subject = intake(batch_size=batch_size)
    subject.add([delivery(n, tenants[t], key=keys[k]) for n, (t, k) in enumerate(rows)])
    order = []
    while len(subject):
        order += taken(subject)
    assert sorted(order) == list(range(len(rows)))
    for wanted in range(4):
        of_key = [n for n in order if rows[n][1] == wanted]
        assert of_key == sorted(of_key)


def test_bodies_are_read_when_their_turn_is_near() -> None:
    subject = intake(batch_size=10)
    subject.add([delivery(n, NOISY) for n in range(30)])
    subject.make_ready()
    assert [item.message is not None for item in (*subject._ready, *subject._incoming)] == [True] * 10 + [False] * 20
    assert [taken(subject) for _ in range(3)] == [list(range(10)), list(range(10, 20)), list(range(20, 30))]


def test_what_came_while_a_small_batch_waited_goes_with_it() -> None:
    subject = intake(batch_size=10)
    subject.add([delivery(n, NOISY) for n in range(3)])
    subject.make_ready()
    subject.add([delivery(n, NOISY) for n in range(3, 15)])
    assert taken(subject) == list(range(10))


def test_a_body_that_cannot_be_read_costs_only_itself() -> None:
    subject = intake(batch_size=10)
    good = [delivery(n, NOISY) for n in range(15)]
    good[4].data = b"{}"
    good[12].data = b"{}"
    subject.add(good)
    subject.make_ready()
    first, second = subject.take(), subject.take()
    assert [item.delivery for item in first.rejected] == [good[4]]
    assert [item.delivery for item in second.rejected] == [good[12]]
    assert [item.delivery for item in (*first.incoming, *second.incoming)] == [*good[:4], *good[5:12], *good[13:]]
    assert len(subject) == 0


def test_what_is_put_back_comes_first_and_is_not_read_again() -> None:
    subject = intake(batch_size=4)
    subject.add([delivery(n, NOISY) for n in range(8)])
    begun = subject.take().incoming
    subject.put_back(begun[1:])
    assert len(subject) == 7
    assert taken(subject) == [1, 2, 3, 4]
    assert taken(subject) == [5, 6, 7]


def test_one_is_taken_as_a_probe_and_the_rest_waits() -> None:
    subject = intake(batch_size=4)
    subject.add([delivery(n, NOISY) for n in range(6)])
    assert [item.delivery.receipt for item in subject.take(1).incoming] == [b"0-0"]
    assert taken(subject) == [1, 2, 3, 4]


def test_a_gate_is_asked_before_a_body_is_looked_at() -> None:
    users = Domain("users")

    @users.handles(RegisterUser)
    async def register(command: RegisterUser, tx: Transaction) -> None:
        return None

    subject = Intake(
        users, Shard("users", TOPICS["prog.users.commands"], 0), batch_size=4, gate=lambda _: ("bad_signature", "no")
    )
    command = RegisterUser(user_id=new_id("user"), email="ada@example.com", name="Ada", sealed_password="sealed")
    envelope = wrap(command, tenant_id=PLATFORM_TENANT_ID, source="/test")
    subject.add([Delivery(b"0-0", envelope.attributes(), b"{}")])
    assert [(item.code, item.reason) for item in subject.take().rejected] == [("bad_signature", "no")]


def test_the_position_waits_for_the_earliest_that_is_not_settled() -> None:
    subject = intake()
    subject.add([delivery(n, NOISY) for n in range(5)])
    assert subject.settled([b"1-0", b"2-0"]) is None
    assert subject.settled([b"0-0"]) == Position(b"2-0", 3)
    assert subject.settled([b"4-0"]) is None
    assert subject.settled([b"3-0"]) == Position(b"4-0", 2)


def test_what_is_not_the_groups_is_passed_by_and_told_with_what_comes_next() -> None:
    subject = intake()
    subject.add([of_no_concern(n) for n in range(3)])
    assert subject.pass_by()
    assert (len(subject), subject.has_untold) == (0, True)
    subject.add([of_no_concern(3)])
    assert subject.pass_by()
    subject.add([delivery(4, NOISY)])
    assert not subject.pass_by(), "a message of the group's own is to be handled"
    subject.take()
    assert subject.settled([b"4-0"]) == Position(b"4-0", 5)
    assert not subject.has_untold


def test_what_was_passed_by_can_be_told_by_itself_and_once() -> None:
    subject = intake()
    subject.add([of_no_concern(n) for n in range(3)])
    subject.pass_by()
    assert subject.settled([]) == Position(b"2-0", 3)
    assert subject.settled([]) is None


def test_what_nobody_can_read_is_not_passed_by() -> None:
    subject = intake()
    subject.add([of_no_concern(0), Delivery(b"1-0", b"no JSON", b"")])
    assert not subject.pass_by()
    assert len(subject.take().rejected) == 1


def test_a_shard_that_is_given_up_has_nothing_to_tell() -> None:
    subject = intake()
    subject.add([of_no_concern(0)])
    subject.pass_by()
    subject.clear()
    assert not subject.has_untold
    assert subject.settled([]) is None


def test_it_reads_ahead_so_far_and_no_further() -> None:
    subject = intake(batch_size=10)
    for number in range(WINDOW_BATCHES):
        assert subject.room == 10
        subject.add([delivery(10 * number + n, NOISY) for n in range(10)])
    assert subject.room == 0
    subject.take()
    assert subject.room == 10


def test_large_bodies_make_small_reads() -> None:
    subject = intake(batch_size=500)
    subject.add([delivery(0, NOISY, name="x" * (READ_BYTES // 8))])
    assert 1 <= subject.room <= 8


def test_a_process_holds_no_more_than_its_budget_and_each_shard_goes_on_all_the_same() -> None:
    budget = Budget(10_000)
    one, other = intake(batch_size=100, budget=budget), intake(batch_size=100, budget=budget)
    one.add([delivery(n, NOISY, name="x" * 900) for n in range(10)])
    assert budget.left == 0
    assert one.room == 0
    assert other.room > 0, "whoever holds nothing may read one batch"
    one.take()
    one.settled([b"%d-0" % n for n in range(10)])
    assert budget.left == 10_000


def test_a_shard_that_is_given_up_gives_its_bytes_back() -> None:
    budget = Budget(100_000)
    subject = intake(budget=budget)
    subject.add([delivery(n, NOISY) for n in range(10)])
    subject.clear()
    assert (len(subject), budget.left) == (0, 100_000)
    assert subject.settled([b"0-0"]) is None


def test_slow_handlers_make_small_batches() -> None:
    subject = intake(batch_size=100)
    subject.add([delivery(n, NOISY) for n in range(100)])
    subject.took(seconds=BATCH_SECONDS, messages=10)
    assert len(taken(subject)) == 10
