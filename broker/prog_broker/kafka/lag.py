"""How far each consumer group is behind on Kafka: the end of each partition less what the group has committed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from prog_broker.kafka.connection import Names
from prog_broker.ports import ShardLag
from prog_contracts.topics import TOPICS


async def shard_lags(
    names: Names, consumer: AIOKafkaConsumer, admin: Any, readers: Mapping[str, Sequence[str]]
) -> list[ShardLag]:
    """What waits in each partition of the topics given, for the groups that read it.

    A group that has committed nothing has everything before it that the partition still holds. `consumer` belongs to
    this function: the oldest waiting record of a partition is looked at with it.
    """
    places = {
        (name, partition): TopicPartition(names.topic(TOPICS[name]), partition)
        for name, groups in readers.items()
        if groups
        for partition in range(TOPICS[name].partitions)
    }
    every = list(places.values())
    if not every:
        return []
    ends: Mapping[TopicPartition, int] = await consumer.end_offsets(every)
    beginnings: Mapping[TopicPartition, int] = await consumer.beginning_offsets(every)
    positions = await _positions(names, admin, {group for groups in readers.values() for group in groups})
    lags = []
    for (name, partition), place in places.items():
        for group in readers[name]:
            position = max(positions.get((group, place), 0), beginnings[place])
            waiting = max(0, ends[place] - position)
            oldest = await _published_at(consumer, place, position) if waiting else None
            lags.append(ShardLag(name, group, partition, waiting, oldest))
    return lags


async def _positions(names: Names, admin: Any, groups: set[str]) -> dict[tuple[str, TopicPartition], int]:
    found = {}
    for group in groups:
        offsets = await admin.list_consumer_group_offsets(names.group(group))
        for place, committed in offsets.items():
            if committed.offset >= 0:
                found[group, place] = committed.offset
    return found


async def _published_at(consumer: AIOKafkaConsumer, place: TopicPartition, offset: int) -> datetime | None:
    """When the record at an offset was published; None when it does not come at once."""
    consumer.assign([place])
    consumer.seek(place, offset)
    records: Mapping[TopicPartition, Any] = await consumer.getmany(place, timeout_ms=1000, max_records=1)
    for record in records.get(place, ()):
        return datetime.fromtimestamp(record.timestamp / 1000, UTC)
    return None
