"""Programs of somebody's own on a real broker: a bus to publish with, and buses that consume."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from prog_broker import Bus
from prog_broker.redis.connection import Client, connect
from prog_contracts.ids import new_id
from prog_contracts.tenants import TenantUpdated
from tests.waiting import wait_until


def updated(name: str, tenant_id: str | None = None) -> TenantUpdated:
    return TenantUpdated(tenant_id=tenant_id or new_id("tenant"), name=name, status="active")


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Client]:
    client = connect(valkey_url)
    yield client
    await client.aclose()


@pytest.fixture
def broker(valkey_url: str) -> dict[str, Any]:
    """The settings that choose the broker of the platform's rig."""
    return {"redis_url": valkey_url}


class Buses:
    """Makes buses on one broker and closes them all."""

    def __init__(self, url: str, **always: Any) -> None:
        self._url = url
        self._always = always
        self._made: list[Bus] = []

    def __call__(self, **options: Any) -> Bus:
        settings: dict[str, Any] = {"retry_base_seconds": 0.01, "retry_cap_seconds": 0.02, "lease_seconds": 1.0}
        bus = Bus(self._url, **(settings | self._always | options))
        self._made.append(bus)
        return bus

    async def close(self) -> None:
        await asyncio.gather(*(bus.close() for bus in self._made))


@pytest.fixture
async def buses(valkey_url: str) -> AsyncIterator[Buses]:
    made = Buses(valkey_url)
    yield made
    await made.close()


async def eventually(condition: Callable[[], object], *, seconds: float = 60.0) -> None:
    """Waits until the condition holds; fails the test when it does not within `seconds`."""
    await wait_until(condition, within_seconds=seconds)
