"""Connections to Redis, and the translation of its errors into ours."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import redis.asyncio as aioredis
from redis.asyncio.connection import AbstractConnection
from redis.driver_info import DriverInfo
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


_DRIVER: Final = DriverInfo()
"""What connections say of themselves (CLIENT SETINFO). Each would look for redis-py's version in its package's files,
which takes longer than all else of connecting."""

SILENCE_SECONDS: Final = 5.0
"""A server that takes or says nothing for so long, where an answer is due, is taken for away."""


def connect(url: str, *, max_connections: int = 64) -> Client:
    """A client on a pool of connections; opens none until it is used. Bytes in, bytes out."""
    pool = Pool.from_url(
        url,
        max_connections=max_connections,
        socket_connect_timeout=3,
        socket_timeout=SILENCE_SECONDS,
        health_check_interval=30,
        decode_responses=False,
        protocol=PROTOCOL,
        driver_info=_DRIVER,
    )
    pool.connection_class = _PROMPT[pool.connection_class]
    return aioredis.Redis.from_pool(pool)


class Pool(aioredis.ConnectionPool):
    """A pool that hands out and takes back without a lock, and counts nothing for OpenTelemetry.

    redis-py does both for every command, which is a sixth of what a command takes its client, and more on a machine
    that was idle. Nothing here waits while a connection changes hands, so there is nothing to lock.
    """

    async def get_connection(self, command_name: Any = None, *keys: Any, **options: Any) -> AbstractConnection:
        take: Any = self.get_available_connection
        connection: AbstractConnection = take()
        try:
            if not await _is_ready(connection):
                await self.ensure_connection(connection)
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        self._in_use_connections.remove(connection)
        is_worn: Any = connection.should_reconnect
        try:
            if is_worn():
                await connection.disconnect()
        finally:
            self._available_connections.append(connection)


async def _is_ready(connection: AbstractConnection) -> bool:
    """Whether it is connected, and nothing has come that nobody asked for; what is not, `ensure_connection` mends."""
    try:
        return connection.is_connected and not await connection.can_read()
    except OUTAGES:
        return False


class Prompt(AbstractConnection):
    """A connection that hears a cancellation while it writes.

    redis-py writes through `asyncio.wait_for`, which in Python 3.11 swallows a cancellation that comes together with
    the end of the write (python/cpython#86296): time-outs around commands passed unheard, and tasks that were told to
    end went on. It also makes a task of every write.
    """

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        if not self.is_connected:
            await self.connect_check_health(check_health=False)
        if check_health:
            look: Any = self.check_health
            await look()
        writer: Any = self._writer
        try:
            writer.writelines([command] if isinstance(command, bytes) else command)
            if writer.transport.get_write_buffer_size():
                async with asyncio.timeout(self.socket_timeout):
                    await writer.drain()
            else:
                await writer.drain()
        except TimeoutError:
            await self.disconnect(nowait=True)
            raise RedisTimeoutError("Timeout writing to socket") from None
        except OSError as error:
            await self.disconnect(nowait=True)
            raise RedisConnectionError(f"Error while writing to socket: {error}") from error
        except BaseException:
            await self.disconnect(nowait=True)  # half a command may be written
            raise


class _PromptConnection(Prompt, aioredis.Connection): ...


class _PromptSSLConnection(Prompt, aioredis.SSLConnection): ...


class _PromptUnixConnection(Prompt, aioredis.UnixDomainSocketConnection): ...


_PROMPT: Final[Mapping[type, type]] = {
    aioredis.Connection: _PromptConnection,
    aioredis.SSLConnection: _PromptSSLConnection,
    aioredis.UnixDomainSocketConnection: _PromptUnixConnection,
}


def reconnect_delay_seconds(failures: int) -> float:
    """Backoff with full jitter, at most 1.5 s, so that all come back within 2 s of the server's return."""
    return random.uniform(0.05, min(1.5, 0.1 * 2.0 ** min(failures, 8)))


async def raw(client: Client, *words: Any) -> Any:
    """Sends one command as it stands, and gives the reply as it came: for options that redis-py's methods do not offer.

    It is tried once, as all of ours are; a connection that fails is closed.
    """
    pool: Any = client.connection_pool
    connection = await pool.get_connection()
    try:
        await connection.send_command(*words)
        return await connection.read_response(disable_decoding=True)
    finally:
        await pool.release(connection)
