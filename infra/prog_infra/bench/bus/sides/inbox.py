"""Consuming with every effect once: a real worker on a real database, and the same two clients, bare."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, Final

import asyncpg
import orjson

from prog_broker.domain import Domain
from prog_broker.redis.connection import connect
from prog_broker.redis.streams import StreamPublisher, ensure_group
from prog_broker.transaction import Transaction
from prog_broker.worker import Worker
from prog_infra.bench.bus import message
from prog_infra.bench.bus.side import Counted
from prog_infra.bench.bus.sides.consume import RAW_GROUP, RAW_STREAM, STREAM
from prog_infra.bench.bus.sides.settling import until_settled
from prog_kit.settings import Settings


class Ours:
    """`prog worker` with one batch handler: leases, fencing, inbox, row-level security, metrics, reports."""

    as_shipped: ClassVar[bool] = False

    def __init__(self, settings: Settings) -> None:
        domain = Domain(message.GROUP)
        domain.handles_batch(message.Body)(self._handle)
        self._worker = Worker([domain], settings)
        self._client = connect(settings.effective_broker_url)
        self._counted = Counted()
        self._held = asyncio.Event()
        self._gate = asyncio.Event()
        self._done = asyncio.Event()
        self._awaited = 0

    async def open(self) -> None:
        await self._worker.start()

    async def arm(self, messages: int) -> None:
        self._held.clear()
        self._gate.clear()
        await StreamPublisher(self._client).send([(message.TOPIC, message.gun())])
        await self._held.wait()

    async def run(self, messages: int) -> Counted:
        self._counted, self._awaited = Counted(), messages
        self._done.clear()
        self._gate.set()
        await self._done.wait()
        await until_settled(self._client, STREAM, message.GROUP)
        return self._counted

    async def rest(self) -> None:
        """Nothing goes on by itself."""

    async def close(self) -> None:
        await self._worker.stop()
        await self._client.aclose()

    async def _handle(self, bodies: list[message.Body], tx: Transaction) -> None:
        if bodies[0].number == message.GUN:
            self._held.set()
            await self._gate.wait()
            bodies = bodies[1:]
        self._counted.add(bodies)
        if self._counted.messages >= self._awaited:
            self._done.set()


class Raw:
    """XREADGROUP 500, validate, the ids into a bare inbox in a transaction, commit, XACK, and again."""

    as_shipped: ClassVar[bool] = False

    INSERT: Final = (
        "INSERT INTO bench.inbox (message_id) SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING RETURNING message_id"
    )

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = connect(settings.effective_broker_url)
        self._database: asyncpg.Connection[asyncpg.Record] | None = None

    async def open(self) -> None:
        self._database = await asyncpg.connect(self._settings.database_url)
        await ensure_group(self._client, RAW_STREAM, RAW_GROUP)

    async def arm(self, messages: int) -> None:
        """Nothing to do: it reads when it is told to."""

    async def run(self, messages: int) -> Counted:
        client, database, counted = self._client, self._database, Counted()
        assert database is not None
        validate = message.Body.model_validate_json
        while counted.messages < messages:
            reply: Any = await client.xreadgroup(RAW_GROUP, "raw", {RAW_STREAM: ">"}, count=message.BATCH, block=1000)
            entries = reply[0][1]
            bodies = {orjson.loads(fields[b"ce"])["id"]: validate(fields[b"data"]) for _, fields in entries}
            async with database.transaction():
                fresh = await database.fetch(self.INSERT, list(bodies))
                counted.add(
                    list(bodies.values()) if len(fresh) == len(bodies) else [bodies[str(row[0])] for row in fresh]
                )
            await client.xack(RAW_STREAM, RAW_GROUP, *[entry_id for entry_id, _ in entries])
        return counted

    async def rest(self) -> None:
        """Nothing goes on by itself."""

    async def close(self) -> None:
        if self._database is not None:
            await self._database.close()
        await self._client.aclose()
