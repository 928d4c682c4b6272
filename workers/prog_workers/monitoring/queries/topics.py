"""What waits in each topic, for whom, and who is at work on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Final

import prog_contracts.catalogue  # noqa: F401 - fills the registry of messages
from prog_contracts.messages import all_messages
from prog_contracts.topics import TOPICS, Topic, topic_of
from prog_kit.database import Connection
from prog_workers.monitoring.queries.consumers import age_seconds, fresh_since
from prog_workers.monitoring.rules import WINDOW_SECONDS, last_closed_window, readers, window_start

_TENANTS_EVENTS: Final = "prog.events.events"
"""Types that are not the platform's are events of tenants, which all go there."""


@dataclass(frozen=True, slots=True)
class Reader:
    """A consumer group that may read a topic; `reads` is False where it has no handler for anything in it.

    `lag` is None when nothing has sampled it lately; `per_second` is what it handled of the topic's own messages in the
    last window.
    """

    group: str
    reads: bool
    per_second: float
    lag: int | None
    oldest_seconds: float | None


@dataclass(frozen=True, slots=True)
class TopicOverview:
    """A topic of the table with its consumer groups, in the table's order."""

    topic: Topic
    readers: tuple[Reader, ...]


@dataclass(frozen=True, slots=True)
class ShardState:
    """One partition of a topic for one group. `owner` is the process whose lease runs until `leased_until`; None: no
    process has it. A shard that is held leaves its messages until a replay of the group is over.
    """

    group: str
    partition: int
    lag: int | None
    oldest_seconds: float | None
    owner: str | None
    leased_until: datetime | None
    held: bool


async def topics(connection: Connection, now: datetime) -> list[TopicOverview]:
    """Every topic of the table, in its order."""
    rates = await _rates(connection, now)
    lags = {
        (row["topic"], row["consumer_group"]): (row["lag"], age_seconds(row["oldest_at"], now))
        for row in await connection.fetch(
            "SELECT topic, consumer_group, sum(lag)::int8 AS lag, min(oldest_at) AS oldest_at"
            " FROM monitoring.lag_samples WHERE sampled_at > $1 GROUP BY topic, consumer_group",
            fresh_since(now),
        )
    }
    handled = {
        row["consumer_group"]: row["types"]
        for row in await connection.fetch(
            "SELECT consumer_group, array_agg(type) AS types FROM bus.subscriptions GROUP BY consumer_group"
        )
    }
    reading = readers(handled)
    return [
        TopicOverview(
            topic,
            tuple(
                Reader(
                    group,
                    group in reading[topic.name],
                    rates.get((topic.name, group), 0.0),
                    *lags.get((topic.name, group), (None, None)),
                )
                for group in topic.consumers
            ),
        )
        for topic in TOPICS.values()
    ]


async def shards(connection: Connection, topic: Topic, now: datetime) -> list[ShardState]:
    """The shards of a topic, by group in the table's order, then by partition. A lease ends by the database's clock."""
    lags = {
        (row["consumer_group"], row["partition"]): (row["lag"], age_seconds(row["oldest_at"], now))
        for row in await connection.fetch(
            "SELECT consumer_group, partition, lag, oldest_at FROM monitoring.lag_samples"
            " WHERE topic = $1 AND sampled_at > $2",
            topic.name,
            fresh_since(now),
        )
    }
    leases = {
        (row["consumer_group"], row["partition"]): row
        for row in await connection.fetch(
            "SELECT consumer_group, partition, replay_id IS NOT NULL AS held,"
            " CASE WHEN expires_at > clock_timestamp() THEN owner END AS owner,"
            " CASE WHEN expires_at > clock_timestamp() AND isfinite(expires_at) THEN expires_at END AS leased_until"
            " FROM bus.shard_leases WHERE topic = $1",
            topic.name,
        )
    }
    found = []
    for group in topic.consumers:
        for partition in range(topic.partitions):
            lag, oldest_seconds = lags.get((group, partition), (None, None))
            lease = leases.get((group, partition))
            found.append(
                ShardState(
                    group=group,
                    partition=partition,
                    lag=lag,
                    oldest_seconds=oldest_seconds,
                    owner=lease["owner"] if lease else None,
                    leased_until=lease["leased_until"] if lease else None,
                    held=lease["held"] if lease else False,
                )
            )
    return found


async def _rates(connection: Connection, now: datetime) -> dict[tuple[str, str], float]:
    """Messages a second in the last window by topic and group."""
    rates: dict[tuple[str, str], float] = {}
    for row in await connection.fetch(
        "SELECT consumer_group, type, messages FROM monitoring.windows WHERE scope = 'handler' AND window_start = $1",
        window_start(last_closed_window(now)),
    ):
        place = _topic_names().get(row["type"], _TENANTS_EVENTS), row["consumer_group"]
        rates[place] = rates.get(place, 0.0) + row["messages"] / WINDOW_SECONDS
    return rates


@cache
def _topic_names() -> Mapping[str, str]:
    """The topic of each type of message."""
    return {model.TYPE: topic_of(model).name for model in all_messages()}
