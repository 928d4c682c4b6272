"""When everything is settled: the group has got past the last entry and holds none back."""

from __future__ import annotations

import asyncio

from prog_broker.redis.connection import Client
from prog_broker.redis.streams import group_of


async def until_settled(client: Client, stream: str, group: str) -> None:
    """Waits until the server itself says so: by the position, which is how ours acknowledges, and by what is pending.

    It costs a round trip or two at the end of a round, the same for all who are waited for like this.
    """
    last = await client.xrevrange(stream, count=1)
    while True:
        found = await group_of(client, stream, group)
        if found is not None and last and found.last_delivered == last[0][0]:
            pending = await client.xpending(stream, group)
            if not pending["pending"]:
                return
        await asyncio.sleep(0)
