"""A command to its handler and the answer back, over the broker alone: ours, and the same round by hand."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any, ClassVar, Final

import orjson
import uuid_utils

from prog_broker.bus import Bus
from prog_broker.domain import Domain
from prog_broker.intake import Intake
from prog_broker.leases import OwnedShard
from prog_broker.outcome import Reply
from prog_broker.ports import AddressedReply, Shard
from prog_broker.producers import ProducerGate
from prog_broker.redis.connection import connect
from prog_broker.redis.streams import ensure_group
from prog_broker.redis.transport import RedisTransport
from prog_broker.replies import StoredAnswer
from prog_broker.transaction import Transaction
from prog_contracts.events import PublishEvent
from prog_contracts.signing import PLATFORM_PRODUCER
from prog_contracts.topics import topic_of
from prog_infra.bench.bus import message
from prog_infra.bench.bus.side import Counted
from prog_kit.secrets import Sealer, producer_keys
from prog_kit.settings import Settings

TOPIC: Final = topic_of(PublishEvent)
NAME: Final = "bench.asked"
BARE_STREAM: Final = "bench.asking"
BARE_GROUP: Final = "bench"


class _Serving:
    """A side that answers for as long as it lives, and is never told to run."""

    as_shipped: ClassVar[bool] = False

    async def arm(self, messages: int) -> None:
        """It serves."""

    async def run(self, messages: int) -> Counted:
        return Counted()

    async def rest(self) -> None:
        """It goes on serving."""


class AnswerOurs(_Serving):
    """The adapter's readers and signals around a handler, without the database."""

    def __init__(self, settings: Settings) -> None:
        self._transport = RedisTransport(settings)
        self._sealer = Sealer(settings.secret_keys)
        gate = ProducerGate.of(settings)
        domain = Domain(TOPIC.domain)
        domain.handles(PublishEvent)(self._handle)
        self._owned = [OwnedShard(Shard(domain.name, TOPIC, partition)) for partition in range(TOPIC.partitions)]
        for owned in self._owned:
            intake = Intake(domain, owned.shard, batch_size=message.BATCH, gate=gate)
            self._transport.subscribe(owned, intake, self._deliver(owned.shard))

    async def open(self) -> None:
        await self._transport.start()
        for owned in self._owned:
            owned.gain(1)

    async def close(self) -> None:
        await self._transport.stop()
        await self._transport.close()

    async def _handle(self, command: PublishEvent, tx: Transaction | None) -> Reply:
        return Reply({"name": command.name})

    def _deliver(self, shard: Shard) -> Any:
        async def deliver(intake: Intake) -> None:
            incoming: list[Any] = intake.take().incoming
            answers = []
            for item in incoming:
                reply = await self._handle(item.message, None)
                answer = StoredAnswer.of_reply(item.envelope.id, reply, self._sealer)
                answers.append(AddressedReply(item.envelope.reply_to, answer.encode()))
            position = intake.settled([item.delivery.receipt for item in incoming])
            await self._transport.signals.settled(shard, position, answers, wake=False)

        return deliver


class AskOurs:
    """`Bus.request`, one after the other."""

    as_shipped: ClassVar[bool] = False

    def __init__(self, settings: Settings) -> None:
        key = producer_keys(settings.secret_keys, PLATFORM_PRODUCER)[0]
        self._bus = Bus(settings.effective_broker_url, producer=PLATFORM_PRODUCER, producer_key=key)
        self._command = PublishEvent(name=NAME, payload=message.document(message.FIRST))

    async def open(self) -> None:
        """It listens from the first request on."""

    async def arm(self, messages: int) -> None:
        """It asks when it is told to."""

    async def run(self, messages: int) -> Counted:
        counted = Counted(checksum=message.checksum(messages))
        for _ in range(messages):
            began = time.perf_counter()
            answer = await self._bus.request(self._command, wait_seconds=60)
            counted.milliseconds.append((time.perf_counter() - began) * 1e3)
            counted.messages += answer.status == "succeeded" and answer.result == {"name": NAME}
        return counted

    async def rest(self) -> None:
        """Nothing goes on by itself."""

    async def close(self) -> None:
        await self._bus.close()


class AnswerBare(_Serving):
    """XREADGROUP, parse, then XACK and PUBLISH in one pipeline."""

    def __init__(self, settings: Settings) -> None:
        self._client = connect(settings.effective_broker_url)
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        await ensure_group(self._client, BARE_STREAM, BARE_GROUP)
        self._task = asyncio.create_task(self._serve())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._client.aclose()

    async def _serve(self) -> None:
        while True:
            reply: Any = await self._client.xreadgroup(
                BARE_GROUP, "c", {BARE_STREAM: ">"}, count=message.BATCH, block=1000
            )
            for _, entries in reply or ():
                pipeline = self._client.pipeline(transaction=False)
                for entry_id, fields in entries:
                    asked = orjson.loads(fields[b"data"])
                    answer = {"id": fields[b"id"].decode(), "name": asked["name"]}
                    pipeline.publish(fields[b"reply"], orjson.dumps(answer))
                    pipeline.xack(BARE_STREAM, BARE_GROUP, entry_id)
                await pipeline.execute()


class AskBare:
    """XADD, and wait on a channel of one's own."""

    as_shipped: ClassVar[bool] = False

    def __init__(self, settings: Settings) -> None:
        self._client = connect(settings.effective_broker_url)
        self._pubsub: Any = self._client.pubsub(ignore_subscribe_messages=True)
        self._channel = f"bench.replies.{uuid_utils.uuid7()}"
        self._document = {"name": NAME, "payload": message.document(message.FIRST)}

    async def open(self) -> None:
        await self._pubsub.subscribe(self._channel)
        self._answers: Any = self._pubsub.listen()

    async def arm(self, messages: int) -> None:
        """It asks when it is told to."""

    async def run(self, messages: int) -> Counted:
        counted = Counted(checksum=message.checksum(messages))
        for _ in range(messages):
            began = time.perf_counter()
            identity = str(uuid_utils.uuid7())
            fields: Any = {"id": identity, "reply": self._channel, "data": orjson.dumps(self._document)}
            await self._client.xadd(BARE_STREAM, fields)
            told = orjson.loads((await anext(self._answers))["data"])
            counted.milliseconds.append((time.perf_counter() - began) * 1e3)
            counted.messages += told == {"id": identity, "name": NAME}
        return counted

    async def rest(self) -> None:
        """Nothing goes on by itself."""

    async def close(self) -> None:
        await self._pubsub.aclose()
        await self._client.aclose()
