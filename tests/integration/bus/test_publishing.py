"""Publishing from outside, asking for an answer, and a broker that is away."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path

import pytest

from prog_broker import Bus, producers
from prog_contracts.errors import Denied, Invalid, Unavailable
from prog_contracts.ids import new_id, new_message_id
from prog_contracts.tenants import RenameTenant, TenantUpdated
from prog_infra.servers import Valkey
from prog_kit.secrets import producer_keys
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


async def test_a_bus_without_an_address_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROG_BROKER_URL", raising=False)
    monkeypatch.delenv("PROG_REDIS_URL", raising=False)
    with pytest.raises(ValueError, match="PROG_BROKER_URL"):
        Bus()
    monkeypatch.setenv("PROG_REDIS_URL", "redis://localhost:1/0")
    await Bus().close()
    with pytest.raises(ValueError, match="no broker that this version reads"):
        Bus("amqp://localhost")
