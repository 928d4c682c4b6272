"""Trimming of streams: an entry goes when every group is past it and its topic's retention is over.

Never by length: an exact MAXLEN drops entries that nobody has read.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from redis.exceptions import ResponseError

from prog_broker.redis.connection import Client, raw
from prog_contracts.topics import Topic


async def trim(client: Client, topics: Iterable[Topic], *, retention_hours: int = 0) -> int:
    """Trims every stream; returns how many entries went. `retention_hours` goes before the topic table's."""
    gone = 0
    for topic in topics:
        for partition in range(topic.partitions):
            stream = topic.stream(partition)
            try:
                floor = await _floor(client, stream, retention_hours or topic.retention_hours)
                if floor is not None:
                    gone += await raw(client, "XTRIM", stream, "MINID", "~", floor)
            except ResponseError:
                continue  # no such stream yet
    return gone


async def _floor(client: Client, stream: str, retention_hours: int) -> bytes | None:
    """The lowest id that must stay: of the oldest entry some group still needs, or of the retention's beginning."""
    kept_since = int((time.time() - retention_hours * 3600) * 1000)
    groups: list[dict[str, Any]] = await client.xinfo_groups(stream)
    milliseconds, sequence = min([(kept_since, 0), *(_parse(group["last-delivered-id"]) for group in groups)])
    return f"{milliseconds}-{sequence}".encode() if (milliseconds, sequence) > (0, 0) else None


def _parse(entry_id: bytes | str) -> tuple[int, int]:
    text = entry_id.decode() if isinstance(entry_id, bytes) else entry_id
    milliseconds, _, sequence = text.partition("-")
    return int(milliseconds), int(sequence or 0)
