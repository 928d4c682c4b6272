"""One of several processes of a group: it waits for its share of the shards, then works them off."""

from __future__ import annotations

import asyncio
import time
from typing import ClassVar

from prog_broker.bus import Bus
from prog_broker.bus.redis import GroupReader
from prog_broker.redis.connection import connect
from prog_infra.bench.bus import message
from prog_infra.bench.bus.side import Counted
from prog_infra.bench.bus.sides.settling import until_settled
from prog_kit.settings import Settings

GROUP = "bench-shared"
LEASE_SECONDS = 1.5


class Alone:
    """All shards are its own."""

    as_shipped: ClassVar[bool] = False
    shards: ClassVar[int] = message.TOPIC.partitions

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = connect(settings.effective_broker_url)
        self._bus: Bus | None = None
        self._counted = Counted()
        self._awaited = 0
        self._gate = asyncio.Event()
        self._done = asyncio.Event()

    async def open(self) -> None:
        await self._client.ping()

    async def arm(self, messages: int) -> None:
        """Returns when it holds its share, no more and no less."""
        self._counted, self._awaited = Counted(), 0
        self._gate.clear()
        self._done.clear()
        self._bus = Bus(self._settings.effective_broker_url, batch_size=message.BATCH, lease_seconds=LEASE_SECONDS)
        self._bus.subscribe_batch(message.Body, group=GROUP)(self._handle)
        await self._bus.start()
        while len(self._streams()) != self.shards:  # noqa: ASYNC110 - it goes up and down as others come
            await asyncio.sleep(0.01)

    async def run(self, messages: int) -> Counted:
        streams = self._streams()
        awaited = sum([await self._client.xlen(stream) for stream in streams])
        began = time.perf_counter()
        self._awaited = awaited
        self._gate.set()
        await self._done.wait()
        for stream in streams:
            await until_settled(self._client, stream, GROUP)
        self._counted.began = began
        return self._counted

    async def rest(self) -> None:
        if self._bus is not None:
            await self._bus.close()
            self._bus = None

    async def close(self) -> None:
        await self.rest()
        await self._client.aclose()

    def _streams(self) -> list[str]:
        assert self._bus is not None
        reader = self._bus._readers[0]
        assert isinstance(reader, GroupReader)
        return [lease.stream for lease in reader.leases.all if lease.held()]

    async def _handle(self, bodies: list[message.Body]) -> None:
        await self._gate.wait()
        self._counted.add(bodies)
        if self._counted.messages >= self._awaited:
            self._done.set()


class Half(Alone):
    """Another process has the other half."""

    shards: ClassVar[int] = message.TOPIC.partitions // 2
