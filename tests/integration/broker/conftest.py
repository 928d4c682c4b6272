"""A worker, a relay and a client on real servers, with small domains of the tests' own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from prog_broker import Domain, Finish, Transaction, Work
from prog_broker.client import CommandClient
from prog_broker.ports import Transport
from prog_broker.redis.connection import Client, connect
from prog_broker.relay import Relay
from prog_broker.transport import open_transport
from prog_broker.worker import Worker
from prog_contracts.envelope import Envelope
from prog_contracts.errors import Conflict, Unavailable
from prog_contracts.ids import new_id, new_message_id
from prog_contracts.signing import PLATFORM_PRODUCER, SigningKey
from prog_contracts.tenants import RenameTenant, ResumeTenant, TenantUpdated
from prog_contracts.topics import DOMAINS, TOPICS, Topic
from prog_kit.database import Database
from prog_kit.secrets import Sealer, producer_keys
from prog_kit.settings import Settings
from tests.kafka import bootstrap
from tests.waiting import wait_until


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
        if command.name.startswith("unsendable"):
            return TenantUpdated.model_construct(tenant_id="tenant\0", name=command.name, status="active")
        if command.name.startswith("taken"):
            raise Conflict("the name is taken", code="name_taken")
        if command.name.startswith("defect"):
            raise RuntimeError("a defect of the handler")
        if command.name.startswith("miscounted"):
            await tx.execute("SELECT $1::text", command.name, "one too many")
        if command.name.startswith("overdue") and ledger.handled.count(command.name) <= 2:
            raise TimeoutError  # in the batch or alone, and then once more
        if command.name.startswith("slow"):
            await ledger.gate.wait()
        return TenantUpdated(tenant_id=command.tenant_id, name=command.name, status="active")

    @tenants.performs(ResumeTenant)
    async def resume(command: ResumeTenant, work: Work) -> Finish:
        ledger.handled.append(command.tenant_id)
        await ledger.gate.wait()

        async def finish(tx: Transaction) -> TenantUpdated:
            return TenantUpdated(tenant_id=command.tenant_id, name="resumed", status="active")

        return finish

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

    def signed(self, envelope: Envelope) -> Envelope:
        """The same envelope, signed by the platform: its body is read."""
        key = SigningKey(PLATFORM_PRODUCER, producer_keys(self.settings.secret_keys, PLATFORM_PRODUCER)[0])
        return key.signed(envelope)

    async def put(self, topic: Topic, partition: int, attributes: bytes | dict[str, Any] | None, data: bytes) -> None:
        """Publishes as a stranger may: attributes of any kind, or none."""
        if self.transport.kind == "redis":
            ce = json.dumps(attributes).encode() if isinstance(attributes, dict) else attributes
            fields: dict[Any, Any] = {"something": b"else"} if ce is None else {"ce": ce, "data": data}
            await self.redis.xadd(topic.stream(partition), fields)
            return
        headers = [("strange", b"header")]
        if isinstance(attributes, dict):
            headers = [(f"ce_{name}", str(value).encode()) for name, value in attributes.items()]
        elif attributes is not None:
            headers = [("ce_id", attributes)]
        async with self.producer() as producer:
            name = f"{self.settings.kafka_topic_prefix}{topic.name}"
            await producer.send_and_wait(name, data, key=b"k", partition=partition, headers=headers)

    @asynccontextmanager
    async def producer(self) -> AsyncIterator[AIOKafkaProducer]:
        async with AIOKafkaProducer(bootstrap_servers=bootstrap(self.settings.effective_broker_url)) as producer:
            yield producer

    async def lose_everything(self) -> None:
        """The broker forgets all messages, topics and groups."""
        if self.transport.kind == "redis":
            await self.redis.flushall()
            return
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap(self.settings.effective_broker_url))
        await admin.start()
        try:
            prefix = self.settings.kafka_topic_prefix

            async def topics() -> list[str]:
                return [name for name in await admin.list_topics() if name.startswith(prefix)]

            async def all_gone() -> bool:
                groups = [f"{prefix}prog.{name}" for name in ("relay", *DOMAINS)]
                return not await topics() and not any([await admin.list_consumer_group_offsets(g) for g in groups])

            await admin.delete_topics(await topics())
            await eventually(all_gone)
        finally:
            await admin.close()

    async def held(self, topic: Topic) -> int:
        """How many messages the broker holds in a topic."""
        if self.transport.kind == "redis":
            return sum([await self.redis.xlen(topic.stream(n)) for n in range(topic.partitions)])
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap(self.settings.effective_broker_url))
        await consumer.start()
        try:
            name = f"{self.settings.kafka_topic_prefix}{topic.name}"
            places = [TopicPartition(name, partition) for partition in range(topic.partitions)]
            ends, beginnings = await consumer.end_offsets(places), await consumer.beginning_offsets(places)
            return sum(ends[place] - beginnings[place] for place in places)
        finally:
            await consumer.stop()

    async def scalar(self, query: str, *values: Any) -> Any:
        return await self.admin.fetchval(query, *values)


@pytest.fixture
def postgres(lone_postgres: str) -> str:
    """What the relay, replays and the trail read waits for older transactions, of which there are none here."""
    return lone_postgres


@pytest.fixture(params=["redis", "kafka"])
def broker(request: pytest.FixtureRequest, valkey_url: str) -> dict[str, Any]:
    """The settings that choose a broker: every test that asks for it, or for the rig, runs on both."""
    if request.param == "redis":
        return {"redis_url": valkey_url}
    url = request.getfixturevalue("kafka_url")
    return {"redis_url": valkey_url, "broker_url": url, "kafka_topic_prefix": f"t{new_message_id().hex[-10:]}."}


@pytest.fixture
async def rig(postgres: str, broker: dict[str, Any]) -> AsyncIterator[Rig]:
    settings = Settings(
        database_url=postgres,
        **broker,
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
    await transport.ensure(TOPICS.values())
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


async def eventually(condition: Callable[[], object], *, seconds: float = 60.0) -> None:
    """Waits until the condition holds; fails the test when it does not within `seconds`."""
    await wait_until(condition, within_seconds=seconds)
