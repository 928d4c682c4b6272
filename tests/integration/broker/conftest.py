"""A worker, a relay and a client on real servers, with small domains of the tests' own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest

from prog_broker import Domain, Transaction
from prog_broker.client import CommandClient
from prog_broker.ports import Transport
from prog_broker.redis.connection import Client, connect
from prog_broker.relay import Relay
from prog_broker.transport import open_transport
from prog_broker.worker import Worker
from prog_contracts.errors import Conflict, Unavailable
from prog_contracts.ids import new_id
from prog_contracts.tenants import RenameTenant, TenantUpdated
from prog_kit.database import Database
from prog_kit.secrets import Sealer
from prog_kit.settings import Settings


@dataclass
class Ledger:
    """What the handlers of a test saw, in order, and how they are told to behave by the name they are given."""

    handled: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)
    gate: asyncio.Event = field(default_factory=asyncio.Event)


def domains(ledger: Ledger) -> list[Domain]:
    """`tenants` renames, `payments` listens: the smallest platform with a command, an event and two groups."""
    tenants, payments = Domain("tenants"), Domain("payments")

    @tenants.handles(RenameTenant)
    async def rename(command: RenameTenant, tx: Transaction) -> TenantUpdated:
        ledger.handled.append(command.name)
        if command.name in ledger.failing:
            raise Unavailable("the test says so")
        if command.name.startswith("taken"):
            raise Conflict("the name is taken", code="name_taken")
        if command.name.startswith("defect"):
            raise RuntimeError("a defect of the handler")
        if command.name.startswith("slow"):
            await ledger.gate.wait()
        return TenantUpdated(tenant_id=command.tenant_id, name=command.name, status="active")

    @payments.handles(TenantUpdated)
    async def hear(event: TenantUpdated, tx: Transaction) -> None:
        ledger.heard.append(event.name)

    return [tenants, payments]


@dataclass
class Rig:
    settings: Settings
    ledger: Ledger
    client: CommandClient
    redis: Client
    transport: Transport
    admin: asyncpg.Connection[asyncpg.Record]
    relay: Relay
    workers: list[Worker] = field(default_factory=list)
    database: Database | None = None

    async def worker(self, name: str = "worker-1", **changes: Any) -> Worker:
        """Starts a worker and waits until it has what it is due."""
        settings = self.settings.model_copy(update={"process_name": name, **changes})
        worker = Worker(domains(self.ledger), settings)
        await worker.start()
        self.workers.append(worker)
        return worker

    async def rename(self, name: str, tenant_id: str | None = None, **options: Any) -> Any:
        tenant = tenant_id or new_id("tenant")
        return await self.client.request(RenameTenant(tenant_id=tenant, name=name), tenant_id=tenant, **options)

    async def scalar(self, query: str, *values: Any) -> Any:
        return await self.admin.fetchval(query, *values)


@pytest.fixture
async def rig(postgres: str, valkey_url: str) -> AsyncIterator[Rig]:
    settings = Settings(
        database_url=postgres,
        redis_url=valkey_url,
        secret_keys=("0123456789abcdef" * 4,),
        retry_base_seconds=0.01,
        retry_cap_seconds=0.02,
        retry_attempts=4,
        lease_seconds=1.0,
    )
    async with running(settings) as rig:
        yield rig


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Rig]:
    redis = connect(settings.redis_url)
    transport = open_transport(settings)
    edge = await Database.connect(settings.database_url, "prog_edge", max_size=2)
    relay_database = await Database.connect(settings.database_url, "prog_relay", max_size=2)
    admin = await asyncpg.connect(settings.database_url)
    async with CommandClient(redis, edge, Sealer(settings.secret_keys), publisher=transport.publisher) as client:
        rig = Rig(
            settings, Ledger(), client, redis, transport, admin, Relay(relay_database, transport, redis), database=edge
        )
        try:
            yield rig
        finally:
            rig.ledger.gate.set()
            for worker in rig.workers:
                await worker.stop()
    for database in (edge, relay_database):
        database.pool.terminate()
    await admin.close()
    await transport.close()
    await redis.aclose()


async def eventually(condition: Callable[[], Awaitable[Any] | Any], *, seconds: float = 15.0) -> None:
    """Waits until the condition holds; fails the test when it does not within `seconds`."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        value = condition()
        if isinstance(value, Awaitable):
            value = await value
        if value:
            return
        assert asyncio.get_running_loop().time() < deadline, f"not within {seconds} s"
        await asyncio.sleep(0.01)
