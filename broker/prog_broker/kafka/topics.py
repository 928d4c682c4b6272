"""Making the topics of the topic table on a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from prog_broker.kafka.connection import REQUEST_TIMEOUT_MILLISECONDS, Names, started
from prog_contracts.topics import KAFKA_RETENTION_HOURS, Topic

HOUR_MILLISECONDS: Final = 3_600_000
CLUSTER_DEFAULT: Final = -1


class PartitionsMismatch(KafkaError):  # type: ignore[misc]  # aiokafka has no types
    """A topic has more partitions than the table says: keys would be found in other ones than the table's."""


@asynccontextmanager
async def admin(names: Names) -> Any:
    """An admin client, closed at the end."""
    client = await started(_client(names))
    try:
        yield client
    finally:
        await client.close()


class Admin:
    """An admin client that stays open between calls; `close` it after an outage and the next call connects anew."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._client: AIOKafkaAdminClient | None = None
        self._connecting = asyncio.Lock()

    async def get(self) -> Any:
        async with self._connecting:
            if self._client is None:
                self._client = await started(_client(self._names))
            return self._client

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with suppress(KafkaError, OSError):
                await client.close()


async def ensure(
    names: Names, topics: Iterable[Topic], *, replication: int = 0, retention_hours: int = KAFKA_RETENTION_HOURS
) -> int:
    """Makes missing topics and partitions; returns how many topics were made.

    Raises PartitionsMismatch for a topic with more partitions than the table says.
    """
    wanted = {names.topic(topic): topic for topic in topics}
    async with admin(names) as client:
        there = set(await client.list_topics())
        made = await _make(client, {n: t for n, t in wanted.items() if n not in there}, replication, retention_hours)
        described = await client.describe_topics([name for name in wanted if name in there]) if there else []
        fewer = {}
        for row in described:
            partitions, topic = len(row["partitions"]), wanted.get(row["topic"])
            if topic is None or not partitions:
                continue
            if partitions > topic.partitions:
                raise PartitionsMismatch(
                    f"{row['topic']} has {partitions} partitions, the topic table says {topic.partitions}"
                )
            if partitions < topic.partitions:
                fewer[row["topic"]] = NewPartitions(topic.partitions)
        if fewer:
            await client.create_partitions(fewer)
        return made


async def _make(client: Any, missing: dict[str, Topic], replication: int, retention_hours: int) -> int:
    if not missing:
        return 0
    answer = await client.create_topics(
        [
            NewTopic(
                name,
                num_partitions=topic.partitions,
                replication_factor=replication or CLUSTER_DEFAULT,
                replica_assignments=None if replication else {},  # aiokafka asks for it where a number is left open
                topic_configs={"retention.ms": str(_kept_hours(topic, retention_hours) * HOUR_MILLISECONDS)},
            )
            for name, topic in missing.items()
        ]
    )
    made = 0
    for name, code, *rest in answer.topic_errors:
        error = for_code(code)
        if error is TopicAlreadyExistsError:
            continue
        if code != 0:
            raise error(f"{name}: {rest[0] if rest else ''}")
        made += 1
    return made


def _kept_hours(topic: Topic, retention_hours: int) -> int:
    return 2 * retention_hours if topic.kind == "dead" else retention_hours


def _client(names: Names) -> AIOKafkaAdminClient:
    return AIOKafkaAdminClient(bootstrap_servers=names.bootstrap, request_timeout_ms=REQUEST_TIMEOUT_MILLISECONDS)
