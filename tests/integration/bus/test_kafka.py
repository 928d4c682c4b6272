"""The same promises on a real Kafka, where the group's assignment takes the place of leases."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from prog_broker import Bus
from prog_broker.bus import Context, PostgresInbox
from prog_contracts.envelope import Envelope, wrap
from prog_contracts.errors import Unavailable
from prog_contracts.ids import new_id, new_message_id
from prog_contracts.tenants import RenameTenant, TenantUpdated
from prog_contracts.topics import TOPICS
from prog_kit.tasks import cancelled
from tests.integration.bus.conftest import Buses, eventually, updated
from tests.kafka import bootstrap

EVENTS = TOPICS["prog.tenants.events"]


@pytest.fixture
def prefix() -> str:
    return f"t{new_message_id().hex[-10:]}."


@pytest.fixture
async def buses(kafka_url: str, prefix: str) -> AsyncIterator[Buses]:
    made = Buses(kafka_url, kafka_topic_prefix=prefix)
    yield made
    await made.close()


async def records(kafka_url: str, topic: str, count: int) -> list[Any]:
    """The first `count` records of a topic of one partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap(kafka_url))
    place = TopicPartition(topic, 0)
    consumer.assign([place])
    await consumer.start()
    try:
        await consumer.seek_to_beginning(place)
        async with asyncio.timeout(60):
            return [await consumer.getone(place) for _ in range(count)]
    finally:
        await consumer.stop()


async def committed(kafka_url: str, prefix: str, group: str) -> int:
    """How many messages of EVENTS the group has behind it."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap(kafka_url), group_id=f"{prefix}{group}")
    places = [TopicPartition(f"{prefix}{EVENTS.name}", n) for n in range(EVENTS.partitions)]
    consumer.assign(places)
    await consumer.start()
    try:
        return sum([await consumer.committed(place) or 0 for place in places])
    finally:
        await consumer.stop()


def held(bus: Any) -> int:
    return len(bus._readers[0]._consumer.assignment())


async def test_what_was_there_and_what_comes_is_handled_in_order(buses: Buses, kafka_url: str, prefix: str) -> None:
    names: list[str] = []
    envelopes: list[Envelope] = []
    bus, tenant = buses(batch_size=100), new_id("tenant")

    @bus.subscribe_batch(TenantUpdated, group="crm")
    async def hear(events: list[TenantUpdated]) -> None:
        assert len(events) <= 100
        names.extend(event.name for event in events)

    @bus.subscribe_types("prognetwork.tenants.*", group="audit")
    async def audit(envelope: Envelope) -> None:
        envelopes.append(envelope)

    first, second = [f"a{n}" for n in range(700)], [f"b{n}" for n in range(50)]
    publisher = buses()
    plan = bus._plans["crm"]
    from prog_broker.kafka.connection import Names
    from prog_broker.kafka.topics import ensure

    await ensure(Names(bootstrap(kafka_url), prefix), plan.topics.values(), replication=0)
    await publisher.publish_many([updated(name, tenant) for name in first], tenant_id=tenant)
    await bus.start()
    await eventually(lambda: names == first)
    await bus.publish_many([updated(name, tenant) for name in second], tenant_id=tenant)
    await eventually(lambda: names == first + second)
    await eventually(lambda: len(envelopes) == len(names))
    assert {envelope.tenant_id for envelope in envelopes} == {tenant}

    async def all_committed() -> bool:
        return await committed(kafka_url, prefix, "crm") == len(names)

    await eventually(all_committed)


async def test_bad_messages_and_failing_handlers_make_dead_letters_and_the_partition_goes_on(
    buses: Buses, kafka_url: str, prefix: str
) -> None:
    tries: list[str] = []
    bus = buses(attempts=3)

    @bus.subscribe(TenantUpdated, group="crm")
    async def hear(event: TenantUpdated) -> None:
        tries.append(event.name)
        if event.name == "bad":
            raise RuntimeError("no way")

    await bus.start()
    event = updated("first")
    partition = EVENTS.partition_of(event.tenant_id)
    envelope = wrap(event, tenant_id=event.tenant_id, source="/test")
    good = envelope.headers()
    await bus.publish(event)
    async with AIOKafkaProducer(bootstrap_servers=bootstrap(kafka_url)) as producer:
        for headers, value in [
            ([], b"nothing of ours"),
            ([("ce_id", b"\xff")], envelope.data),
            ([*good[:8], ("ce_schemaversion", b"9"), *good[9:]], envelope.data),
            (good, b'{"tenant_id": 7}'),
            ([*good, ("x-of-others", "å".encode())], None),
        ]:
            await producer.send_and_wait(
                f"{prefix}{EVENTS.name}", value, key=b"k", partition=partition, headers=headers
            )
    await bus.publish_many([event.model_copy(update={"name": name}) for name in ("bad", "last")])
    await eventually(lambda: "last" in tries)
    assert tries == ["first", "bad", "bad", "bad", "last"]
    dead = await records(kafka_url, f"{prefix}prog.crm.dead", 6)
    why = [json.loads(dict(record.headers)["dead"]) for record in dead]
    assert [letter["code"] for letter in why] == [
        "undecodable", "undecodable", "unknown_version", "invalid_body", "invalid_body", "unexpected_exception",
    ]  # fmt: skip
    assert (why[-1]["reason"], why[-1]["attempts"]) == ("RuntimeError: no way", 3)
    assert dict(dead[-1].headers)["ce_type"] == b"prognetwork.tenants.tenant_updated"
    assert json.loads(dead[-1].value)["name"] == "bad"
    assert dict(dead[4].headers)["x-of-others"] == "å".encode()


async def test_processes_share_the_partitions_and_a_leaver_s_go_to_the_other(buses: Buses) -> None:
    heard: dict[str, list[str]] = {"one": [], "two": []}

    def program(name: str) -> Bus:
        bus = buses(name=name)

        @bus.subscribe(TenantUpdated, group="crm")
        async def hear(event: TenantUpdated) -> None:
            heard[name].append(event.name)

        return bus

    one, two = program("one"), program("two")
    await one.start()
    await eventually(lambda: held(one) == EVENTS.partitions)
    await two.start()
    await eventually(lambda: held(one) == held(two) == EVENTS.partitions / 2)
    await one.publish_many([updated(f"n{number}") for number in range(200)])
    await eventually(lambda: len(heard["one"]) + len(heard["two"]) == 200)
    assert heard["one"]
    assert heard["two"]
    await two.close()
    await eventually(lambda: held(one) == EVENTS.partitions)
    await one.publish_many([updated(f"m{number}") for number in range(50)])
    await eventually(lambda: sum(name.startswith("m") for name in heard["one"]) == 50)


async def test_a_stop_finishes_the_message_at_work_and_leaves_the_rest(buses: Buses) -> None:
    gate, heard = asyncio.Event(), []
    bus, later, tenant = buses(), buses(), new_id("tenant")

    @bus.subscribe(TenantUpdated, group="crm")
    async def hear(event: TenantUpdated) -> None:
        heard.append(event.name)
        await gate.wait()

    @later.subscribe(TenantUpdated, group="crm")
    async def go_on(event: TenantUpdated) -> None:
        heard.append(event.name)

    await bus.start()
    await bus.publish_many([updated(name, tenant) for name in ("a", "b", "c")])
    await eventually(lambda: heard == ["a"])
    stopping = asyncio.create_task(bus.close())
    await asyncio.sleep(0)
    gate.set()
    await stopping
    assert heard == ["a"]
    await later.start()
    await eventually(lambda: heard == ["a", "b", "c"])


async def test_what_a_dead_process_has_not_settled_is_taken_over(buses: Buses) -> None:
    gate, seen, heard = asyncio.Event(), [], []
    dying, heir, tenant = buses(name="dying"), buses(name="heir"), new_id("tenant")

    @dying.subscribe(TenantUpdated, group="crm")
    async def hang(event: TenantUpdated) -> None:
        seen.append(event.name)
        if len(seen) > 1:
            await gate.wait()

    @heir.subscribe(TenantUpdated, group="crm")
    async def hear(event: TenantUpdated) -> None:
        heard.append(event.name)

    await dying.start()
    sent = [f"n{number}" for number in range(20)]
    await dying.publish_many([updated(name, tenant) for name in sent])
    await eventually(lambda: len(seen) == 2)
    reader: Any = dying._readers[0]
    cut = [reader._running, *(busy.task for busy in reader._busy.values())]
    await cancelled(cut)  # as by kill -9: it commits nothing, and its heartbeats end
    coordinator = reader._consumer._coordinator
    for task in (coordinator._coordination_task, coordinator._heartbeat_task):  # the first one minds the second
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    await heir.start()
    await eventually(lambda: heard == sent)


async def test_effects_are_once_with_an_inbox(buses: Buses, empty_postgres: str) -> None:
    inbox = PostgresInbox(empty_postgres)
    await inbox.create()
    database = await asyncpg.connect(empty_postgres)
    await database.execute("CREATE TABLE names (name text NOT NULL)")
    bus, tenant = buses(inbox=inbox), new_id("tenant")

    @bus.subscribe(TenantUpdated, group="crm")
    async def hear(event: TenantUpdated, context: Context) -> None:
        assert context.fence > 0
        await context.connection.execute("INSERT INTO names VALUES ($1)", event.name)

    await bus.start()
    ids = [new_message_id() for _ in range(5)]
    for _ in range(3):
        for number, message_id in enumerate(ids):
            await bus.publish(updated(f"n{number}", tenant), message_id=message_id)
    await bus.publish(updated("last", tenant))
    await eventually(lambda: database.fetchval("SELECT true FROM names WHERE name = 'last'"))
    rows = await database.fetch("SELECT name FROM names ORDER BY ctid")
    assert [row["name"] for row in rows] == ["n0", "n1", "n2", "n3", "n4", "last"]
    await database.close()


async def test_without_redis_there_is_no_way_for_an_answer(kafka_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROG_REDIS_URL", raising=False)
    async with Bus(kafka_url, producer="shop", producer_key="k") as bus:
        with pytest.raises(Unavailable, match="signals_url"):
            await bus.request(RenameTenant(tenant_id=new_id("tenant"), name="x"))
