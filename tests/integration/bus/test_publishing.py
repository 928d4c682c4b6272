"""Publishing from outside, asking for an answer, and a broker that is away."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest

from prog_broker import Bus, producers
from prog_broker.redis.connection import Client
from prog_contracts.errors import Denied, Invalid, Unavailable
from prog_contracts.ids import new_id, new_message_id
from prog_contracts.tenants import RenameTenant, TenantUpdated
from prog_contracts.topics import topic_of
from prog_infra.servers import Valkey
from prog_kit.secrets import producer_keys
from prog_kit.tasks import cancelled
from tests.integration.broker.conftest import Rig, rig
from tests.integration.bus.conftest import eventually, updated

__all__ = ["rig"]


async def test_a_request_is_answered_by_the_platform_s_handler(rig: Rig, tmp_path: Path) -> None:
    file = tmp_path / "producers.json"
    producers.write(file, {"shop": producers.Rights(types=("prognetwork.tenants.*",), tenants=("*",))})
    await rig.worker(producers_file=str(file))
    key = producer_keys(rig.settings.secret_keys, "shop", 1)[0]
    async with Bus(rig.settings.redis_url, producer="shop", producer_key=key) as bus:
        tenant = new_id("tenant")
        answer = await bus.request(RenameTenant(tenant_id=tenant, name="Acme"), tenant_id=tenant, wait_seconds=60)
        assert answer.status == "succeeded"
        assert answer.result is not None
        assert answer.result["name"] == "Acme"
        refused = await bus.request(RenameTenant(tenant_id=tenant, name="taken"), tenant_id=tenant, wait_seconds=60)
        assert (refused.status, refused.error and refused.error.code) == ("failed", "name_taken")


async def test_a_request_that_nobody_answers_is_pending(valkey_url: str) -> None:
    async with Bus(valkey_url, producer="shop", producer_key="k") as bus:
        command = RenameTenant(tenant_id=new_id("tenant"), name="x")
        message_id = new_message_id()
        answer = await bus.request(command, message_id=message_id, wait_seconds=0.05)
        assert (answer.status, answer.message_id) == ("pending", message_id)


async def test_a_command_without_a_producer_s_key_is_refused_before_it_is_sent(valkey_url: str) -> None:
    async with Bus(valkey_url) as bus:
        with pytest.raises(Denied) as refused:
            await bus.publish(RenameTenant(tenant_id=new_id("tenant"), name="x"))
        assert refused.value.code == "unknown_producer"


async def test_what_no_envelope_can_carry_is_refused_before_it_is_sent(valkey_url: str) -> None:
    async with Bus(valkey_url) as bus:
        with pytest.raises(Invalid):
            await bus.publish(updated("x"), actor="a\0b")


async def test_a_broker_that_is_away_is_waited_for(tmp_path: Path) -> None:
    """Away at the start, away in between, and back with empty data."""
    server = Valkey(tmp_path / "valkey", settings={"appendonly": "no"})
    heard: list[str] = []
    with server.running(tmp_path / "log"):
        url = server.url()
    bus = Bus(url, lease_seconds=1.0)

    @bus.subscribe(TenantUpdated, group="crm")
    async def hear(event: TenantUpdated) -> None:
        heard.append(event.name)

    with pytest.raises(Unavailable):
        await bus.publish(updated("nobody takes it"), wait_seconds=0.2)
    starting = asyncio.create_task(bus.start())
    with ExitStack() as exits:
        exits.enter_context(server.running(tmp_path / "log"))
        assert server.url() == url, "the port of the last time"
        await bus.publish(updated("first"), wait_seconds=60)
        await eventually(lambda: heard == ["first"])
        await starting
        exits.close()
        sending = asyncio.create_task(bus.publish(updated("second"), wait_seconds=60))
        await asyncio.sleep(0)
        exits.enter_context(server.running(tmp_path / "log"))
        await sending
        await eventually(lambda: heard == ["first", "second"])
        await bus.close()


async def names_held(redis: Client, tenant: str) -> list[str]:
    """What one tenant's shard holds of it, in its order."""
    topic = topic_of(updated("any", tenant))
    held: Any = await redis.xrange(topic.stream(topic.partition_of(tenant)))
    events = [orjson.loads(fields[b"data"]) for _, fields in held]
    return [event["name"] for event in events if event["tenant_id"] == tenant]


async def test_many_are_made_while_others_are_sent_and_keep_their_order(valkey_url: str, redis: Client) -> None:
    tenant = new_id("tenant")
    names = [f"n{number}" for number in range(1_100)]
    seen_while_made: list[int] = []

    async def look() -> None:
        while True:
            seen_while_made.append(len(await names_held(redis, tenant)))

    async with Bus(valkey_url) as bus:
        looking = asyncio.create_task(look())
        ids = await bus.publish_many([updated(name, tenant) for name in names])
        await cancelled([looking])
    assert len(set(ids)) == len(names)
    assert await names_held(redis, tenant) == names
    assert any(0 < seen < len(names) for seen in seen_while_made), "parts are sent, and others have their turn"


async def test_of_many_the_ones_behind_one_that_no_envelope_can_carry_are_not_sent(
    valkey_url: str, redis: Client
) -> None:
    tenant = new_id("tenant")
    names = [f"n{number}" for number in range(700)]
    messages = [updated(name, tenant) for name in names]
    async with Bus(valkey_url, source="/x") as bus:
        with pytest.raises(Invalid):
            await bus.publish_many([*messages[:600], (messages[600], "tenant\0"), *messages[601:]])
        held = await names_held(redis, tenant)
        assert held == names[: len(held)]
        assert len(held) < 600, "no more than parts that were whole before it"
        await bus.publish_many(messages[len(held) :])
        assert await names_held(redis, tenant) == names


async def test_many_keep_their_order_when_the_connection_breaks_in_between(valkey_url: str, redis: Client) -> None:
    """A part that the broker may have taken is sent again; what is behind it waits."""
    tenant = new_id("tenant")
    names = [f"n{number}" for number in range(1_500)]

    async def cut_connections() -> int:
        cut = 0
        for enough in range(100, len(names), 200):
            while len(await names_held(redis, tenant)) < enough:
                pass  # each look gives the others their turn
            cut += await redis.client_kill_filter(skipme=True, _type="normal")
        return cut

    async with Bus(valkey_url) as bus:
        cutting = asyncio.create_task(cut_connections())
        await bus.publish_many([updated(name, tenant) for name in names], wait_seconds=60)
        cut = await asyncio.wait_for(cutting, 60)
    held = await names_held(redis, tenant)
    assert cut, "the test cut something"
    assert list(dict.fromkeys(held)) == names, "each for the first time in its order"


async def test_a_bus_without_an_address_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROG_BROKER_URL", raising=False)
    monkeypatch.delenv("PROG_REDIS_URL", raising=False)
    with pytest.raises(ValueError, match="PROG_BROKER_URL"):
        Bus()
    monkeypatch.setenv("PROG_REDIS_URL", "redis://localhost:1/0")
    await Bus().close()
    with pytest.raises(ValueError, match="no broker that this version reads"):
        Bus("amqp://localhost")
