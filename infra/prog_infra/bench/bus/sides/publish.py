"""Publishing 500 messages at a time: our publisher, and redis-py's pipeline as a good engineer would use it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar

import orjson
import uuid_utils

from prog_broker.bus import Bus
from prog_broker.redis.connection import connect
from prog_infra.bench.bus import message
from prog_infra.bench.bus.side import Counted
from prog_kit.settings import Settings

RAW_STREAM = "bench.publish"


class Ours:
    """`Bus.publish_many`: models go in; envelope, encoding and routing by key are the library's."""

    as_shipped: ClassVar[bool] = False

    def __init__(self, settings: Settings) -> None:
        self._bus = Bus(settings.effective_broker_url, source=message.SOURCE)
        self._tenants = [envelope.tenant_id for envelope in message.envelopes(message.KEYS, range(4))]
        self._bodies: list[tuple[message.Body, str]] = []

    async def open(self) -> None:
        """The bus connects by itself."""

    async def arm(self, messages: int) -> None:
        self._bodies = [
            (message.body(message.FIRST + index), self._tenants[index % message.KEYS]) for index in range(messages)
        ]

    async def run(self, messages: int) -> Counted:
        counted = Counted()
        for start in range(0, messages, message.BATCH):
            bodies = self._bodies[start : start + message.BATCH]
            await self._bus.publish_many(bodies, actor="system")
            counted.add([body for body, _ in bodies])
        return counted

    async def rest(self) -> None:
        """Nothing goes on by itself."""

    async def close(self) -> None:
        await self._bus.close()


class Raw:
    """Dicts go in; the same two fields come out: the attributes with a fresh id and the time, and the body."""

    as_shipped: ClassVar[bool] = False

    def __init__(self, settings: Settings) -> None:
        self._client = connect(settings.effective_broker_url)
        self._documents: list[dict[str, object]] = []
        self._tenants = [envelope.tenant_id for envelope in message.envelopes(message.KEYS, range(4))]

    async def open(self) -> None:
        await self._client.ping()

    async def arm(self, messages: int) -> None:
        self._documents = [message.document(message.FIRST + index) for index in range(messages)]

    async def run(self, messages: int) -> Counted:
        counted = Counted()
        for start in range(0, messages, message.BATCH):
            documents = self._documents[start : start + message.BATCH]
            pipeline = self._client.pipeline(transaction=False)
            for index, document in enumerate(documents):
                pipeline.xadd(RAW_STREAM, {"ce": self._attributes(index), "data": orjson.dumps(document)})
            await pipeline.execute()
            counted.messages += len(documents)
            counted.checksum += sum([document["number"] for document in documents])  # type: ignore[misc]
        return counted

    async def rest(self) -> None:
        """Nothing goes on by itself."""

    async def close(self) -> None:
        await self._client.aclose()

    def _attributes(self, index: int) -> bytes:
        identity, tenant = str(uuid_utils.uuid7()), self._tenants[index % message.KEYS]
        return orjson.dumps(
            {
                "specversion": "1.0",
                "id": identity,
                "source": message.SOURCE,
                "type": message.Body.TYPE,
                "time": datetime.now(UTC),
                "tenantid": tenant,
                "correlationid": identity,
                "partitionkey": tenant,
                "actor": "system",
            }
        )


class BodyAlone(Raw):
    """The least there is: one field with the body, and no attributes at all."""

    async def run(self, messages: int) -> Counted:
        counted = Counted()
        for start in range(0, messages, message.BATCH):
            documents = self._documents[start : start + message.BATCH]
            pipeline = self._client.pipeline(transaction=False)
            for document in documents:
                pipeline.xadd(RAW_STREAM, {"data": orjson.dumps(document)})
            await pipeline.execute()
            counted.messages += len(documents)
            counted.checksum += sum([document["number"] for document in documents])  # type: ignore[misc]
        return counted
