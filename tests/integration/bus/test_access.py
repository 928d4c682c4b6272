"""The login that SECURITY.md gives to a program outside: enough for all that a bus does, and for no more."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from redis.exceptions import NoPermissionError

from prog_broker import Bus
from prog_broker.redis.connection import Client, connect, raw
from prog_contracts.ids import new_id
from prog_contracts.tenants import RenameTenant, TenantUpdated
from tests.integration.bus.conftest import eventually, updated

SECURITY = Path(__file__).parents[3] / "SECURITY.md"
BLOCK = re.search(r"```\n(ACL SETUSER crm .*?)```", SECURITY.read_text(encoding="utf-8"), re.S)


@pytest.fixture
async def crm(valkey_url: str, redis: Client) -> AsyncIterator[str]:
    """The address with the login of the group `crm`, made by the command in SECURITY.md."""
    assert BLOCK is not None
    words = re.findall(r"\([^)]*\)|\S+", BLOCK[1])
    await raw(redis, *(word.replace("PASSWORD", "s3cret") for word in words))
    parts = urlsplit(valkey_url)
    yield urlunsplit(parts._replace(netloc=f"crm:s3cret@{parts.hostname}:{parts.port}"))
    await raw(redis, "ACL", "DELUSER", "crm")


async def test_it_serves_a_program_outside(crm: str, valkey_url: str, redis: Client) -> None:
    heard: list[str] = []
    async with Bus(valkey_url) as platform, Bus(crm, attempts=1, producer="shop", producer_key="k") as bus:

        @bus.subscribe(TenantUpdated, group="crm")
        async def hear(event: TenantUpdated) -> None:
            heard.append(event.name)
            if event.name == "bad":
                raise RuntimeError("no way")

        tenant = new_id("tenant")
        await bus.start()
        await platform.publish_many([updated(name, tenant) for name in ("a", "bad", "b")])
        await eventually(lambda: heard == ["a", "bad", "b"])
        await eventually(lambda: redis.xlen("prog.crm.dead.0"))
        answer = await bus.request(RenameTenant(tenant_id=tenant, name="x"), tenant_id=tenant, wait_seconds=0.05)
        assert answer.status == "pending"


@pytest.mark.parametrize(
    "command",
    [
        "XADD prog.tenants.events.0 * ce {} data {}",
        "XADD prog.payments.dead.0 * ce {} data {}",
        "XTRIM prog.tenants.events.0 MAXLEN 0",
        "XDEL prog.tenants.events.0 1-1",
        "DEL prog.tenants.events.0",
        "XREAD STREAMS prog.users.commands.0 0",
        "GET prog.relay.marker",
        "SET prog.group.erp.fence.x 1",
        "FLUSHALL",
        "KEYS *",
        "CONFIG GET *",
        "PUBLISH prog.replies.x {}",
        "SUBSCRIBE prog.relay.wake",
    ],
)
async def test_it_opens_nothing_else(crm: str, command: str) -> None:
    client = connect(crm)
    with pytest.raises(NoPermissionError):
        await raw(client, *command.split())
    await client.aclose()
