"""Requirements of infra/RELIABILITY.md that need a scene of their own, on both brokers where the broker matters."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from prog_broker import dead_letters
from prog_broker.redis.connection import connect, reconnect_delay_seconds
from prog_broker.worker import Worker
from prog_contracts.envelope import wrap
from prog_contracts.ids import new_id
from prog_contracts.tenants import RenameTenant
from prog_contracts.topics import TOPICS
from prog_infra.servers import Valkey
from prog_kit.database import Database
from prog_kit.settings import Settings
from prog_kit.tasks import cancelled
from prog_kit.telemetry import new_traceparent, trace_id
from tests.integration.broker.conftest import Ledger, Rig, domains, eventually, running

COMMANDS = TOPICS["prog.tenants.commands"]


async def cut(rig: Rig, worker: Worker) -> None:
    """As kill -9: nothing is finished, nothing given back."""
    transport: Any = worker.transport
    tasks = [*worker._tasks, *(task for reader in transport.broker.subscribers for task in reader.tasks)]
    await cancelled(tasks)
    for serving in worker.serving:
        serving.resources.database.pool.terminate()
    await transport.broker.config.disconnect()
    await transport.close()
    await worker.redis.aclose()
    rig.workers.remove(worker)


async def nothing_waits(rig: Rig) -> bool:
    return not any(lag.lag for lag in await rig.transport.lags({COMMANDS.name: ["tenants"]}))


async def test_requirement_02_a_death_between_commit_and_position_repeats_no_effect(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await rig.worker("first")
    told = asyncio.Event()

    async def die(*_: Any, **__: Any) -> None:
        told.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(first.transport.signals, "settled", die)
    await rig.rename("once", wait_seconds=0)
    await rig.relay.run_once()
    await asyncio.wait_for(told.wait(), 60)
    handled = "SELECT count(*) FROM bus.inbox WHERE consumer_group = 'tenants'"  # payments may have heard of it already
    assert await rig.scalar(handled) == 1, "committed"
    assert not await nothing_waits(rig), "and the position not moved"
    await cut(rig, first)
    await rig.worker("second")
    await eventually(lambda: nothing_waits(rig))
    assert rig.ledger.handled == ["once"]
    assert await rig.scalar("SELECT count(*) FROM bus.event_log") == 1


async def test_requirement_03_a_dead_worker_s_messages_run_again_within_lease_and_two_seconds(rig: Rig) -> None:
    lease_seconds = 1.5
    dying = await rig.worker("dying", lease_seconds=lease_seconds)
    heir = await rig.worker("heir", lease_seconds=lease_seconds)
    await eventually(lambda: bool(heir.serving[0].keeper._held()))
    shards = [owned.shard.partition for owned in dying.serving[0].keeper._held() if owned.shard.topic == COMMANDS]
    tenant = new_id("tenant")
    while COMMANDS.partition_of(tenant) not in shards:
        tenant = new_id("tenant")
    message = RenameTenant(tenant_id=tenant, name="slow")
    await rig.transport.publisher.send([(COMMANDS, wrap(message, tenant_id=tenant, source="/test"))])
    await eventually(lambda: rig.ledger.handled == ["slow"])
    rig.ledger.gate.set()
    began = time.monotonic()
    await cut(rig, dying)
    await eventually(lambda: inbox_holds(rig, 1))
    assert time.monotonic() - began < lease_seconds + 2


async def inbox_holds(rig: Rig, count: int) -> bool:
    return bool(await rig.scalar("SELECT count(*) FROM bus.inbox WHERE consumer_group = 'tenants'") == count)


async def test_requirement_06_a_handler_that_outlasts_the_drain_is_cut_and_its_message_is_not_lost(rig: Rig) -> None:
    worker = await rig.worker(drain_seconds=0.2)
    await rig.rename("slow to the end", wait_seconds=0)
    await rig.relay.run_once()
    await eventually(lambda: rig.ledger.handled == ["slow to the end"])
    rig.workers.remove(worker)
    await asyncio.wait_for(worker.stop(), 60)
    assert await rig.scalar("SELECT count(*) FROM bus.inbox") == 0
    assert not await nothing_waits(rig)
    rig.ledger.gate.set()
    await rig.worker("next")
    await eventually(lambda: inbox_holds(rig, 1))


def test_requirement_09_everybody_is_back_within_two_seconds_of_the_broker() -> None:
    delays = [reconnect_delay_seconds(failures) for failures in range(1, 200) for _ in range(20)]
    assert max(delays) <= 1.5
    assert len({round(delay, 3) for delay in delays}) > 100, "and not all at once"


async def test_requirement_10_a_worker_that_starts_without_its_broker_waits_and_begins(
    postgres: str, tmp_path: Path
) -> None:
    server = Valkey(tmp_path / "valkey")
    with server.running(tmp_path / "log"):
        url = server.url()
    settings = Settings(
        database_url=postgres, redis_url=url, secret_keys=("0123456789abcdef" * 4,), process_name="early"
    )
    ledger = Ledger()
    worker = Worker(domains(ledger), settings)
    starting = asyncio.create_task(worker.start())
    client = connect(url)
    try:
        await asyncio.wait([starting], timeout=0.3)
        with server.running(tmp_path / "log"):
            assert server.url() == url
            await asyncio.wait_for(starting, 60)
            async with running(settings) as rig:
                assert (await rig.rename("begun", wait_seconds=60)).status == "succeeded"
            await worker.stop()
    finally:
        starting.cancel()
        await client.aclose()


async def test_requirement_29_order_holds_while_workers_come_and_go(rig: Rig) -> None:
    """One worker, then four, then two; 20 keys of 15 messages, sent all the while."""
    keys = [new_id("tenant") for _ in range(20)]

    async def send(numbers: range) -> None:
        messages = [RenameTenant(tenant_id=key, name=f"{key} {number}") for number in numbers for key in keys]
        await rig.transport.publisher.send(
            [(COMMANDS, wrap(message, tenant_id=message.tenant_id, source="/test")) for message in messages]
        )

    workers = [await rig.worker("w0", batch_size=7)]
    await send(range(5))
    workers += [await rig.worker(f"w{number}", batch_size=7) for number in (1, 2, 3)]
    await send(range(5, 10))
    for worker in workers[:2]:
        rig.workers.remove(worker)
        await worker.stop()
    await send(range(10, 15))
    await eventually(lambda: inbox_holds(rig, 300))
    for key in keys:
        numbers = [int(name.split()[1]) for name in rig.ledger.handled if name.startswith(key)]
        assert list(dict.fromkeys(numbers)) == list(range(15)), "a batch that lost its shard may have run twice"
    assert await rig.scalar("SELECT count(*) FROM bus.event_log") == 300


async def test_requirement_30_a_story_keeps_its_ids_through_failure_and_redrive(rig: Rig) -> None:
    await rig.worker(retry_attempts=2)
    tenant, traceparent = new_id("tenant"), new_traceparent()
    rig.ledger.failing.add("traced")
    answer = await rig.rename("traced", tenant, traceparent=traceparent)
    assert answer.status == "dead"
    letter = await rig.admin.fetchrow("SELECT * FROM bus.dead_letters")
    assert letter is not None
    assert letter["correlation_id"] == answer.message_id
    rig.ledger.failing.clear()
    database = await Database.connect(rig.settings.database_url, "prog_tenants", max_size=1)
    await dead_letters.redrive(database, letter["id"], by="the test")
    await database.close()
    await eventually(lambda: logged(rig))
    event = await rig.admin.fetchrow("SELECT * FROM bus.event_log")
    assert event is not None
    assert (event["correlation_id"], event["causation_id"]) == (answer.message_id, answer.message_id)
    assert trace_id(event["traceparent"]) == trace_id(traceparent)
    await rig.relay.run_once()
    await eventually(lambda: rig.ledger.heard == ["traced"])
    await eventually(lambda: handled(rig))  # it is heard before the transaction ends
    row = await rig.admin.fetchrow("SELECT * FROM bus.inbox WHERE consumer_group = 'payments'")
    assert row is not None
    assert row["message_id"] == event["message_id"]


async def handled(rig: Rig) -> bool:
    return bool(await rig.scalar("SELECT count(*) FROM bus.inbox WHERE consumer_group = 'payments'") == 1)


async def logged(rig: Rig) -> bool:
    return bool(await rig.scalar("SELECT count(*) FROM bus.event_log") == 1)
