"""Topics: what waits in each, for whom, and which process is at work on it. For the platform's staff."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Depends, Path
from pydantic import Field

from prog_contracts.errors import NotFound
from prog_contracts.topics import TOPICS
from prog_edge.access import Access, Staff
from prog_edge.api.shapes import Listing, Resource, problems

if TYPE_CHECKING:
    from prog_workers.monitoring.queries import TopicOverview

router = APIRouter(prefix="/v1/topics", tags=["Operations"])

Looks = Annotated[Access, Depends(Staff("platform.read"))]


class TopicConsumer(Resource):
    """A consumer group that may read the topic."""

    group: str
    reads: bool = Field(description="False: it has no handler for any message of the topic, and leaves it alone.")
    per_second: float = Field(description="Handled of this topic in the last window of ten seconds.")
    lag: int | None = Field(description="Messages that wait; null where nobody measured it lately.")
    oldest_seconds: float | None


class TopicResource(Resource):
    """A topic of the topic table."""

    name: str
    kind: Literal["commands", "events", "dead"]
    partitions: int
    retention_hours: int
    consumers: list[TopicConsumer]


class TopicShard(Resource):
    """One partition of the topic for one consumer group."""

    group: str
    partition: int
    lag: int | None
    oldest_seconds: float | None
    owner: str | None = Field(description="The process whose lease it is; null when no process reads it.")
    leased_until: datetime | None
    held: bool = Field(description="A replay of the group holds it: its messages wait until that is over.")


class TopicWithShards(TopicResource):
    shards: list[TopicShard]


@router.get("", responses=problems(401, 403))
async def list_topics(access: Looks) -> Listing[TopicResource]:
    """Every topic with its consumers, and what waits for them."""
    from prog_workers.monitoring import queries  # brings NumPy, which nothing else in this process needs at start

    async with access.platform.reader.operator() as connection:
        found = await queries.topics(connection, datetime.now(UTC))
    return Listing(data=[_topic(overview) for overview in found], next_cursor=None)


@router.get("/{name}", responses=problems(401, 403, 404))
async def get_topic(name: Annotated[str, Path(max_length=100)], access: Looks) -> TopicWithShards:
    """One topic, with the shards of each consumer and the process that reads each."""
    from prog_workers.monitoring import queries  # brings NumPy, which nothing else in this process needs at start

    if name not in TOPICS:
        raise NotFound("There is no such topic.")
    now = datetime.now(UTC)
    async with access.platform.reader.operator() as connection:
        [found] = [item for item in await queries.topics(connection, now) if item.topic.name == name]
        shards = await queries.shards(connection, found.topic, now)
    return TopicWithShards(
        **_topic(found).model_dump(),
        shards=[
            TopicShard(
                group=shard.group,
                partition=shard.partition,
                lag=shard.lag,
                oldest_seconds=shard.oldest_seconds,
                owner=shard.owner,
                leased_until=shard.leased_until,
                held=shard.held,
            )
            for shard in shards
        ],
    )


def _topic(overview: TopicOverview) -> TopicResource:
    topic = overview.topic
    return TopicResource(
        name=topic.name,
        kind=topic.kind,
        partitions=topic.partitions,
        retention_hours=topic.retention_hours,
        consumers=[
            TopicConsumer(
                group=reader.group,
                reads=reader.reads,
                per_second=reader.per_second,
                lag=reader.lag,
                oldest_seconds=reader.oldest_seconds,
            )
            for reader in overview.readers
        ],
    )
