"""Kafka: our publisher and our reader of a partition, beside aiokafka as a good engineer would use it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import orjson
import uuid_utils
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from prog_broker.domain import Domain
from prog_broker.intake import Intake
from prog_broker.kafka.connection import Names
from prog_broker.kafka.publisher import BATCH_BYTES, KafkaPublisher
from prog_broker.kafka.transport import KafkaTransport
from prog_broker.leases import OwnedShard
from prog_broker.ports import Position, Shard
from prog_broker.transaction import Transaction
from prog_contracts.envelope import wrap
from prog_infra.bench.bus import message
from prog_infra.bench.bus.side import Counted
from prog_kit.settings import Settings
from prog_kit.telemetry import BATCH_SIZE, MESSAGES

RAW_TOPIC: Final = f"bench.{message.TOPIC.name}"
RAW_GROUP: Final = f"bench.prog.{message.GROUP}"


class PublishOurs:
    """Models go in, 500 at a time; envelope, headers, encoding and routing by key are the publisher's."""

    as_shipped: ClassVar[bool] = False

    def __init__(self, settings: Settings) -> None:
        self._publisher = KafkaPublisher(Names.of(settings))
        self._tenants = [envelope.tenant_id for envelope in message.envelopes(message.KEYS, range(4))]
        self._bodies: list[message.Body] = []

    async def open(self) -> None:
        """It connects when it first publishes."""

    async def arm(self, messages: int) -> None:
        self._bodies = [message.body(message.FIRST + index) for index in range(messages)]

    async def run(self, messages: int) -> Counted:
        tenants, counted = self._tenants, Counted()
        for start in range(0, messages, message.BATCH):
            bodies = self._bodies[start : start + message.BATCH]
            await self._publisher.send(
                [
                    (
                        message.TOPIC,
                        wrap(
                            body, tenant_id=tenants[index % message.KEYS], source=message.SOURCE, actor="system"
                        ),
                    )
                    for index, body in enumerate(bodies)
                ]
            )  # fmt: skip
            counted.add(bodies)
        return counted

    async def rest(self) -> None:
        """Nothing goes on by itself."""

    async def close(self) -> None:
        await self._publisher.close()


class PublishRaw:
    """`send` 500 times, then wait for all: the same headers, key and body, with the same acknowledgements."""

    as_shipped: ClassVar[bool] = False

    def __init__(self, settings: Settings) -> None:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=urlsplit(settings.effective_broker_url).netloc,
            acks="all",
            enable_idempotence=True,
            max_batch_size=BATCH_BYTES,
            max_request_size=2 * BATCH_BYTES,
        )
        self._tenants = [envelope.tenant_id for envelope in message.envelopes(message.KEYS, range(4))]
        self._documents: list[dict[str, Any]] = []

    async def open(self) -> None:
        await self._producer.start()

    async def arm(self, messages: int) -> None:
        self._documents = [message.document(message.FIRST + index) for index in range(messages)]

    async def run(self, messages: int) -> Counted:
        counted = Counted()
        for start in range(0, messages, message.BATCH):
            documents = self._documents[start : start + message.BATCH]
            sent = []
            for index, document in enumerate(documents):
                tenant = self._tenants[index % message.KEYS].encode()
                sent.append(
                    await self._producer.send(
                        RAW_TOPIC, orjson.dumps(document), key=tenant, headers=self._headers(tenant)
                    )
                )
            await asyncio.gather(*sent)
            counted.messages += len(documents)
            counted.checksum += sum([document["number"] for document in documents])
        return counted

    async def rest(self) -> None:
        """Nothing goes on by itself."""

    async def close(self) -> None:
        await self._producer.stop()

    def _headers(self, tenant: bytes) -> list[tuple[str, bytes]]:
        identity = str(uuid_utils.uuid7()).encode()
        return [
            ("ce_specversion", b"1.0"),
            ("ce_id", identity),
            ("ce_source", message.SOURCE.encode()),
            ("ce_type", message.Body.TYPE.encode()),
            ("ce_time", datetime.now(UTC).isoformat().encode()),
            ("ce_tenantid", tenant),
            ("ce_correlationid", identity),
            ("ce_partitionkey", tenant),
            ("ce_schemaversion", b"1"),
            ("ce_actor", b"system"),
            ("content-type", b"application/json"),
        ]


class ConsumeOurs:
    """The adapter's reader of a partition, decoding into models, metrics, and the position that is kept."""

    as_shipped: ClassVar[bool] = False

    def __init__(self, settings: Settings) -> None:
        self._shard = Shard(message.GROUP, message.TOPIC, 0)
        domain = Domain(message.GROUP)
        domain.handles_batch(message.Body)(self._handle)
        self._transport = KafkaTransport(settings)
        self._owned = OwnedShard(self._shard)
        self._token = 0
        self._transport.subscribe(
            self._owned, Intake(domain, self._shard, batch_size=message.BATCH), self._deliver
        )  # fmt: skip
        self._counted = Counted()
        self._awaited = 0
        self._position: Position | None = None
        self._done = asyncio.Event()

    async def open(self) -> None:
        await self._transport.start()

    async def arm(self, messages: int) -> None:
        """It reads when it is told to."""

    async def run(self, messages: int) -> Counted:
        self._counted, self._awaited = Counted(), messages
        self._done.clear()
        self._token += 1
        self._owned.gain(self._token)
        await self._done.wait()
        assert self._position is not None
        await self._transport.keep(self._shard, self._position)
        return self._counted

    async def rest(self) -> None:
        self._owned.lose()

    async def close(self) -> None:
        await self._transport.stop()
        await self._transport.close()

    async def _handle(self, bodies: list[message.Body], tx: Transaction | None) -> None:
        self._counted.add(bodies)

    async def _deliver(self, intake: Intake) -> None:
        decoded = intake.take()
        bodies: list[Any] = [item.message for item in decoded.incoming]
        await self._handle(bodies, None)
        BATCH_SIZE.observe(len(bodies))
        MESSAGES.labels(message.TOPIC.name, "succeeded").inc(len(bodies))
        self._position = intake.settled([item.delivery.receipt for item in decoded.incoming])
        await self._transport.signals.settled(self._shard, self._position, [], wake=False)
        if self._counted.messages >= self._awaited:
            self._done.set()


class ConsumeRaw:
    """`getmany` 500, validate, `commit`, and again."""

    as_shipped: ClassVar[bool] = False

    def __init__(self, settings: Settings) -> None:
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=urlsplit(settings.effective_broker_url).netloc,
            group_id=RAW_GROUP,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=message.BATCH,
        )

    async def open(self) -> None:
        self._consumer.assign([TopicPartition(RAW_TOPIC, 0)])
        self._consumer.pause(TopicPartition(RAW_TOPIC, 0))
        await self._consumer.start()

    async def arm(self, messages: int) -> None:
        """It reads when it is told to."""

    async def run(self, messages: int) -> Counted:
        consumer, counted = self._consumer, Counted()
        validate = message.Body.model_validate_json
        consumer.resume(TopicPartition(RAW_TOPIC, 0))
        while counted.messages < messages:
            for records in (await consumer.getmany(timeout_ms=1000, max_records=message.BATCH)).values():
                counted.add([validate(record.value) for record in records])
                await consumer.commit()
        return counted

    async def rest(self) -> None:
        """What comes while the judge fills is not fetched ahead, on neither side."""
        self._consumer.pause(TopicPartition(RAW_TOPIC, 0))

    async def close(self) -> None:
        await self._consumer.stop()
