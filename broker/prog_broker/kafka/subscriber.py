"""A FastStream subscriber for one partition of one group.

FastStream owns the subscription: its life cycle, its middleware and the call of the handler. `ShardReader` owns when to
read and from where; `GroupConsumer` fetches.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import TopicPartition
from faststream import AckPolicy
from faststream._internal.broker.registrator import Registrator
from faststream._internal.endpoint.subscriber.call_item import CallsCollection
from faststream._internal.endpoint.subscriber.mixins import TasksMixin
from faststream.kafka import KafkaBroker
from faststream.kafka import TopicPartition as Declared
from faststream.kafka.message import KafkaMessage
from faststream.kafka.subscriber.config import KafkaSubscriberConfig, KafkaSubscriberSpecificationConfig
from faststream.kafka.subscriber.specification import KafkaSubscriberSpecification
from faststream.kafka.subscriber.usecase import BatchSubscriber

from prog_broker.intake import Intake
from prog_broker.kafka.connection import OUTAGES
from prog_broker.kafka.consuming import GroupConsumer
from prog_broker.kafka.records import record_of
from prog_broker.leases import OwnedShard
from prog_broker.ports import Deliver, Delivery
from prog_broker.reading import ShardReader, at_work, never_logged

_ACKNOWLEDGED_ABOVE: Any = None
"""FastStream's message wants a consumer to commit with; ours is committed by `Signals` after the database's commit."""


class PartitionReader(ShardReader, BatchSubscriber):
    """Reads one partition for one group while its lease is ours."""

    source: GroupConsumer
    partition: TopicPartition
    read_outages = OUTAGES
    _token = 0

    def get_log_context(self, message: Any) -> dict[str, str]:
        return never_logged(self)

    async def start(self) -> None:
        """Starts the reading task. FastStream's own way would open a consumer for every partition."""
        await super(TasksMixin, self).start()
        self._post_start()
        self.add_task(self.consume_while_owned)

    async def begin(self) -> None:
        self._token = self.owned.token
        await self.source.begin(self.partition, self._token)

    def end(self) -> None:
        held = self.owned.gained.is_set() and self.owned.token == self._token
        self.source.end(self.partition, lost=not held)

    async def read(self, count: int, *, wait_seconds: float) -> list[Delivery]:
        records = await self.source.take(self.partition, count, wait_seconds)
        return [record_of(record) for record in records]

    async def hand_over(self, work: asyncio.Task[None]) -> None:
        message: Any = (work,)
        await self.consume_one(message)


async def _parse(message: Any, _: Any) -> KafkaMessage:
    (work,) = message
    return KafkaMessage(raw_message=message, body=work, headers={}, consumer=_ACKNOWLEDGED_ABOVE)


async def _decode(message: KafkaMessage, _: Any) -> Any:
    return message.body


def subscribe(
    broker: KafkaBroker,
    source: GroupConsumer,
    partition: TopicPartition,
    owned: OwnedShard,
    intake: Intake,
    deliver: Deliver,
) -> None:
    """Registers a shard with FastStream; it reads once the broker is started and the lease is gained."""
    outer: Any = broker.config
    places = [Declared(partition.topic, partition.partition, declare=False)]
    config = KafkaSubscriberConfig(
        partitions=places, group_id=owned.shard.group, no_reply=True, _outer_config=outer, _ack_policy=AckPolicy.MANUAL
    )
    calls: CallsCollection[Any] = CallsCollection()
    specification = KafkaSubscriberSpecification(
        outer,
        KafkaSubscriberSpecificationConfig(
            partitions=places, title_=owned.shard.name, description_=None, include_in_schema=True
        ),
        calls,
    )
    reader = PartitionReader(config, specification, calls, batch_timeout_ms=200, max_records=intake.batch_size)
    reader.source, reader.partition = source, partition
    reader.owned, reader.intake, reader.linger_seconds = owned, intake, intake.linger_seconds
    reader.deliver = deliver
    Registrator.subscriber(broker, reader)
    reader.add_call(parser_=_parse, decoder_=_decode, dependencies_=())

    reader(at_work)
