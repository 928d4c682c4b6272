"""What the broker room promises, on real servers: order per key, effects once, nothing lost, failures contained."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from prog_broker.carrier import Fenced
from prog_broker.leases import LeaseKeeper
from prog_broker.ports import Delivery, Shard
from prog_broker.processing import Processor
from prog_broker.worker import Worker
from prog_contracts.envelope import wrap
from prog_contracts.errors import Unavailable
from prog_contracts.ids import new_id, new_message_id
from prog_contracts.tenants import RenameTenant, ResumeTenant
from prog_contracts.topics import TOPICS, topic_of
from prog_kit.settings import Settings
from prog_kit.tasks import cancelled
from tests.integration.broker.conftest import Rig, domains, eventually

COMMANDS = TOPICS["prog.tenants.commands"]


async def behind(rig: Rig) -> int:
    """Messages behind the group's position, over all shards of the commands topic."""
    return sum(lag.lag for lag in await rig.transport.lags({COMMANDS.name: ["tenants"]}))


async def test_a_command_is_answered_and_its_event_reaches_the_other_domain(rig: Rig) -> None:
    await rig.worker()
    answer = await rig.rename("Acme")
    assert answer.status == "succeeded"
    assert answer.result is not None
    assert answer.result["name"] == "Acme"
    assert await rig.relay.run_once() == 1
    await eventually(lambda: rig.ledger.heard == ["Acme"])


async def test_what_was_published_before_the_first_start_is_handled(rig: Rig) -> None:
    tenant = new_id("tenant")
    command = RenameTenant(tenant_id=tenant, name="early")
    await rig.transport.publisher.send([(topic_of(command), wrap(command, tenant_id=tenant, source="/test"))])
    await rig.worker()
    await eventually(lambda: rig.ledger.handled == ["early"])


async def test_messages_of_one_key_are_handled_in_order(rig: Rig) -> None:
    tenant = new_id("tenant")
    commands = [RenameTenant(tenant_id=tenant, name=f"n{number}") for number in range(300)]
    await rig.transport.publisher.send(
        [(topic_of(command), wrap(command, tenant_id=tenant, source="/test")) for command in commands]
    )
    await rig.worker()
    await eventually(lambda: len(rig.ledger.handled) == 300)
    assert rig.ledger.handled == [command.name for command in commands]


async def test_outside_calls_of_one_batch_wait_for_each_other_only_where_their_key_is_one(rig: Rig) -> None:
    worker = await rig.worker()
    owned = next(each for each in worker.serving[0].keeper.owned.values() if each.shard.topic is COMMANDS)
    await eventually(owned.gained.is_set)
    first, second = new_id("tenant"), new_id("tenant")
    envelopes = [wrap(ResumeTenant(tenant_id=each), tenant_id=each, source="/test") for each in (first, second, first)]
    deliveries = [Delivery(b"%d-0" % n, each.attributes(), each.data) for n, each in enumerate(envelopes, 1)]
    batch = asyncio.create_task(worker.serving[0].processor.process(owned.shard, owned.token, deliveries))
    await eventually(lambda: sorted(rig.ledger.handled) == sorted([first, second]))
    rig.ledger.gate.set()
    settled = await asyncio.wait_for(batch, 60)
    assert rig.ledger.handled[2:] == [first]
    assert settled.receipts == [b"1-0", b"2-0", b"3-0"]
    assert settled.left == []
    assert await rig.scalar("SELECT count(*) FROM bus.inbox WHERE status = 'succeeded'") == 3


async def test_a_message_that_comes_ten_times_has_one_effect_and_the_same_answer(rig: Rig) -> None:
    await rig.worker()
    tenant, message_id = new_id("tenant"), new_message_id()
    first = await rig.rename("once", tenant, message_id=message_id)
    again = [await rig.rename("once", tenant, message_id=message_id) for _ in range(9)]
    assert rig.ledger.handled == ["once"]
    assert all(answer == first for answer in again)
    assert await rig.scalar("SELECT count(*) FROM bus.event_log") == 1


async def test_a_refusal_is_the_answer_and_leaves_no_event(rig: Rig) -> None:
    await rig.worker()
    answer = await rig.rename("taken")
    assert answer.status == "failed"
    assert answer.error is not None
    assert (answer.error.kind, answer.error.code) == ("conflict", "name_taken")
    assert await rig.scalar("SELECT count(*) FROM bus.event_log") == 0
    assert await rig.scalar("SELECT status FROM bus.inbox") == "failed"


async def test_a_handler_that_returns_what_no_envelope_can_carry_stops_nothing(rig: Rig) -> None:
    await rig.worker()
    tenant = new_id("tenant")
    answer = await rig.rename("unsendable", tenant, wait_seconds=15)
    assert answer.status == "failed"
    assert (await rig.rename("next", tenant, wait_seconds=15)).status == "succeeded"


async def test_one_bad_message_in_a_batch_costs_only_itself(rig: Rig) -> None:
    topic = COMMANDS
    good: list[RenameTenant] = []
    while len(good) < 100:
        tenant = new_id("tenant")
        if topic.partition_of(tenant) == 0:
            good.append(RenameTenant(tenant_id=tenant, name=f"good{len(good)}"))
    publisher = rig.transport.publisher
    await publisher.send([(topic, wrap(c, tenant_id=c.tenant_id, source="/test")) for c in good[:50]])
    await rig.put(topic, 0, b"not json", b"{}")
    await rig.put(topic, 0, None, b"")
    envelope = wrap(good[0], tenant_id=good[0].tenant_id, source="/test")
    for changed in (
        replace(envelope, data=b'{"tenant_id": 7}'),
        replace(envelope, type="prognetwork.tenants.paint_tenant", data=b"{}"),
        replace(envelope, schema_version=9),
    ):
        await rig.put(topic, 0, json.loads(rig.signed(changed).attributes()), changed.data)
    await publisher.send([(topic, wrap(c, tenant_id=c.tenant_id, source="/test")) for c in good[50:]])
    await rig.worker()
    await eventually(lambda: len(rig.ledger.handled) == 100)
    assert rig.ledger.handled == [command.name for command in good]
    codes = {row["code"] for row in await rig.admin.fetch("SELECT code FROM bus.dead_letters")}
    assert codes == {"undecodable", "invalid_body", "unknown_type", "unknown_version"}
    await eventually(lambda: nothing_waits(rig))


async def nothing_waits(rig: Rig) -> bool:
    return await behind(rig) == 0


async def test_an_unavailable_handler_is_tried_again_until_it_succeeds(rig: Rig) -> None:
    await rig.worker(retry_attempts=1000)  # on a busy machine many may pass before the test looks
    rig.ledger.failing.add("flaky")
    waiting = asyncio.create_task(rig.rename("flaky"))
    await eventually(lambda: rig.ledger.handled.count("flaky") >= 2)
    rig.ledger.failing.clear()
    answer = await waiting
    assert answer.status == "succeeded"
    assert await rig.scalar("SELECT count(*) FROM bus.retries") == 0


async def test_a_message_that_always_fails_is_dead_after_its_attempts(rig: Rig) -> None:
    await rig.worker()
    rig.ledger.failing.add("hopeless")
    answer = await rig.rename("hopeless")
    assert answer.status == "dead"
    assert rig.ledger.handled.count("hopeless") == rig.settings.retry_attempts
    row = await rig.admin.fetchrow("SELECT * FROM bus.dead_letters")
    assert row is not None
    assert (row["code"], row["attempts"], row["state"]) == ("unavailable", rig.settings.retry_attempts, "open")


async def test_a_statement_that_takes_too_long_says_nothing_against_its_message(rig: Rig) -> None:
    await rig.worker()
    answer = await rig.rename("overdue")
    assert answer.status == "succeeded"
    assert await rig.scalar("SELECT count(*) FROM bus.dead_letters") == 0


async def test_later_messages_of_a_failed_key_wait_and_keep_their_order(rig: Rig) -> None:
    await rig.worker(retry_attempts=1000)
    tenant = new_id("tenant")
    rig.ledger.failing.add("first")
    waiting = [asyncio.create_task(rig.rename("first", tenant, wait_seconds=15))]
    await eventually(lambda: rig.ledger.handled.count("first") >= 1)
    for number, name in enumerate(("second", "third", "fourth"), start=2):
        waiting.append(asyncio.create_task(rig.rename(name, tenant, wait_seconds=15)))
        await eventually(partial(parked, rig, number))
    assert (await rig.rename("other")).status == "succeeded", "other keys go on"
    assert not {"second", "third", "fourth"} & set(rig.ledger.handled)
    rig.ledger.failing.clear()
    assert {answer.status for answer in await asyncio.gather(*waiting)} == {"succeeded"}
    later = [name for name in rig.ledger.handled if name in ("second", "third", "fourth")]
    assert later == ["second", "third", "fourth"]
    assert await rig.scalar("SELECT count(*) FROM bus.retries") == 0


async def test_a_copy_of_a_message_that_is_being_retried_does_not_take_its_place(rig: Rig) -> None:
    """The edge stores a command that is not answered in time; its copy comes while the first is being retried."""
    await rig.worker(retry_attempts=1000)
    tenant = new_id("tenant")
    rig.ledger.failing.add("late")
    await rig.rename("warm up")
    assert (await rig.rename("late", tenant, wait_seconds=1)).status == "pending"
    await eventually(lambda: rig.ledger.handled.count("late") >= 1)
    await rig.relay.run_once()
    behind = asyncio.create_task(rig.rename("behind", tenant, wait_seconds=15))
    await eventually(lambda: stored(rig, 2))
    await rig.relay.run_once()
    await eventually(lambda: parked(rig, 2))
    rig.ledger.failing.clear()
    assert (await behind).status == "succeeded"
    assert await rig.scalar("SELECT count(*) FROM bus.retries") == 0


async def test_a_long_line_behind_a_key_is_run_together_and_in_order(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """One by one, what comes meanwhile would queue up faster than the line gets shorter."""
    worker = await rig.worker(retry_attempts=1000)
    tenant = new_id("tenant")
    rig.ledger.failing.add("first")
    names = ["first", *(f"n{number}" for number in range(150))]
    commands = [RenameTenant(tenant_id=tenant, name=name) for name in names]
    await rig.transport.publisher.send([(COMMANDS, wrap(c, tenant_id=tenant, source="/test")) for c in commands])
    await eventually(lambda: parked(rig, len(names)))
    processor = worker.serving[0].processor
    together, transactions = processor._together, 0

    async def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal transactions
        transactions += "first" not in rig.ledger.failing
        return await together(*arguments, **options)

    monkeypatch.setattr(Processor, "_together", lambda self, *arguments, **options: counted(*arguments, **options))
    rig.ledger.failing.clear()
    await eventually(lambda: parked(rig, 0))
    done = [name for name in rig.ledger.handled if name != "first"]
    assert done == names[1:]
    assert transactions < 10


async def test_a_line_with_a_failing_message_is_run_up_to_it(rig: Rig) -> None:
    await rig.worker(retry_attempts=1000)
    tenant = new_id("tenant")
    rig.ledger.failing |= {"first", "n5"}
    names = ["first", *(f"n{number}" for number in range(10))]
    commands = [RenameTenant(tenant_id=tenant, name=name) for name in names]
    await rig.transport.publisher.send([(COMMANDS, wrap(c, tenant_id=tenant, source="/test")) for c in commands])
    await eventually(lambda: parked(rig, len(names)))
    rig.ledger.failing.discard("first")
    await eventually(lambda: parked(rig, 5))
    rig.ledger.failing.clear()
    await eventually(lambda: parked(rig, 0))
    assert await rig.scalar("SELECT count(*) FROM bus.inbox WHERE consumer_group = 'tenants'") == len(names)
    applied = await rig.admin.fetch("SELECT data FROM bus.event_log ORDER BY position")
    assert [json.loads(row["data"])["name"] for row in applied] == names


async def test_a_copy_of_what_was_handled_does_not_wait_behind_its_key(rig: Rig) -> None:
    """As after a broker that lost its data and was filled again."""
    await rig.worker(retry_attempts=1000)
    tenant = new_id("tenant")
    envelope = wrap(RenameTenant(tenant_id=tenant, name="early"), tenant_id=tenant, source="/test")
    await rig.transport.publisher.send([(COMMANDS, envelope)])
    await eventually(lambda: inbox_holds(rig, 1))
    rig.ledger.failing.add("stuck")
    stuck = RenameTenant(tenant_id=tenant, name="stuck")
    later = RenameTenant(tenant_id=tenant, name="later")
    await rig.transport.publisher.send([(COMMANDS, wrap(stuck, tenant_id=tenant, source="/test"))])
    await eventually(lambda: parked(rig, 1))
    await rig.transport.publisher.send(
        [(COMMANDS, envelope), (COMMANDS, wrap(later, tenant_id=tenant, source="/test"))]
    )
    await eventually(lambda: parked(rig, 2))
    waiting = await rig.admin.fetch("SELECT data FROM bus.retries ORDER BY position")
    assert [json.loads(row["data"])["name"] for row in waiting] == ["stuck", "later"]
    rig.ledger.failing.clear()
    await eventually(lambda: parked(rig, 0))
    assert rig.ledger.handled.count("early") == 1


async def parked(rig: Rig, count: int) -> bool:
    return bool(await rig.scalar("SELECT count(*) FROM bus.retries") == count)


async def test_who_waits_behind_nobody_is_run(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a crash between the success of the first in a line and the call of the next."""
    monkeypatch.setattr("prog_broker.retrying.ORPHANS_SECONDS", 1.0)  # they are looked for every ten seconds
    await rig.worker(retry_attempts=1000)
    tenant = new_id("tenant")
    rig.ledger.failing.add("first")
    await rig.rename("first", tenant, wait_seconds=0)
    await rig.relay.run_once()
    await eventually(lambda: parked(rig, 1))
    behind = asyncio.create_task(rig.rename("behind", tenant, wait_seconds=15))
    await eventually(lambda: stored(rig, 2))
    await rig.relay.run_once()
    await eventually(lambda: parked(rig, 2))
    await rig.admin.execute("DELETE FROM bus.retries WHERE state = 'retry'")
    assert (await behind).status == "succeeded"


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("partitionkey", "a\u0000b"), ("actor", "\u0000"), ("subject", "s" * 9000), ("actor", "a\u0000")],
)
async def test_attributes_that_no_row_can_hold_make_a_dead_letter_and_the_partition_goes_on(
    rig: Rig, attribute: str, value: str
) -> None:
    tenant = new_id("tenant")
    command = RenameTenant(tenant_id=tenant, name="after")
    envelope = wrap(command, tenant_id=tenant, source="/test", actor="user_x")
    bad = json.loads(envelope.attributes()) | {attribute: value, "id": str(new_message_id())}
    await rig.put(COMMANDS, COMMANDS.partition_of(tenant), bad, envelope.data)
    await rig.worker()
    assert (await rig.rename("after", tenant, wait_seconds=15)).status == "succeeded"
    assert await rig.scalar("SELECT count(*) FROM bus.dead_letters") == 1
    await eventually(lambda: nothing_waits(rig))
    assert await rig.held(TOPICS["prog.tenants.dead"]) == 1, "announced on the topic of dead letters"


async def test_a_body_with_nul_in_a_field_s_name_makes_a_dead_letter(rig: Rig) -> None:
    tenant = new_id("tenant")
    envelope = wrap(RenameTenant(tenant_id=tenant, name="x"), tenant_id=tenant, source="/test")
    bad = rig.signed(replace(envelope, data=b'{"tenant_id": {"\\u0000": 1}, "name": "\\u0000"}'))
    await rig.put(COMMANDS, COMMANDS.partition_of(tenant), json.loads(bad.attributes()), bad.data)
    await rig.worker()
    assert (await rig.rename("after", tenant, wait_seconds=15)).status == "succeeded"
    assert await rig.scalar("SELECT code FROM bus.dead_letters") == "invalid_body"


async def test_a_refused_message_makes_one_letter_however_often_it_comes(rig: Rig) -> None:
    tenant = new_id("tenant")
    envelope = wrap(RenameTenant(tenant_id=tenant, name="x"), tenant_id=tenant, source="/test")
    for _ in range(3):
        await rig.put(COMMANDS, COMMANDS.partition_of(tenant), json.loads(envelope.attributes()), b"{}")
        await rig.put(COMMANDS, COMMANDS.partition_of(tenant), b"rubbish", b"")
    await rig.worker()
    await rig.rename("after", tenant, wait_seconds=15)
    assert await rig.scalar("SELECT count(*) FROM bus.dead_letters") == 2


async def test_two_workers_without_names_share_and_two_of_one_name_do_not_fight(rig: Rig) -> None:
    names = {Settings(database_url="postgresql://h/d", redis_url="redis://h", secret_keys=("k" * 32,)).process_name
             for _ in range(2)}  # fmt: skip
    assert len(names) == 2
    first = await rig.worker("same", lease_seconds=0.3)
    await eventually(lambda: len(first.serving[0].keeper._held()) == len(first.serving[0].keeper.owned))
    second = await rig.worker("same", lease_seconds=0.3)
    await eventually(lambda: first.serving[0].keeper.superseded)
    assert not second.serving[0].keeper.superseded
    assert (await rig.rename("works")).status == "succeeded"


async def test_a_defect_makes_a_dead_letter_with_its_traceback_and_parks_the_key(rig: Rig) -> None:
    await rig.worker()
    tenant = new_id("tenant")
    answer = await rig.rename("defect", tenant)
    assert answer.status == "dead"
    assert answer.error is not None
    assert "RuntimeError" not in answer.error.message, "the caller learns nothing of our insides"
    row = await rig.admin.fetchrow("SELECT * FROM bus.dead_letters")
    assert row is not None
    assert "RuntimeError: a defect of the handler" in row["traceback"]
    behind = await rig.rename("behind", tenant, wait_seconds=0.3)
    assert behind.status == "pending"
    assert await rig.scalar("SELECT state FROM bus.retries ORDER BY position DESC LIMIT 1") == "waiting"


async def test_a_statement_with_too_many_arguments_is_a_defect_and_no_outage(rig: Rig) -> None:
    """asyncpg raises InterfaceError for it, as it does for a lost connection; the shard must not wait for it."""
    await rig.worker()
    tenant = new_id("tenant")
    assert (await rig.rename("miscounted", tenant, wait_seconds=60)).status == "dead"
    [letter] = await rig.admin.fetch("SELECT reason, traceback FROM bus.dead_letters")
    assert letter["reason"].startswith("WrongStatement: the server expects 1 argument")
    assert "in rename" in letter["traceback"]
    assert (await rig.rename("another", wait_seconds=60)).status == "succeeded"


async def test_a_worker_that_is_gone_leaves_nothing_unhandled(rig: Rig) -> None:
    """Its tasks are cut in the middle of a batch, as by kill -9; another worker takes the shard when the lease ends."""
    dying = await rig.worker("worker-1")
    tenant = new_id("tenant")
    waiting = asyncio.create_task(rig.rename("slow one", tenant))
    await eventually(lambda: rig.ledger.handled == ["slow one"])
    transport: Any = dying.transport
    readers: list[Any] = list(transport.broker.subscribers)
    cut = [*dying._tasks, *(task for reader in readers for task in reader.tasks)]
    await cancelled(cut)
    for serving in dying.serving:
        serving.resources.database.pool.terminate()
    rig.workers.remove(dying)
    rig.ledger.gate.set()
    await rig.worker("worker-2")
    answer = await waiting
    assert answer.status in ("succeeded", "pending")
    await eventually(lambda: inbox_holds(rig, 1))
    assert await rig.scalar("SELECT count(*) FROM bus.event_log") == 1
    await transport.broker.config.disconnect()
    await transport.close()
    await dying.redis.aclose()


async def inbox_holds(rig: Rig, count: int) -> bool:
    return bool(await rig.scalar("SELECT count(*) FROM bus.inbox WHERE consumer_group = 'tenants'") == count)


async def test_an_owner_that_lost_its_lease_cannot_commit(rig: Rig) -> None:
    worker = await rig.worker()
    processor = worker.serving[0].processor
    tenant = new_id("tenant")
    command = RenameTenant(tenant_id=tenant, name="late")
    shard = Shard("tenants", COMMANDS, COMMANDS.partition_of(tenant))
    envelope = wrap(command, tenant_id=tenant, source="/test")
    with pytest.raises(Fenced):
        await processor.process(shard, -1, [Delivery(b"1-1", envelope.attributes(), envelope.data)])
    assert rig.ledger.handled == []
    assert await rig.scalar("SELECT count(*) FROM bus.inbox") == 0


async def test_two_workers_share_the_shards_and_a_leaver_gives_them_back(rig: Rig) -> None:
    first = await rig.worker("worker-1")
    second = await rig.worker("worker-2")

    def held(worker: Any) -> int:
        return len(worker.serving[0].keeper._held())

    every = len(first.serving[0].keeper.owned)
    await eventually(lambda: held(first) == held(second) == every / 2)
    partitions = [owned.shard.partition for owned in first.serving[0].keeper._held() if owned.shard.topic == COMMANDS]
    assert len(partitions) == COMMANDS.partitions / 2, "a busy topic is parted too"
    rig.workers.remove(second)
    await second.stop()
    await eventually(lambda: held(first) == every, seconds=rig.settings.lease_seconds * 3)


async def test_a_long_batch_on_a_shard_that_is_given_back_does_not_cost_the_other_leases(rig: Rig) -> None:
    first = await rig.worker("worker-1")
    # The last half of a worker's shards is what it gives back to the second worker.
    tenant = next(tenant for tenant in iter(lambda: new_id("tenant"), "") if COMMANDS.partition_of(tenant) == 3)
    slow = asyncio.create_task(rig.rename("slow one", tenant, wait_seconds=60))
    await eventually(lambda: rig.ledger.handled == ["slow one"])
    owned = first.serving[0].keeper.owned
    await rig.worker("worker-2")
    await eventually(lambda: len(first.serving[0].keeper._held()) <= len(owned) / 2)
    kept = {key for key, shard in owned.items() if shard.gained.is_set()}
    moment = await rig.scalar("SELECT clock_timestamp() + make_interval(secs => $1)", rig.settings.lease_seconds * 2)
    await eventually(lambda: rig.scalar("SELECT clock_timestamp() > $1", moment))
    owners = await rig.admin.fetch(
        "SELECT topic, partition, owner FROM bus.shard_leases WHERE consumer_group = 'tenants'"
    )
    assert kept <= {(row["topic"], row["partition"]) for row in owners if row["owner"] == "worker-1"}
    rig.ledger.gate.set()
    await slow


async def test_a_restart_under_the_same_name_takes_its_leases_at_once(rig: Rig) -> None:
    shards = [Shard("tenants", COMMANDS, partition) for partition in range(COMMANDS.partitions)]
    worker = await rig.worker("worker-1", lease_seconds=300.0)
    database = worker.serving[0].resources.database
    every = len(worker.serving[0].keeper.owned)
    await eventually(lambda: len(worker.serving[0].keeper._held()) == every)
    reborn = LeaseKeeper(database, "tenants", "worker-1", shards, lease_seconds=300.0)
    await reborn.turn()
    assert len(reborn._held()) == 4
    assert all(owned.token >= 2 for owned in reborn.owned.values()), "a new token fences the old incarnation"


async def test_shutdown_finishes_the_batch_at_work(rig: Rig) -> None:
    worker = await rig.worker()
    waiting = asyncio.create_task(rig.rename("slow shutdown"))
    await eventually(lambda: rig.ledger.handled == ["slow shutdown"])
    stopping = asyncio.create_task(worker.stop())
    rig.workers.remove(worker)
    await asyncio.sleep(0)
    rig.ledger.gate.set()
    await stopping
    assert (await waiting).status == "succeeded"
    assert await nothing_waits(rig)
    owners = {row["owner"] for row in await rig.admin.fetch("SELECT owner FROM bus.shard_leases")}
    assert owners == {""}, "leases are given back"


async def test_a_command_that_nobody_answers_is_stored_before_it_is_called_accepted(rig: Rig) -> None:
    tenant = new_id("tenant")
    answer = await rig.rename("later", tenant, wait_seconds=0.05)
    assert answer.status == "pending"
    assert await rig.scalar("SELECT count(*) FROM bus.command_outbox WHERE message_id = $1", answer.message_id) == 1
    await rig.relay.run_once()
    await rig.worker()
    await eventually(lambda: inbox_holds(rig, 1))
    assert rig.ledger.handled == ["later"], "broker and outbox both held it; the inbox made the two one"


async def test_a_lost_group_is_made_again_from_the_beginning(rig: Rig) -> None:
    await rig.worker()
    assert (await rig.rename("before")).status == "succeeded"
    await rig.relay.run_once()
    await rig.lose_everything()
    assert await rig.relay.run_once() == 1, "it notices, makes the topics again and fills them"
    answer = await rig.rename("after", wait_seconds=30)
    assert answer.status == "succeeded"
    await eventually(lambda: sorted(set(rig.ledger.heard)) == ["before"])


async def test_without_a_broker_the_command_is_stored(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_: Any) -> None:
        raise Unavailable("the broker does not answer")

    monkeypatch.setattr(rig.transport.publisher, "send", away)
    answer = await rig.rename("stored")
    assert answer.status == "pending"
    assert await rig.scalar("SELECT count(*) FROM bus.command_outbox WHERE published_at IS NULL") == 1


async def test_a_reader_whose_lease_is_gone_holds_nothing_back(rig: Rig) -> None:
    """A paused owner is still blocked in its read when the next one has the shard: what comes reaches the next one."""
    stale = await rig.worker("stale", lease_seconds=0.5)
    await rig.rename("before")
    for task in stale._tasks:
        task.cancel()  # nothing renews its leases any more, and its readers go on
    await rig.worker("next", lease_seconds=0.5)
    every = await rig.scalar("SELECT count(*) FROM bus.shard_leases")
    await eventually(lambda: leases_of(rig, "next", every))
    names = [f"after{number}" for number in range(20)]
    answers = await asyncio.gather(*(rig.rename(name) for name in names))
    assert {answer.status for answer in answers} == {"succeeded"}
    assert sorted(rig.ledger.handled) == sorted(["before", *names])


async def leases_of(rig: Rig, owner: str, count: int) -> bool:
    return bool(await rig.scalar("SELECT count(*) FROM bus.shard_leases WHERE owner = $1", owner) == count)


async def test_what_follows_a_stored_command_of_its_key_does_not_overtake_it(rig: Rig) -> None:
    """The outbox holds the first, the broker would have the second at once."""
    await rig.worker()
    tenant = new_id("tenant")
    assert (await rig.rename("first", tenant, wait_seconds=0)).status == "pending"
    second = asyncio.create_task(rig.rename("second", tenant, wait_seconds=15))
    assert (await rig.rename("of another key")).status == "succeeded"
    await eventually(lambda: stored(rig, 2))
    await rig.relay.run_once()
    assert (await second).status == "succeeded"
    assert (await rig.rename("third", tenant)).status == "succeeded", "and directly again"
    assert await stored(rig, 2)
    assert [name for name in rig.ledger.handled if name != "of another key"] == ["first", "second", "third"]


async def stored(rig: Rig, count: int) -> bool:
    return bool(await rig.scalar("SELECT count(*) FROM bus.command_outbox") == count)


async def test_a_worker_whose_leases_are_not_kept_any_more_ends(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect in a background task must not leave a process that only looks alive."""

    async def broken(_: LeaseKeeper) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(LeaseKeeper, "turn", broken)
    worker = Worker(domains(rig.ledger), rig.settings)
    with pytest.raises(RuntimeError, match="a defect"):
        await worker.run()
