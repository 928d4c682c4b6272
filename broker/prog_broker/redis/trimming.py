"""Trimming of streams: an entry goes when every group is past it and its topic's retention is over.

Never by length: an exact MAXLEN drops entries that nobody has read. The groups of the topic table are waited for
without an end. Others, of programs outside of the platform, may be gone for good without a word, and a stream that
waited for them would fill the server: they are waited for until an entry is PATIENCE_HOURS older than its retention.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from redis.exceptions import ResponseError

from prog_broker.redis.connection import Client, raw
from prog_contracts.topics import Topic
from prog_kit import logging

log = logging.get("prog_broker.redis.trimming")

PATIENCE_HOURS: Final = 24 * 14

EntryId: TypeAlias = tuple[int, int]
"""Milliseconds on the server's clock, and a number within them."""


async def trim(client: Client, topics: Iterable[Topic], *, retention_hours: int = 0) -> int:
    """Trims every stream; returns how many entries went. `retention_hours` goes before the topic table's."""
    seconds, _ = await client.time()
    gone = 0
    for topic in topics:
        kept_since = int(seconds - (retention_hours or topic.retention_hours) * 3600) * 1000
        for partition in range(topic.partitions):
            try:
                gone += await _trim(client, topic, partition, kept_since)
            except ResponseError:
                continue  # no such stream yet
    return gone


async def _trim(client: Client, topic: Topic, partition: int, kept_since: int) -> int:
    stream = topic.stream(partition)
    rows: list[dict[str, Any]] = await client.xinfo_groups(stream)
    places = {_text(row["name"]): _parse(row["last-delivered-id"]) for row in rows}
    floor = min([(kept_since, 0), *(place for name, place in places.items() if name in topic.consumers)])
    waited_since = (kept_since - PATIENCE_HOURS * 3_600_000, 0)
    outside = {name: place for name, place in places.items() if name not in topic.consumers}
    floor = min([floor, *(max(place, waited_since) for place in outside.values())])
    if floor <= (0, 0):
        return 0
    losing = [name for name, place in outside.items() if place < floor and await _waits(client, stream, place, floor)]
    gone: int = await raw(client, "XTRIM", stream, "MINID", "~", _told(floor))
    if gone and losing:
        log.warning("groups that have long read nothing are waited for no longer", stream=stream, groups=losing)
    return gone


async def _waits(client: Client, stream: str, after: EntryId, before: EntryId) -> bool:
    """Whether the stream holds anything between two places."""
    return bool(await raw(client, "XRANGE", stream, f"({_told(after)}", f"({_told(before)}", "COUNT", 1))


def _told(entry_id: EntryId) -> str:
    return f"{entry_id[0]}-{entry_id[1]}"


def _parse(entry_id: bytes | str) -> EntryId:
    milliseconds, _, sequence = _text(entry_id).partition("-")
    return int(milliseconds), int(sequence or 0)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
