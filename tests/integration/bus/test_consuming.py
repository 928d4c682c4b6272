"""What a group outside the platform may rely on, on a real server."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any

import pytest

from prog_broker.bus import Context, Drop, Retry
from prog_broker.redis.connection import Client
from prog_contracts import messages
from prog_contracts.envelope import Envelope, wrap
from prog_contracts.ids import new_id
from prog_contracts.tenants import RenameTenant, TenantCreated, TenantUpdated
from prog_contracts.topics import TOPICS, Topic
from prog_kit.tasks import cancelled
from tests.integration.bus.conftest import Buses, eventually, updated

EVENTS = TOPICS["prog.tenants.events"]


async def waiting(redis: Client, group: str) -> int:
    """Messages behind the group's position, over all shards, as the server tells it."""
    groups: list[Any] = [row for n in range(EVENTS.partitions) for row in await redis.xinfo_groups(EVENTS.stream(n))]
    lags = [row["lag"] for row in groups if row["name"] == group.encode()]
    assert None not in lags, "the server always knows"
    return sum(lags)


async def settled(redis: Client, group: str) -> bool:
    return await waiting(redis, group) == 0


async def letters(redis: Client, group: str) -> list[dict[str, Any]]:
    entries: Any = await redis.xrange(f"prog.{group}.dead.0")
    return [json.loads(fields[b"dead"]) | {"data": fields[b"data"], "ce": fields[b"ce"]} for _, fields in entries]


async def test_a_group_handles_what_was_published_before_it_was_made_and_what_comes(
    buses: Buses, redis: Client
) -> None:
    names: list[str] = []
    bus = buses()

    @bus.subscribe(TenantUpdated, group="crm")
    async def hear(event: TenantUpdated) -> None:
        names.append(event.name)

    await bus.publish(updated("before"))
    await bus.start()
    await eventually(lambda: names == ["before"])
    await bus.publish(updated("after"))
    await eventually(lambda: names == ["before", "after"])
    await eventually(lambda: settled(redis, "crm"))


async def test_a_group_that_starts_at_the_end_hears_only_what_comes(buses: Buses) -> None:
    names: list[str] = []
    bus = buses()

    @bus.subscribe(TenantUpdated, group="crm", start="end")
    async def hear(event: TenantUpdated) -> None:
        names.append(event.name)

    await bus.publish(updated("before"))
    await bus.start()
    await bus.publish(updated("after"))
    await eventually(lambda: names)
    assert names == ["after"]


async def test_messages_of_one_key_come_in_order_and_lists_hold_neighbours(buses: Buses, redis: Client) -> None:
    tenant = new_id("tenant")
    batches: list[list[str]] = []
    bus = buses(batch_size=100)

    @bus.subscribe_batch(TenantUpdated, group="crm")
    async def hear(events: list[TenantUpdated]) -> None:
        batches.append([event.name for event in events])

    sent = [f"n{number}" for number in range(1234)]
    ids = await bus.publish_many([updated(name, tenant) for name in sent])
    assert len(set(ids)) == len(sent)
    await bus.start()
    await eventually(lambda: sum(map(len, batches)) == len(sent))
    assert [name for batch in batches for name in batch] == sent
    assert max(map(len, batches)) == 100
    await eventually(lambda: settled(redis, "crm"))


async def test_each_type_goes_to_its_own_handler_and_the_rest_is_left_out(buses: Buses, redis: Client) -> None:
    heard: list[str] = []
    bus = buses()
    tenant = new_id("tenant")

    @bus.subscribe(TenantUpdated, group="crm")
    async def update(event: TenantUpdated, context: Context) -> None:
        heard.append(f"updated {event.name} {context.envelope.tenant_id == tenant} {context.attempt}")

    @bus.subscribe_topic("prog.tenants.events", group="audit")
    async def audit(envelope: Envelope) -> None:
        heard.append(f"audited {envelope.type.rpartition('.')[2]}")

    @bus.subscribe_types("prognetwork.tenants.tenant_c*", group="onboarding")
    async def welcome(envelope: Envelope) -> None:
        heard.append(f"welcomed {json.loads(envelope.data)['name']}")

    created = TenantCreated(
        tenant_id=tenant, name="new", slug="new", status="active", created_at="2026-11-26T10:00:00Z",
        owner_user_id=new_id("user"), owner_email="ada@example.com", owner_name="Ada",
    )  # fmt: skip
    await bus.publish_many([(updated("x", tenant), tenant), (created, tenant)])
    await bus.start()
    await eventually(lambda: len(heard) == 4)
    assert sorted(heard) == ["audited tenant_created", "audited tenant_updated", "updated x True 1", "welcomed new"]
    for group in ("crm", "audit", "onboarding"):
        await eventually(partial(settled, redis, group))


@pytest.mark.parametrize("batch", [False, True])
async def test_what_cannot_be_understood_is_a_dead_letter_and_the_shard_goes_on(
    buses: Buses, redis: Client, batch: bool
) -> None:
    names: list[str] = []
    bus = buses()
    if batch:

        @bus.subscribe_batch(TenantUpdated, group="crm")
        async def hear_all(events: list[TenantUpdated]) -> None:
            names.extend(event.name for event in events)

    else:

        @bus.subscribe(TenantUpdated, group="crm")
        async def hear(event: TenantUpdated) -> None:
            names.append(event.name)

    event = updated("first")
    stream = EVENTS.stream(EVENTS.partition_of(event.tenant_id))
    envelope = wrap(event, tenant_id=event.tenant_id, source="/test")
    good = json.loads(envelope.attributes())
    await bus.publish(event)
    for attributes, data in [
        (b"not json", envelope.data),
        (b"\xff\xfe", envelope.data),
        (json.dumps(good | {"schemaversion": 9}).encode(), envelope.data),
        (json.dumps(good | {"specversion": "0.3"}).encode(), envelope.data),
        (json.dumps(good | {"datacontenttype": "text/xml"}).encode(), b"<a/>"),
        (envelope.attributes(), b'{"tenant_id": 7}'),
        (envelope.attributes(), b"\x00\xff"),
        (envelope.attributes(), b'{"x": "' + b"y" * 600_000 + b'"}'),
    ]:
        await redis.xadd(stream, {"ce": attributes, "data": data})
    await redis.xadd(stream, {"something": b"else"})
    await bus.publish(event.model_copy(update={"name": "last"}))
    await bus.start()
    await eventually(lambda: names == ["first", "last"])
    await eventually(lambda: settled(redis, "crm"))
    codes = [letter["code"] for letter in await letters(redis, "crm")]
    assert codes == [
        "undecodable", "undecodable", "unknown_version", "undecodable", "undecodable", "invalid_body", "invalid_body",
        "invalid_body", "undecodable",
    ]  # fmt: skip


async def test_a_handler_that_always_fails_has_its_tries_and_then_the_shard_goes_on(
    buses: Buses, redis: Client
) -> None:
    tries: list[str] = []
    bus = buses(attempts=3)

    @bus.subscribe(TenantUpdated, group="crm")
    async def hear(event: TenantUpdated) -> None:
        tries.append(event.name)
        if event.name == "bad":
            raise RuntimeError("no way")

    tenant = new_id("tenant")
    await bus.publish_many([updated(name, tenant) for name in ("a", "bad", "b")])
    await bus.start()
    await eventually(lambda: "b" in tries)
    assert tries == ["a", "bad", "bad", "bad", "b"]
    await eventually(lambda: settled(redis, "crm"))
    [letter] = await letters(redis, "crm")
    assert (letter["code"], letter["attempts"]) == ("unexpected_exception", 3)
    assert letter["reason"] == "RuntimeError: no way"
    assert "in hear" in letter["traceback"]
    assert json.loads(letter["data"])["name"] == "bad"


async def test_one_bad_message_of_a_list_costs_only_itself(buses: Buses, redis: Client) -> None:
    handled: list[str] = []
    bus = buses(attempts=2)

    @bus.subscribe_batch(TenantUpdated, group="crm")
    async def hear(events: list[TenantUpdated]) -> None:
        if any(event.name == "bad" for event in events):
            raise RuntimeError("one of them")
        handled.extend(event.name for event in events)

    tenant = new_id("tenant")
    await bus.publish_many([updated(name, tenant) for name in ("a", "b", "bad", "c")])
    await bus.start()
    await eventually(lambda: handled == ["a", "b", "c"])
    await eventually(lambda: settled(redis, "crm"))
    [letter] = await letters(redis, "crm")
    assert (letter["reason"], letter["attempts"]) == ("RuntimeError: one of them", 2)


async def test_a_handler_may_drop_a_message_or_ask_for_another_try(buses: Buses, redis: Client) -> None:
    tries: list[str] = []
    bus = buses()

    @bus.subscribe(TenantUpdated, group="crm")
    async def hear(event: TenantUpdated) -> None:
        tries.append(event.name)
        if event.name == "useless":
            raise Drop
        if event.name == "later" and tries.count("later") < 3:
            raise Retry("not yet", seconds=0.001)

    tenant = new_id("tenant")
    await bus.publish_many([updated(name, tenant) for name in ("useless", "later", "next")])
    await bus.start()
    await eventually(lambda: "next" in tries)
    assert tries == ["useless", "later", "later", "later", "next"]
    await eventually(lambda: settled(redis, "crm"))
    assert await letters(redis, "crm") == []


async def test_dead_letters_are_a_topic_that_can_be_read(buses: Buses) -> None:
    bus = buses(attempts=1)
    read: list[str] = []

    @bus.subscribe(TenantUpdated, group="crm")
    async def hear(event: TenantUpdated) -> None:
        raise RuntimeError(event.name)

    @bus.subscribe_topic("prog.crm.dead", group="crm-mending")
    async def mend(envelope: Envelope) -> None:
        read.append(json.loads(envelope.data)["name"])

    await bus.publish(updated("bad"))
    await bus.start()
    await eventually(lambda: read == ["bad"])


async def test_two_processes_share_the_shards_and_a_leaver_s_go_to_the_other(buses: Buses) -> None:
    heard: dict[str, list[str]] = {"one": [], "two": []}

    def program(name: str) -> Any:
        bus = buses(name=name)

        @bus.subscribe(TenantUpdated, group="crm")
        async def hear(event: TenantUpdated) -> None:
            heard[name].append(event.name)

        return bus

    def held(bus: Any) -> int:
        return sum(lease.held() for lease in bus._readers[0].leases.all)

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


async def test_what_a_dead_process_left_unsettled_is_taken_over(buses: Buses, redis: Client) -> None:
    gate, seen, heard = asyncio.Event(), [], []
    dying, heir = buses(name="dying"), buses(name="heir")

    @dying.subscribe_batch(TenantUpdated, group="crm")
    async def hang(events: list[TenantUpdated]) -> None:
        seen.extend(events)
        await gate.wait()

    @heir.subscribe(TenantUpdated, group="crm")
    async def hear(event: TenantUpdated) -> None:
        heard.append(event.name)

    tenant = new_id("tenant")
    await dying.publish_many([updated(f"n{number}", tenant) for number in range(50)])
    await dying.start()
    await eventually(lambda: len(seen) == 50)
    reader: Any = dying._readers[0]
    await cancelled(reader._tasks)  # as by kill -9: it keeps no position and gives nothing back
    killed_at = asyncio.get_running_loop().time()
    dying._readers.clear()
    await heir.start()
    await eventually(lambda: len(heard) == 50)
    assert heard == [f"n{number}" for number in range(50)]
    assert asyncio.get_running_loop().time() - killed_at < 1.0 + 2.0 + 10, "lease, two seconds, and a loaded machine"
    await eventually(lambda: settled(redis, "crm"))


async def test_a_process_that_lost_its_shard_cannot_move_the_position(buses: Buses, redis: Client) -> None:
    """It is paused in a handler: nothing of it runs, its lease ends, another takes the shard; then it wakes up."""
    gate, woken, heard = asyncio.Event(), [], []
    paused, heir = buses(name="paused"), buses(name="heir")

    @paused.subscribe(TenantUpdated, group="crm")
    async def hang(event: TenantUpdated) -> None:
        woken.append(event.name)
        await gate.wait()

    @heir.subscribe(TenantUpdated, group="crm")
    async def hear(event: TenantUpdated) -> None:
        heard.append(event.name)

    tenant = new_id("tenant")
    await paused.publish_many([updated("a", tenant), updated("b", tenant)])
    await paused.start()
    await eventually(lambda: woken == ["a"])
    reader: Any = paused._readers[0]
    keeper, *_ = reader._tasks
    keeper.cancel()
    shard = next(s for s in reader.shards if not s.idle)
    await heir.start()
    await eventually(lambda: heard == ["a", "b"])
    stale = shard.lease
    stale.until = float("inf")  # even a process whose clock stands still
    await eventually(lambda: settled(redis, "crm"))
    gate.set()
    await eventually(lambda: not stale.gained.is_set())
    await paused.publish(updated("c", tenant))
    await eventually(lambda: heard == ["a", "b", "c"])
    assert "c" not in woken
    await eventually(lambda: settled(redis, "crm"))


async def test_a_lost_group_is_made_again_from_the_beginning(buses: Buses, redis: Client) -> None:
    heard: list[str] = []
    bus = buses()

    @bus.subscribe(TenantUpdated, group="crm")
    async def hear(event: TenantUpdated) -> None:
        heard.append(event.name)

    await bus.start()
    await bus.publish(updated("before"))
    await eventually(lambda: heard == ["before"])
    await redis.flushall()
    await bus.publish(updated("after"))
    await eventually(lambda: heard == ["before", "after"])


async def test_a_stop_finishes_the_message_at_work_and_leaves_the_rest(buses: Buses, redis: Client) -> None:
    gate, heard = asyncio.Event(), []
    bus, later = buses(), buses()

    @bus.subscribe(TenantUpdated, group="crm")
    async def hear(event: TenantUpdated) -> None:
        heard.append(event.name)
        await gate.wait()

    tenant = new_id("tenant")
    await bus.publish_many([updated(name, tenant) for name in ("a", "b", "c")])
    await bus.start()
    await eventually(lambda: heard == ["a"])
    stopping = asyncio.create_task(bus.close())
    await asyncio.sleep(0)
    gate.set()
    await stopping
    assert heard == ["a"]
    assert await waiting(redis, "crm") == 2

    @later.subscribe(TenantUpdated, group="crm")
    async def go_on(event: TenantUpdated) -> None:
        heard.append(event.name)

    await later.start()
    await eventually(lambda: heard == ["a", "b", "c"])


async def test_a_handler_that_outlasts_the_drain_time_is_cut_and_its_message_kept(buses: Buses, redis: Client) -> None:
    cut: list[str] = []
    started = asyncio.Event()
    bus = buses(drain_seconds=0.05)

    @bus.subscribe(TenantUpdated, group="crm")
    async def hear(event: TenantUpdated) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cut.append(event.name)
            raise

    await bus.publish(updated("long"))
    await bus.start()
    await started.wait()
    await bus.close()
    assert cut == ["long"]
    assert await waiting(redis, "crm") == 1


async def test_own_topics_carry_a_product_s_own_messages(buses: Buses, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "_registry", dict(messages._registry))  # what is declared here ends here

    @messages.event("acme.shop.order_placed", key="order")
    class OrderPlaced(messages.Event):
        order: str

    heard: list[str] = []
    bus = buses(topics=[Topic("shop", "events", partitions=1, retention_hours=1, consumers=())])

    @bus.subscribe(OrderPlaced, group="warehouse")
    async def hear(event: OrderPlaced) -> None:
        heard.append(event.order)

    await bus.publish(OrderPlaced(order="17"))
    await bus.start()
    await eventually(lambda: heard == ["17"])


def test_a_mistake_in_a_subscription_is_told_where_it_is_made(buses: Buses) -> None:
    bus = buses()

    async def hear(event: TenantUpdated) -> None: ...

    def not_async(event: TenantUpdated) -> None: ...

    async def three(event: TenantUpdated, context: Context, more: int) -> None: ...

    with pytest.raises(ValueError, match="the platform's own"):
        bus.subscribe(TenantUpdated, group="payments")(hear)
    with pytest.raises(ValueError, match="no name of a group"):
        bus.subscribe(TenantUpdated, group="My Group")(hear)
    with pytest.raises(ValueError, match="nobody subscribes"):
        bus.subscribe(RenameTenant, group="crm")
    with pytest.raises(TypeError, match="async def"):
        bus.subscribe(TenantUpdated, group="crm")(not_async)  # type: ignore[type-var]
    with pytest.raises(TypeError, match="a Context after it"):
        bus.subscribe(TenantUpdated, group="crm")(three)
    with pytest.raises(ValueError, match="no topic"):
        bus.subscribe_topic("prog.shop.events", group="crm")
    bus.subscribe(TenantUpdated, group="crm")(hear)
    with pytest.raises(ValueError, match="two handlers"):
        bus.subscribe(TenantUpdated, group="crm")(hear)
    with pytest.raises(ValueError, match="one place to start"):
        bus.subscribe(TenantCreated, group="crm", start="end")(hear)


async def test_a_batch_costs_one_read_and_one_position(buses: Buses, redis: Client) -> None:
    """The budget that needs no clock: a read, a transaction that keeps the position, and its fence, a batch of 500."""
    handled = 0
    bus, tenant = buses(lease_seconds=30.0), new_id("tenant")

    @bus.subscribe_batch(TenantUpdated, group="crm")
    async def hear(events: list[TenantUpdated]) -> None:
        nonlocal handled
        handled += len(events)

    batches = 10
    await bus.publish_many([updated("x", tenant) for _ in range(500 * batches)])
    await redis.config_resetstat()
    await bus.start()
    await eventually(lambda: settled(redis, "crm"))
    assert handled == 500 * batches
    stats: Any = await redis.info("commandstats")

    def calls(command: str) -> int:
        return int(stats.get(f"cmdstat_{command}", {}).get("calls", 0))

    waiting_reads = EVENTS.partitions * 2  # of shards that are empty, before and after
    assert calls("xadd") == 0
    assert calls("xgroup|setid") == batches
    assert calls("exec") == batches
    assert calls("xread") <= batches + waiting_reads
    assert calls("xack") == calls("xreadgroup") == 0
