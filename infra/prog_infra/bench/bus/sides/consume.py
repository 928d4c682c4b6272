"""Consuming 500 messages at a time without a database: our client library, and redis-py's bare loop."""

from __future__ import annotations

import asyncio
import time
from typing import Any, ClassVar

from prog_broker.bus import Bus
from prog_broker.bus.redis import GroupReader
from prog_broker.redis.connection import connect
from prog_broker.redis.streams import StreamPublisher, ensure_group
from prog_infra.bench.bus import message
from prog_infra.bench.bus.side import Counted
from prog_infra.bench.bus.sides.settling import until_settled
from prog_kit.settings import Settings

STREAM = message.TOPIC.stream(0)
GROUP = "bench"
RAW_STREAM = "bench.consume"
RAW_GROUP = "raw"
LEASE_SECONDS = 1.5


class Ours:
    """`Bus.subscribe_batch` of a program outside the platform: leases, fencing, models, metrics."""

    as_shipped: ClassVar[bool] = False

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = connect(settings.effective_broker_url)
        self._bus: Bus | None = None
        self._counted = Counted()
        self._awaited = 0
        self._held = asyncio.Event()
        self._gate = asyncio.Event()
        self._done = asyncio.Event()

    async def open(self) -> None:
        await self._client.ping()

    async def arm(self, messages: int) -> None:
        await self._start()
        await StreamPublisher(self._client).send([(message.TOPIC, message.gun())])
        await self._held.wait()

    async def run(self, messages: int) -> Counted:
        self._awaited = messages
        self._gate.set()
        await self._done.wait()
        await until_settled(self._client, STREAM, GROUP)
        return self._counted

    async def rest(self) -> None:
        if self._bus is not None:
            await self._bus.close()
            self._bus = None

    async def close(self) -> None:
        await self.rest()
        await self._client.aclose()

    async def _start(self) -> None:
        self._counted = Counted()
        for event in (self._held, self._gate, self._done):
            event.clear()
        self._bus = Bus(self._settings.effective_broker_url, batch_size=message.BATCH, lease_seconds=LEASE_SECONDS)
        self._bus.subscribe_batch(message.Body, group=GROUP)(self._handle)
        await self._bus.start()

    async def _handle(self, bodies: list[message.Body]) -> None:
        if bodies[0].number == message.GUN:
            self._held.set()
            await self._gate.wait()
            bodies = bodies[1:]
        self._counted.add(bodies)
        if self._counted.messages >= self._awaited > 0:
            self._done.set()


class Heir(Ours):
    """The same, beside a process that holds the shards: its time begins when it gets them, after that one's death."""

    async def arm(self, messages: int) -> None:
        await self._start()

    async def run(self, messages: int) -> Counted:
        assert self._bus is not None
        self._awaited = messages
        self._gate.set()
        reader = self._bus._readers[0]
        assert isinstance(reader, GroupReader)
        lease = next(lease for lease in reader.leases.all if lease.stream == STREAM)
        await lease.gained.wait()
        began = time.perf_counter()
        await self._done.wait()
        await until_settled(self._client, STREAM, GROUP)
        self._counted.began = began
        return self._counted


class Raw:
    """XREADGROUP 500, validate, XACK, and again."""

    as_shipped: ClassVar[bool] = False

    def __init__(self, settings: Settings) -> None:
        self._client = connect(settings.effective_broker_url)

    async def open(self) -> None:
        await ensure_group(self._client, RAW_STREAM, RAW_GROUP)

    async def arm(self, messages: int) -> None:
        """Nothing to do: it reads when it is told to."""

    async def run(self, messages: int) -> Counted:
        client, counted = self._client, Counted()
        validate = message.Body.model_validate_json
        while counted.messages < messages:
            reply: Any = await client.xreadgroup(RAW_GROUP, "raw", {RAW_STREAM: ">"}, count=message.BATCH, block=1000)
            entries = reply[0][1]
            counted.add([validate(fields[b"data"]) for _, fields in entries])
            await client.xack(RAW_STREAM, RAW_GROUP, *[entry_id for entry_id, _ in entries])
        return counted

    async def rest(self) -> None:
        """Nothing goes on by itself."""

    async def close(self) -> None:
        await self._client.aclose()
