"""The relay: commit order without gaps, at least once, and a refill when the broker has lost its data."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
import orjson
import pytest

from prog_broker import sql
from prog_broker.redis.connection import connect
from prog_broker.redis.streams import EVENTS_WAIT, WAKE_CHANNEL
from prog_broker.relay import IDLE_SECONDS, Relay, RelayProcess
from prog_contracts.envelope import wrap
from prog_contracts.errors import Unavailable
from prog_contracts.ids import new_id
from prog_contracts.tenants import RenameTenant, TenantUpdated
from prog_contracts.topics import TOPICS, topic_of
from prog_kit.tasks import cancelled
from prog_kit.telemetry import OUTBOX_OLDEST_SECONDS, OUTBOX_PENDING
from tests.integration.broker.conftest import Rig, eventually

INSERT = """
INSERT INTO bus.event_log (message_id, kind, topic, source_domain, type, schema_version, tenant_id, partition_key,
                           correlation_id, occurred_at, data)
VALUES ($1, 'event', $2, 'tenants', $3, 1, $4, $4, $1, $5, $6)
"""


async def append(connection: Any, name: str, tenant_id: str | None = None) -> None:
    event = TenantUpdated(tenant_id=tenant_id or new_id("tenant"), name=name, status="active")
    envelope = wrap(event, tenant_id=event.tenant_id, source="/test")
    await connection.execute(
        INSERT, envelope.id, topic_of(event).name, envelope.type, envelope.tenant_id, envelope.time, envelope.data
    )


async def relay_patiently(rig: Rig, relay: Relay | None = None) -> int:
    """As the relay's process does: again after an outage, such as a topic without a leader yet."""
    found: list[int] = []

    async def once() -> bool:
        try:
            found.append(await (relay or rig.relay).run_once())
        except Unavailable:
            return False
        return True

    await eventually(once, seconds=60)
    return found[0]


async def held_names(rig: Rig, count: int) -> set[str]:
    """The names in the events that the broker holds, once there are so many."""
    names: set[str] = set()
    async with asyncio.timeout(60):
        async for _, _, delivery in rig.transport.follow([topic_of(TenantUpdated)], from_start=True):
            names.add(orjson.loads(delivery.data)["name"])
            if len(names) == count:
                break
    return names


async def published(rig: Rig) -> int:
    return await rig.held(topic_of(TenantUpdated))


async def test_a_row_that_commits_late_with_a_lower_position_is_not_skipped(rig: Rig) -> None:
    slow = await asyncpg.connect(rig.settings.database_url)
    try:
        transaction = slow.transaction()
        await transaction.start()
        await append(slow, "slow")
        await append(rig.admin, "quick")
        assert await rig.relay.run_once() == 0, "nothing above a running transaction is final"
        await transaction.commit()
        assert await rig.relay.run_once() == 2
    finally:
        await slow.close()


async def test_transactions_go_out_in_the_order_of_their_numbers_not_of_their_digits(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"of transaction {txid}" for txid in (9, 10, 99, 100)]
    for name in names:
        await append(rig.admin, name)
        txid = name.rpartition(" ")[2]
        await rig.admin.execute("UPDATE bus.event_log SET txid = $1::text::xid8, topic = topic WHERE txid = "
                                "(SELECT max(txid) FROM bus.event_log)", txid)  # fmt: skip
    sent: list[str] = []
    publish_after = rig.transport.publish_after

    async def note(marker: Any, envelopes: Any, mark: str) -> bool:
        sent.extend(TenantUpdated.model_validate_json(envelope.data).name for _, envelope in envelopes)
        return await publish_after(marker, envelopes, mark)

    monkeypatch.setattr(rig.transport, "publish_after", note)
    assert await rig.relay.run_once() == 4
    assert sent == names


async def test_a_crash_between_publishing_and_the_cursor_publishes_again(rig: Rig) -> None:
    await append(rig.admin, "a")
    await rig.relay.run_once()
    await rig.admin.execute("UPDATE bus.relay_cursors SET txid = '0', position = 0")
    assert await Relay(rig.relay._database, rig.transport, rig.redis).run_once() == 1
    assert await published(rig) == 2


async def test_a_restarted_relay_goes_on_where_it_stood(rig: Rig) -> None:
    await append(rig.admin, "a")
    await rig.relay.run_once()
    await append(rig.admin, "b")
    assert await Relay(rig.relay._database, rig.transport, rig.redis).run_once() == 1


async def test_an_emptied_broker_is_filled_again(rig: Rig) -> None:
    for number in range(5):
        await append(rig.admin, str(number))
    await rig.relay.run_once()
    await rig.lose_everything()
    await append(rig.admin, "after")
    assert await relay_patiently(rig) == 6, "the running relay notices by itself, before it goes on"
    assert await published(rig) == 6


async def test_a_cycle_for_events_alone_hears_of_a_loss_when_it_publishes(rig: Rig) -> None:
    await append(rig.admin, "before")
    await rig.relay.run_once()
    await rig.lose_everything()
    await append(rig.admin, "after")

    async def published_all() -> bool:
        with suppress(Unavailable):
            await rig.relay.run_once(events_alone=True)
        return await published(rig) == 2

    await eventually(published_all, seconds=60)


async def test_everything_is_looked_at_again_when_events_were_all_that_was_told_of_for_a_while(rig: Rig) -> None:
    process = RelayProcess(rig.settings)
    assert [process._may_take_events_alone(at) for at in (0, 0.1, 0.2)] == [False, True, True]
    assert [process._may_take_events_alone(at) for at in (IDLE_SECONDS, IDLE_SECONDS + 0.1)] == [False, True]


async def test_a_stored_command_is_looked_for_though_nothing_but_events_is_told_of(rig: Rig) -> None:
    """Whoever stored it may have lost the word about it, and an older version's says nothing of what it is."""
    async with relaying(rig) as process:
        await append(rig.admin, "before")
        await eventually(lambda: told_of_events(rig), seconds=60)
        await eventually(lambda: process._events_alone, seconds=60)  # everything has been looked at
        await store_command(rig, "stored")

        async def went_out() -> bool:
            return await told_of_events(rig) and not await waiting_commands(rig)

        await eventually(went_out, seconds=60)


async def test_many_stored_commands_go_out_one_batch_after_the_other(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after an outage of the broker: nobody wakes the relay for each batch of them, and it does not wait for it."""
    monkeypatch.setattr("prog_broker.relay.BATCH", 2)
    monkeypatch.setattr("prog_broker.relay.IDLE_SECONDS", 3600.0)
    for number in range(7):
        await store_command(rig, str(number))
    async with relaying(rig):
        await eventually(lambda: no_command_waits(rig), seconds=60)


@asynccontextmanager
async def relaying(rig: Rig) -> AsyncIterator[RelayProcess]:
    process = RelayProcess(rig.settings)
    task = asyncio.create_task(process.run_until_stopping())
    try:
        await eventually(lambda: process.ready, seconds=60)
        yield process
    finally:
        process.stopping.set()
        await task


async def store_command(rig: Rig, name: str) -> None:
    command = RenameTenant(tenant_id=new_id("tenant"), name=name)
    envelope = wrap(command, tenant_id=command.tenant_id, source="/test")
    await rig.admin.execute(
        sql.STORE_COMMAND, envelope.id, envelope.tenant_id, topic_of(command).name, envelope.partition_key,
        envelope.attributes().decode(), envelope.data,
    )  # fmt: skip


async def told_of_events(rig: Rig) -> bool:
    """Wakes the relay as a worker does; whether it was there to hear."""
    return await rig.redis.publish(WAKE_CHANNEL, EVENTS_WAIT) > 0


async def waiting_commands(rig: Rig) -> int:
    return int(await rig.scalar("SELECT count(*) FROM bus.command_outbox WHERE published_at IS NULL"))


async def no_command_waits(rig: Rig) -> bool:
    return await waiting_commands(rig) == 0


async def test_a_broker_that_lost_its_newest_entries_gets_those_again(rig: Rig) -> None:
    await append(rig.admin, "kept")
    await rig.relay.run_once()
    before = await rig.transport.marker()
    assert before is not None
    await append(rig.admin, "lost")
    await rig.relay.run_once()
    await rig.transport.publish_after(await rig.transport.marker(), [], before)
    assert await rig.relay.run_once() == 1


async def test_data_lost_while_a_batch_goes_out_is_filled_again_in_order(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes out beside a gap would be handled before what the gap held: the order of a key would be lost."""
    tenant = new_id("tenant")
    await append(rig.admin, "before", tenant)
    await rig.relay.run_once()
    publish_after = rig.transport.publish_after
    lost = False

    async def lose_everything_first(*batch: Any) -> bool:
        nonlocal lost
        if not lost:
            lost = True
            await rig.lose_everything()
        return await publish_after(*batch)

    monkeypatch.setattr(rig.transport, "publish_after", lose_everything_first)
    await append(rig.admin, "during", tenant)
    await relay_patiently(rig)
    await rig.worker()
    await eventually(lambda: rig.ledger.heard == ["before", "during"], seconds=60)


async def test_a_crash_in_the_middle_of_a_refill_goes_on_with_it(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        await append(rig.admin, str(number))
    await rig.relay.run_once()
    await rig.lose_everything()
    monkeypatch.setattr("prog_broker.relay.BATCH", 1)
    keep, kept = rig.relay._keep, 0

    async def crash_after_two(cursor: Any) -> None:
        nonlocal kept
        await keep(cursor)
        kept += 1
        if kept == 2:
            raise RuntimeError("the relay dies here")

    monkeypatch.setattr(rig.relay, "_keep", crash_after_two)
    with pytest.raises(RuntimeError):
        await relay_patiently(rig)
    await relay_patiently(rig, Relay(rig.relay._database, rig.transport, rig.redis))
    assert await held_names(rig, 4) == {"0", "1", "2", "3"}


async def test_promised_commands_are_published_again_too(rig: Rig) -> None:
    await append(rig.admin, "event")
    answer = await rig.rename("promised", wait_seconds=0)
    assert answer.status == "pending"
    await rig.relay.run_once()
    await rig.lose_everything()
    await relay_patiently(rig)
    await rig.worker()
    await eventually(lambda: rig.ledger.handled == ["promised"])


async def test_a_broker_that_lost_commands_alone_gets_them_again_before_what_is_new(rig: Rig) -> None:
    """As after a power cut while nothing but stored commands went out: the note that is left is older, too."""
    await append(rig.admin, "event")
    await rig.relay.run_once()
    tenant = new_id("tenant")
    before = await rig.transport.marker()
    assert before is not None
    assert (await rig.rename("first", tenant, wait_seconds=0)).status == "pending"
    assert await rig.relay.run_once() == 1
    if rig.transport.kind == "redis":
        topic = TOPICS["prog.tenants.commands"]
        for partition in range(topic.partitions):
            await rig.redis.xtrim(topic.stream(partition), maxlen=0, approximate=False)
    await rig.transport.publish_after(await rig.transport.marker(), [], before)
    assert (await rig.rename("second", tenant, wait_seconds=0)).status == "pending"
    restarted = Relay(rig.relay._database, rig.transport, rig.redis)
    assert await restarted.run_once() == 2
    assert await restarted.run_once() == 0, "once is enough"
    await rig.worker()
    await eventually(lambda: rig.ledger.handled == ["first", "second"])


async def test_more_bytes_than_a_batch_of_the_broker_holds_go_out_in_order(rig: Rig) -> None:
    tenant = new_id("tenant")
    for number in range(12):
        await append(rig.admin, f"{number:02} {'x' * 200_000}", tenant)
    await relay_patiently(rig)
    names = []
    async with asyncio.timeout(60):
        async for _, _, delivery in rig.transport.follow([topic_of(TenantUpdated)], from_start=True):
            names.append(orjson.loads(delivery.data)["name"][:2])
            if len(names) == 12:
                break
    assert names == [f"{number:02}" for number in range(12)]


async def test_what_waits_is_told_while_the_broker_is_away(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    process = RelayProcess(rig.settings)

    async def away(*_: Any) -> bool:
        raise Unavailable("the broker does not answer")

    monkeypatch.setattr(process._transport, "publish_after", away)
    for number in range(3):
        await append(rig.admin, str(number))
    work = asyncio.create_task(process._work())
    try:
        await eventually(lambda: gauge(OUTBOX_PENDING) == 3 and gauge(OUTBOX_OLDEST_SECONDS) > 0, seconds=20)
        await append(rig.admin, "one more")
        await eventually(lambda: gauge(OUTBOX_PENDING) == 4, seconds=20)
    finally:
        await cancelled([work])
        await process._transport.close()
        await process._client.aclose()


async def test_a_long_backlog_is_counted_up_to_a_limit_and_its_age_is_the_first_one_s(rig: Rig) -> None:
    for number in range(5):
        await append(rig.admin, str(number))
    await rig.admin.execute(
        "UPDATE bus.event_log SET recorded_at = recorded_at - interval '1 hour'"
        " WHERE position = (SELECT min(position) FROM bus.event_log)"
    )
    pending, oldest_seconds = await rig.relay.backlog(most=3)
    assert pending == 3
    assert 3600 <= oldest_seconds < 3700
    pending, _ = await rig.relay.backlog()
    assert pending == 5


async def test_a_redis_that_is_away_and_carries_no_messages_holds_the_relay_up_for_none(rig: Rig) -> None:
    """Where Kafka is the broker, Redis only tells the live streams how far the relay is."""
    nowhere = connect("redis://127.0.0.1:1")
    relay = Relay(rig.relay._database, rig.transport, nowhere)
    await append(rig.admin, "a")
    assert await relay_patiently(rig, relay) == 1
    assert await rig.scalar("SELECT position FROM bus.relay_cursors") > 0


def gauge(each: Any) -> float:
    return float(next(iter(each.collect())).samples[0].value)


async def test_a_stored_command_that_nobody_can_read_does_not_hold_up_the_others(rig: Rig) -> None:
    await rig.admin.execute(
        """
        INSERT INTO bus.command_outbox (message_id, tenant_id, topic, partition_key, attributes, data)
        VALUES (gen_random_uuid(), 'tenant_x', 'prog.no.such', 'k', '{}', ''),
               (gen_random_uuid(), 'tenant_x', 'prog.tenants.commands', 'k', 'rubbish', '')
        """
    )
    await rig.rename("behind", wait_seconds=0)
    assert await rig.relay.run_once() == 3
    await rig.worker()
    await eventually(lambda: rig.ledger.handled == ["behind"])
    published = 0

    async def the_event_is_out() -> bool:
        nonlocal published
        published += await rig.relay.run_once()
        return published > 0

    await eventually(the_event_is_out)
    assert published == 1, "the event of what was handled, and nothing again"


async def test_a_full_server_costs_no_worker(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Redis refuses for want of memory is an outage: the worker lives, and goes on when there is room again."""
    worker = await rig.worker()
    real = rig.redis
    await real.config_set("maxmemory", "1")
    try:
        answer = await rig.rename("stored meanwhile", wait_seconds=1)
        assert answer.status in ("pending", "succeeded")
    finally:
        await real.config_set("maxmemory", "0")
    assert (await rig.rename("after", wait_seconds=60)).status == "succeeded"
    assert not any(task.done() for task in worker._tasks)
