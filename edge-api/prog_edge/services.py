"""The servers and processes that the platform runs on, and how each is doing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg

from prog_broker.redis.connection import OUTAGES
from prog_contracts.topics import DOMAINS
from prog_edge.platform import Platform

PROBE_SECONDS: Final = 2.0
OUTBOX_LATE_SECONDS: Final = 5.0

_SERVER: Final = """
SELECT current_setting('server_version') AS version,
       extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::int AS up_seconds
"""
_MEMBERS: Final = """
SELECT consumer_group, count(*) FILTER (WHERE seen_until > clock_timestamp()) AS live, max(seen_until) AS seen
FROM bus.members GROUP BY consumer_group
"""


@dataclass(frozen=True, slots=True)
class Service:
    """`detail` says what is wrong, or what is known."""

    name: str
    healthy: bool
    detail: str


async def services(platform: Platform) -> list[Service]:
    """All of them; one that does not answer in two seconds is not healthy."""
    redis = asyncio.create_task(_redis(platform))
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            found = await _from_database(platform)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        found = [Service("PostgreSQL", False, str(error) or "it does not answer")]
    return [found[0], await redis, *found[1:], Service("Edge", True, "this answer is from it")]


async def _from_database(platform: Platform) -> list[Service]:
    from prog_workers.monitoring import queries  # brings NumPy, which nothing else in this process needs at start

    async with platform.database.operator() as connection:
        server = await connection.fetchrow(_SERVER)
        members = {row["consumer_group"]: row for row in await connection.fetch(_MEMBERS)}
        totals = await queries.totals(connection, datetime.now(UTC))
    assert server is not None
    late = totals.outbox_oldest_seconds is not None and totals.outbox_oldest_seconds > OUTBOX_LATE_SECONDS
    waiting = f"{totals.outbox_pending} messages wait to be published"
    if late:
        waiting += f", the oldest for {totals.outbox_oldest_seconds:.0f} s"
    return [
        Service("PostgreSQL", True, _running(server["version"], server["up_seconds"])),
        Service("Relay", not late, waiting),
        *(_consumer(group, members.get(group)) for group in DOMAINS),
    ]


def _consumer(group: str, row: Any) -> Service:
    live = 0 if row is None else row["live"]
    if live:
        return Service(f"Worker {group}", True, f"{live} process{'es' if live > 1 else ''}")
    seen = "never seen" if row is None else f"last seen {row['seen']:%Y-%m-%d %H:%M:%S} UTC"
    return Service(f"Worker {group}", False, f"no process is alive; {seen}")


async def _redis(platform: Platform) -> Service:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            info: dict[str, Any] = await platform.redis.info("server")
    except (*OUTAGES, TimeoutError) as error:
        return Service("Valkey", False, str(error) or "it does not answer")
    version = info.get("valkey_version") or info.get("redis_version", "")
    return Service("Valkey", True, _running(str(version), int(info.get("uptime_in_seconds", 0))))


def _running(version: str, seconds: int) -> str:
    """`18.4, up 3 minutes`: what fits on one line, without the name of the distribution that built it."""
    return f"{version.partition(' ')[0]}, up {_duration(seconds)}"


def _duration(seconds: int) -> str:
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return f"{seconds} second{'' if seconds == 1 else 's'}"
