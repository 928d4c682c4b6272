"""Connections to Redis change hands: each is one task's at a time, used again, and never handed on with an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import pytest_asyncio
from redis.exceptions import MaxConnectionsError

from prog_broker.redis.connection import OUTAGES, Client, Pool, connect, raw
from tests.waiting import wait_until


@pytest_asyncio.fixture
async def client(valkey_url: str) -> AsyncIterator[Client]:
    client = connect(valkey_url, max_connections=8)
    yield client
    await client.aclose()


def pool_of(client: Client) -> Pool:
    pool = client.connection_pool
    assert isinstance(pool, Pool)
    return pool


async def own_id(client: Client) -> int:
    return int(await raw(client, "CLIENT", "ID"))


async def test_a_connection_is_used_again_and_by_one_at_a_time(client: Client) -> None:
    first = await own_id(client)
    assert {await own_id(client) for _ in range(5)} == {first}
    assert await asyncio.gather(*(raw(client, "ECHO", str(n)) for n in range(8))) == [b"%d" % n for n in range(8)]
    ids = await asyncio.gather(*(own_id(client) for _ in range(8)))
    assert len(set(ids)) == 8
    assert first in ids


async def test_there_are_no_more_than_were_allowed(client: Client) -> None:
    waiting = [asyncio.create_task(raw(client, "BLPOP", f"nothing-{n}", 60)) for n in range(8)]
    await wait_until(lambda: len(pool_of(client)._in_use_connections) == 8, what="all to be in use")
    with pytest.raises(MaxConnectionsError):
        await raw(client, "PING")
    waiting.pop().cancel()
    await wait_until(lambda: len(pool_of(client)._in_use_connections) == 7, what="one to be free")
    assert await raw(client, "ECHO", "again") == b"again"
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert not pool_of(client)._in_use_connections


async def test_one_that_the_server_has_closed_is_opened_again(client: Client, valkey_url: str) -> None:
    first = await own_id(client)
    other = connect(valkey_url)
    await raw(other, "CLIENT", "KILL", "ID", first)
    await other.aclose()
    [connection] = pool_of(client)._available_connections
    await wait_until(connection.can_read, what="the end to be heard")
    assert await own_id(client) != first
    assert len(pool_of(client)._available_connections) == 1


async def test_one_on_which_an_answer_is_left_is_not_used_for_another_question(client: Client) -> None:
    first = await own_id(client)
    [connection] = pool_of(client)._available_connections
    await connection.send_command("ECHO", "left behind")
    await wait_until(connection.can_read, what="the answer to come")
    assert await raw(client, "ECHO", "asked") == b"asked"
    assert await own_id(client) != first


async def test_who_is_cancelled_gives_back_a_connection_that_begins_anew(client: Client) -> None:
    for turns in range(30):
        task = asyncio.create_task(raw(client, "ECHO", f"cancelled {turns}"))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert await raw(client, "ECHO", f"asked {turns}") == b"asked %d" % turns
    assert not pool_of(client)._in_use_connections


async def test_a_server_that_is_away_is_told_and_leaves_nothing_in_use() -> None:
    client = connect("redis://127.0.0.1:1/0")
    with pytest.raises(OUTAGES):
        await raw(client, "PING")
    assert not pool_of(client)._in_use_connections
    await client.aclose()
