"""From the event log to the broker: our relay, and redis-py's pipeline alone on entries that are in memory already."""

from __future__ import annotations

from typing import ClassVar

from prog_broker.redis.connection import connect
from prog_broker.redis.transport import RedisTransport
from prog_broker.relay import Relay
from prog_infra.bench.bus import message
from prog_infra.bench.bus.side import Counted
from prog_infra.bench.bus.sides.publish import RAW_STREAM
from prog_kit.database import Database
from prog_kit.settings import Settings


class Ours:
    """One cycle of the relay over all that is in the log."""

    as_shipped: ClassVar[bool] = False

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = connect(settings.effective_broker_url)
        self._transport = RedisTransport(settings)
        self._database: Database | None = None
        self._relay: Relay | None = None

    async def open(self) -> None:
        self._database = await Database.connect(self._settings.database_url, "prog_relay", max_size=3)
        self._relay = Relay(self._database, self._transport, self._client)

    async def arm(self, messages: int) -> None:
        """Nothing to do: the judge fills the log."""

    async def run(self, messages: int) -> Counted:
        assert self._relay is not None
        published = 0
        while published < messages:
            published += await self._relay.run_once()
        return Counted(published, message.checksum(published))

    async def rest(self) -> None:
        """Nothing goes on by itself."""

    async def close(self) -> None:
        if self._database is not None:
            await self._database.close()
        await self._transport.close()
        await self._client.aclose()


class Raw:
    """XADD, 500 a round trip; nothing is read from anywhere and nothing is encoded."""

    as_shipped: ClassVar[bool] = False

    def __init__(self, settings: Settings) -> None:
        self._client = connect(settings.effective_broker_url)
        self._entries: list[dict[str, bytes]] = []

    async def open(self) -> None:
        await self._client.ping()

    async def arm(self, messages: int) -> None:
        self._entries = [
            {"ce": envelope.attributes(), "data": envelope.data} for envelope in message.envelopes(messages)
        ]

    async def run(self, messages: int) -> Counted:
        for start in range(0, messages, message.BATCH):
            pipeline = self._client.pipeline(transaction=False)
            for entry in self._entries[start : start + message.BATCH]:
                pipeline.xadd(RAW_STREAM, entry)  # type: ignore[arg-type]
            await pipeline.execute()
        return Counted(messages, message.checksum(messages))

    async def rest(self) -> None:
        """Nothing goes on by itself."""

    async def close(self) -> None:
        await self._client.aclose()
