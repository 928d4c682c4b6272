"""FastStream as it is shipped: its own format, its own codec, batches of models, acknowledged after the handler."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from faststream.redis import RedisBroker, StreamSub

from prog_broker.redis.connection import connect
from prog_infra.bench.bus import message
from prog_infra.bench.bus.side import Counted
from prog_infra.bench.bus.sides.settling import until_settled
from prog_kit.settings import Settings

STREAM = "bench.faststream"
FROZEN_STREAM = "bench.faststream.frozen"
GROUP = "faststream"


class FastStream:
    """A batch subscriber with `max_records` set, for without it one read would take all there is."""

    as_shipped: ClassVar[bool] = True
    stream: ClassVar[str] = STREAM

    def __init__(self, settings: Settings) -> None:
        self._broker = RedisBroker(settings.effective_broker_url, logger=None)  # type: ignore[arg-type]
        self._client = connect(settings.effective_broker_url)
        self._counted = Counted()
        self._held = asyncio.Event()
        self._gate = asyncio.Event()
        self._done = asyncio.Event()
        self._awaited = 0
        stream = StreamSub(self.stream, group=GROUP, consumer="c", batch=True, max_records=message.BATCH, last_id=">")
        self._broker.subscriber(stream=stream)(self._handle)

    async def open(self) -> None:
        await self._broker.start()

    async def arm(self, messages: int) -> None:
        self._held.clear()
        self._gate.clear()
        await self._broker.publish(message.body(message.GUN), stream=self.stream)
        await self._held.wait()

    async def run(self, messages: int) -> Counted:
        self._counted, self._awaited = Counted(), messages
        self._done.clear()
        self._gate.set()
        await self._done.wait()
        await until_settled(self._client, self.stream, GROUP)
        return self._counted

    async def rest(self) -> None:
        """Nothing goes on by itself."""

    async def close(self) -> None:
        await self._broker.stop()
        await self._client.aclose()

    async def _handle(self, bodies: list[message.Body]) -> None:
        if bodies[0].number == message.GUN:
            self._held.set()
            await self._gate.wait()
            return
        self._counted.add(bodies)
        if self._counted.messages >= self._awaited:
            self._done.set()


class Frozen(FastStream):
    """The same with what was loaded kept out of the garbage collector, as in our own processes."""

    as_shipped: ClassVar[bool] = False
    stream: ClassVar[str] = FROZEN_STREAM
