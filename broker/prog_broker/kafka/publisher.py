"""The port's `Publisher` over Kafka: one batch a partition, acknowledged by all replicas in sync, idempotent."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from prog_broker.kafka.connection import OUTAGES, REQUEST_TIMEOUT_MILLISECONDS, Names, started
from prog_broker.kafka.records import headers_of
from prog_broker.ports import Delivery
from prog_contracts.envelope import Envelope
from prog_contracts.errors import Unavailable
from prog_contracts.topics import Topic
from prog_kit.tasks import cancelled

BATCH_BYTES: Final = 900_000
"""Of one batch of records; brokers refuse more than a megabyte unless they are told otherwise (message.max.bytes)."""

Row = tuple[bytes, list[tuple[str, bytes]], bytes]
"""Key, headers and value of one record."""


class KafkaPublisher:
    """Connects when it first publishes, and anew after an error that its producer does not get over by itself.

    Whoever stops waiting does not stop the connecting, which all others wait for, and which short waits would never let
    come to its end.
    """

    def __init__(self, names: Names) -> None:
        self._names = names
        self._producer: AIOKafkaProducer | None = None
        self._connecting: asyncio.Task[AIOKafkaProducer] | None = None

    def prepared(self, envelopes: Sequence[tuple[Topic, Envelope]]) -> Sequence[tuple[Topic, Envelope]]:
        return envelopes

    async def send(self, envelopes: Sequence[tuple[Topic, Envelope]]) -> None:
        rows: dict[tuple[str, int], list[Row]] = {}
        for topic, envelope in envelopes:
            place = self._names.topic(topic), topic.partition_of(envelope.partition_key)
            row = envelope.partition_key.encode(), envelope.headers(), envelope.data
            rows.setdefault(place, []).append(row)
        await self._publish(rows)

    async def announce(self, topic: Topic, deliveries: Sequence[Delivery]) -> None:
        rows = [(b"", _headers_of_any(delivery), delivery.data) for delivery in deliveries]
        await self._publish({(self._names.topic(topic), 0): rows})

    async def close(self) -> None:
        if self._connecting is not None:
            await cancelled([self._connecting])
        await self._drop()

    async def _drop(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(*OUTAGES):
                await producer.stop()

    async def _publish(self, rows: dict[tuple[str, int], list[Row]]) -> None:
        try:
            producer = await self._connected()
            await asyncio.gather(*(_publish_to(producer, place, records) for place, records in rows.items()))
        except OUTAGES as error:
            if isinstance(error, KafkaError) and not error.retriable:
                await self._drop()
            raise Unavailable(f"the broker does not answer: {error!r}", code="broker_unavailable") from error

    async def _connected(self) -> AIOKafkaProducer:
        if self._producer is not None:
            return self._producer
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect())
            self._connecting.add_done_callback(self._has_connected)
        connecting, waiting = self._connecting, asyncio.current_task()
        try:
            return await asyncio.shield(connecting)
        except asyncio.CancelledError:
            if connecting.cancelled() and waiting is not None and not waiting.cancelling():
                raise Unavailable("the connection was closed", code="broker_unavailable") from None
            raise

    def _has_connected(self, task: asyncio.Task[AIOKafkaProducer]) -> None:
        self._connecting = None
        if not task.cancelled() and task.exception() is None:  # an error is told to whoever waits; perhaps nobody does
            self._producer = task.result()

    async def _connect(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._names.bootstrap,
            acks="all",
            enable_idempotence=True,
            max_batch_size=BATCH_BYTES,
            max_request_size=2 * BATCH_BYTES,
            request_timeout_ms=REQUEST_TIMEOUT_MILLISECONDS,
        )
        return await started(producer)


async def _publish_to(producer: AIOKafkaProducer, place: tuple[str, int], rows: list[Row]) -> None:
    """All of one partition, in order: as many batches as its bytes need.

    Each waits for the one before: one that went through after another had failed would stand before it.
    """
    batch = producer.create_batch()
    for key, headers, value in rows:
        while batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
            await _send(producer, batch, place)
            batch = producer.create_batch()
    await _send(producer, batch, place)


async def _send(producer: AIOKafkaProducer, batch: Any, place: tuple[str, int]) -> None:
    topic, partition = place
    await (await producer.send_batch(batch, topic, partition=partition))


def _headers_of_any(delivery: Delivery) -> list[tuple[str, bytes]]:
    """The headers of a message that may be no CloudEvent at all."""
    headers: Any = getattr(delivery, "headers", None)
    if headers is not None:
        return list(headers)
    try:
        return headers_of(delivery.attributes)
    except ValueError:
        return []
