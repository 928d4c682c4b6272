"""Commands to Redis hear that they are cancelled, at whatever moment it comes."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from prog_broker.redis.connection import connect, raw

MOMENTS = 40


async def test_a_cancellation_is_heard_at_any_moment_of_a_command(valkey_url: str) -> None:
    """`asyncio.wait_for` of Python 3.11, through which redis-py writes, swallows those that come when it is done."""
    client = connect(valkey_url)
    begun = 0

    async def ask_on() -> None:
        nonlocal begun
        while True:
            begun += 1
            await raw(client, "PING")

    try:
        for moment in range(10 * MOMENTS):
            task = asyncio.create_task(ask_on())
            for _ in range(moment % MOMENTS):
                await asyncio.sleep(0)
            task.cancel()
            before = begun
            with suppress(asyncio.CancelledError):
                async with asyncio.timeout(20):
                    await task
            assert task.cancelled(), f"after {moment % MOMENTS} turns of the loop"
            assert begun <= before + 1, "it went on"
    finally:
        await client.aclose()


async def test_a_time_out_around_a_command_is_kept(valkey_url: str) -> None:
    client = connect(valkey_url)
    try:
        for _ in range(50):
            loop = asyncio.get_running_loop()
            began = loop.time()
            with suppress(TimeoutError):
                async with asyncio.timeout(0.002):
                    await raw(client, "BLPOP", "nothing", 3)
            assert loop.time() - began < 2
    finally:
        await client.aclose()
