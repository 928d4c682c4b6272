"""How far each consumer group is behind on Redis streams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from prog_broker.ports import ShardLag
from prog_broker.redis.connection import Client
from prog_contracts.topics import TOPICS, Topic

MAX_COUNTED: Final = 10_000
"""Where Redis cannot tell how many entries wait, so many are counted; more are told as this many."""

_COUNT: Final = """
local last, counted, most = ARGV[1], 0, tonumber(ARGV[2])
while counted < most do
    local entries = redis.call('XRANGE', KEYS[1], '(' .. last, '+', 'COUNT', 100)
    if #entries == 0 then break end
    counted = counted + #entries
    last = entries[#entries][1]
end
return math.min(counted, most)
"""
"""Counts on the server, so that no bodies travel."""


@dataclass(slots=True)
class _Group:
    """What XINFO GROUPS tells of one group of one stream. `waiting` is None where Redis does not know."""

    topic: Topic
    partition: int
    name: str
    waiting: int | None
    last_delivered: str

    @property
    def stream(self) -> str:
        return self.topic.stream(self.partition)


async def shard_lags(client: Client, readers: Mapping[str, Sequence[str]]) -> list[ShardLag]:
    """What waits in each partition of the topics given, for the groups that read it, in two round trips.

    For a stream that does not exist yet nothing waits, for a group that does not, everything. Redis gives no lag for a
    group after entries in the middle of the stream were deleted, or after the group was set to an id by hand; then the
    entries themselves are counted.
    """
    groups = await _groups(client, {TOPICS[name]: groups for name, groups in readers.items() if groups})
    if not groups:
        return []
    pipeline = client.pipeline(transaction=False)
    for group in groups:
        pipeline.xrange(group.stream, min=f"({group.last_delivered}", count=1)
        if group.waiting is None:
            pipeline.eval(_COUNT, 1, group.stream, group.last_delivered, MAX_COUNTED)
    answers = iter(await pipeline.execute(raise_on_error=False))
    lags = []
    for group in groups:
        first = next(answers)
        waiting = next(answers) if group.waiting is None else group.waiting
        lags.append(_lag(group, first, waiting))
    return lags


async def _groups(client: Client, readers: Mapping[Topic, Sequence[str]]) -> list[_Group]:
    streams = [(topic, partition) for topic in readers for partition in range(topic.partitions)]
    pipeline = client.pipeline(transaction=False)
    for topic, partition in streams:
        pipeline.xinfo_groups(topic.stream(partition))
    answers: list[Any] = await pipeline.execute(raise_on_error=False)
    found = []
    for (topic, partition), answer in zip(streams, answers, strict=True):
        known = {} if isinstance(answer, Exception) else {_text(row["name"]): row for row in answer}
        for name in readers[topic]:
            row = known.get(name)
            if row is None:
                found.append(_Group(topic, partition, name, None, "0-0"))
            else:
                found.append(_Group(topic, partition, name, row.get("lag"), _text(row["last-delivered-id"])))
    return found


def _lag(group: _Group, first: Any, waiting: Any) -> ShardLag:
    """The entries themselves have the last word on whether anything waits: a count may lag behind a trim."""
    there = bool(first) and not isinstance(first, Exception)
    counted = 1 if isinstance(waiting, Exception) else max(waiting, 1)
    return ShardLag(
        topic=group.topic.name,
        group=group.name,
        partition=group.partition,
        lag=counted if there else 0,
        oldest_at=_published_at(first[0][0]) if there else None,
    )


def _published_at(entry_id: bytes | str) -> datetime:
    """An entry's id begins with the server's milliseconds."""
    return datetime.fromtimestamp(int(_text(entry_id).partition("-")[0]) / 1000, UTC)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
