"""How far each consumer group is behind on Kafka: the end of each partition less what the group has committed."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from prog_broker.kafka.connection import Names
from prog_broker.ports import ShardLag
from prog_contracts.topics import TOPICS

LOOK_SECONDS: Final = 1.0
"""A partition may have lost its leader: its lag is told, its age is not."""


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
    at = {
        (name, group, partition): max(positions.get((group, place), 0), beginnings[place])
        for (name, partition), place in places.items()
        for group in readers[name]
    }
    waiting = {
        (places[name, partition], offset)
        for (name, _, partition), offset in at.items()
        if offset < ends[places[name, partition]]
    }
    published = await _published_at(consumer, waiting)
    return [
        ShardLag(
            name,
            group,
            partition,
            max(0, ends[places[name, partition]] - offset),
            published.get((places[name, partition], offset)),
        )
        for (name, group, partition), offset in at.items()
    ]


async def _positions(names: Names, admin: Any, groups: set[str]) -> dict[tuple[str, TopicPartition], int]:
    found = {}
    for group in groups:
        offsets = await admin.list_consumer_group_offsets(names.group(group))
        for place, committed in offsets.items():
            if committed.offset >= 0:
                found[group, place] = committed.offset
    return found


async def _published_at(
    consumer: AIOKafkaConsumer, waiting: Iterable[tuple[TopicPartition, int]]
) -> dict[tuple[TopicPartition, int], datetime]:
    """When the records at these offsets were published, without those that do not come at once.

    All partitions are asked together. Groups that stand at different places of one are asked for one after the other.
    """
    left: dict[TopicPartition, list[int]] = defaultdict(list)
    for place, offset in waiting:
        left[place].append(offset)
    published = {}
    while left:
        round_of = {place: offsets.pop() for place, offsets in left.items()}
        left = {place: offsets for place, offsets in left.items() if offsets}
        consumer.assign(list(round_of))
        for place, offset in round_of.items():
            consumer.seek(place, offset)
        for place, at in (await _first_ones(consumer, set(round_of))).items():
            published[place, round_of[place]] = at
    return published


async def _first_ones(consumer: AIOKafkaConsumer, places: set[TopicPartition]) -> dict[TopicPartition, datetime]:
    """When the next record of each partition was published; waits LOOK_SECONDS for all of them together."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + LOOK_SECONDS
    found: dict[TopicPartition, datetime] = {}
    while places and (seconds := deadline - loop.time()) > 0:
        taken: Mapping[TopicPartition, Any] = await consumer.getmany(
            *places, timeout_ms=int(seconds * 1000), max_records=1
        )
        if not taken:
            break
        for place, records in taken.items():
            places.discard(place)
            found[place] = datetime.fromtimestamp(records[0].timestamp / 1000, UTC)
    return found
