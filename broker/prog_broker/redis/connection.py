"""Connections to Redis, and the translation of its errors into ours."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import redis.asyncio as aioredis
from redis.exceptions import BusyLoadingError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

if TYPE_CHECKING:
    Client: TypeAlias = aioredis.Redis
else:
    Client = aioredis.Redis

PROTOCOL: Final = 2
"""RESP2: replies keep the order and shape that the commands document; RESP3 turns some into maps."""

OUTAGES: Final = (RedisConnectionError, RedisTimeoutError, BusyLoadingError, OSError)
"""What redis-py raises while the server is away or still loading its data."""


def connect(url: str, *, max_connections: int = 64) -> Client:
    """A client on a pool of connections; opens none until it is used. Bytes in, bytes out."""
    return aioredis.Redis.from_url(
        url,
        max_connections=max_connections,
        socket_connect_timeout=3,
        health_check_interval=30,
        decode_responses=False,
        protocol=PROTOCOL,
    )


def reconnect_delay_seconds(failures: int) -> float:
    """Backoff with full jitter, at most 1.5 s, so that all come back within 2 s of the server's return."""
    return random.uniform(0.05, min(1.5, 0.1 * 2.0 ** min(failures, 8)))


async def raw(client: Client, *words: Any) -> Any:
    """Sends one command as it stands: for options that redis-py's methods do not offer, and replies left unparsed."""
    execute: Any = client.execute_command
    return await execute(*words, NEVER_DECODE=True)
