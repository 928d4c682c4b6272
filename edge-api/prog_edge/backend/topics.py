"""Behind the console's pages of topics: what waits in each, for whom, and who reads it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from prog_contracts.errors import NotFound
from prog_contracts.topics import TOPICS
from prog_edge.web.ports import ShardRow, TopicReader, TopicRow
from prog_kit.database import Connection

if TYPE_CHECKING:
    from prog_workers.monitoring.queries import TopicOverview


async def rows(connection: Connection, now: datetime) -> list[TopicRow]:
    from prog_workers.monitoring import queries  # brings NumPy, which starting must not wait for

    return [_row(overview) for overview in await queries.topics(connection, now)]


async def row(connection: Connection, name: str, now: datetime) -> tuple[TopicRow, Sequence[ShardRow]]:
    """A topic and its shards. Raises NotFound for a name that the table does not have."""
    from prog_workers.monitoring import queries  # brings NumPy, which starting must not wait for

    if name not in TOPICS:
        raise NotFound("There is no such topic.")
    [found] = [item for item in await queries.topics(connection, now) if item.topic.name == name]
    shards = [
        ShardRow(
            group=shard.group,
            partition=shard.partition,
            lag=shard.lag,
            oldest_seconds=shard.oldest_seconds,
            owner=shard.owner,
            leased_until=shard.leased_until,
            held=shard.held,
        )
        for shard in await queries.shards(connection, found.topic, now)
    ]
    return _row(found), shards


def _row(overview: TopicOverview) -> TopicRow:
    topic = overview.topic
    return TopicRow(
        name=topic.name,
        kind=topic.kind,
        partitions=topic.partitions,
        retention_hours=topic.retention_hours,
        readers=[
            TopicReader(reader.group, reader.reads, reader.per_second, reader.lag, reader.oldest_seconds)
            for reader in overview.readers
        ],
    )
