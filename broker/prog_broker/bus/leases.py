"""Who owns which shard of a group, on Redis alone: for programs that do not reach the platform's database.

One hash a group has a field a shard: `<token>:<until>:<owner>`, the times in milliseconds on the server's clock. A
sorted set holds the live members, so that they share evenly. A key a shard holds the fencing token and changes at a
change of hands alone: the owner WATCHes it, and the transaction that keeps its position aborts once it has changed. So
a process that was paused and wakes up cannot move the group's position, whatever its own clock says.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from hashlib import sha1
from typing import Any, Final

from redis.exceptions import NoScriptError, ResponseError

from prog_broker.redis.connection import OUTAGES, Client, raw, reconnect_delay_seconds
from prog_contracts.topics import Topic
from prog_kit import logging

log = logging.get("prog_broker.bus.leases")

TURN: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local member, lease = ARGV[1], tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
redis.call('ZADD', KEYS[2], now + lease, member)
local shards = #KEYS - 2
local fair = math.ceil(shards / redis.call('ZCARD', KEYS[2]))
local held, free = {}, {}
for i = 1, shards do
    local token, expires, owner = string.match(redis.call('HGET', KEYS[1], KEYS[i + 2]) or '', '^(%d+):(%d+):(.*)$')
    local mine = ARGV[i + 2]
    if owner == member and token == mine then
        redis.call('HSET', KEYS[1], KEYS[i + 2], string.format('%s:%.0f:%s', token, now + lease, member))
        held[#held + 1] = i
        held[#held + 1] = mine
    elseif not token or tonumber(expires) < now or (owner == member and mine == '0') then
        free[#free + 1] = i
    end
end
for _, i in ipairs(free) do
    if #held / 2 >= fair then break end
    redis.call('SET', KEYS[i + 2], string.format('%.0f', now), 'NX')
    local token = redis.call('INCR', KEYS[i + 2])
    redis.call('HSET', KEYS[1], KEYS[i + 2], string.format('%.0f:%.0f:%s', token, now + lease, member))
    held[#held + 1] = i
    held[#held + 1] = string.format('%.0f', token)
end
return {fair, unpack(held)}
"""
"""One round of a member: say that it lives, renew what it holds (ARGV[3..]: the token of each shard, 0 for none), and
take what is free up to its fair share. A token begins at the server's time, so that it grows even if all was lost."""

RELEASE: Final = """
for i = 2, #KEYS do
    local token, _, owner = string.match(redis.call('HGET', KEYS[1], KEYS[i]) or '', '^(%d+):(%d+):(.*)$')
    if owner == ARGV[1] and token == ARGV[i] then redis.call('HSET', KEYS[1], KEYS[i], token .. ':0:') end
end
"""


@dataclass(slots=True, eq=False)
class Lease:
    """One shard as this program sees it. `gained` is set while it is ours; `busy` is held while it is read.

    `until` is when it ends at the latest, on this process's monotonic clock: whoever was paused sees it by himself.
    """

    topic: Topic
    partition: int
    fence_key: str
    token: int = 0
    until: float = 0.0
    gained: asyncio.Event = field(default_factory=asyncio.Event)
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def stream(self) -> str:
        return self.topic.stream(self.partition)

    def held(self) -> bool:
        return self.gained.is_set() and time.monotonic() < self.until

    def gain(self, token: int) -> None:
        self.token = token
        self.gained.set()

    def lose(self) -> None:
        self.gained.clear()


class Leases:
    """The leases of one group for one program. Run `keep` as a task; call `leave` at the end."""

    def __init__(self, client: Client, group: str, member: str, topics: list[Topic], *, seconds: float) -> None:
        self._client = client
        self._member = member
        self._seconds = seconds
        self._table = f"prog.group.{group}.leases"
        self._members = f"prog.group.{group}.members"
        self.all = [
            Lease(topic, partition, f"prog.group.{group}.fence.{topic.stream(partition)}")
            for topic in topics
            for partition in range(topic.partitions)
        ]

    async def keep(self) -> None:
        """Renews and takes until cancelled; keeps what it has while the server is away."""
        failures = 0
        while True:
            try:
                await self.turn()
                failures = 0
            except (*OUTAGES, ResponseError) as error:
                failures += 1
                if failures == 1:
                    log.warning("leases cannot be kept", error=str(error))
                await asyncio.sleep(reconnect_delay_seconds(failures))
                continue
            missing = any(not lease.gained.is_set() for lease in self.all)
            await asyncio.sleep(min(0.5, self._seconds / 4) if missing else self._seconds / 3)

    async def turn(self) -> None:
        """One round; gives back what is above the fair share."""
        asked = [lease.token if lease.gained.is_set() else 0 for lease in self.all]
        keys = [self._table, self._members, *(lease.fence_key for lease in self.all)]
        until = time.monotonic() + self._seconds
        reply: Any = await self._run(TURN, keys, [self._member, int(self._seconds * 1000), *asked])
        fair, *pairs = (int(value) for value in reply)
        held = dict(zip(pairs[::2], pairs[1::2], strict=True))
        for number, (lease, token) in enumerate(zip(self.all, asked, strict=True), start=1):
            if number in held:
                lease.until = until
                if held[number] != token:
                    lease.gain(held[number])
            elif number not in held and token and lease.token == token and lease.gained.is_set():
                log.warning("lease lost", stream=lease.stream)
                lease.lose()
        mine = [lease for lease in self.all if lease.gained.is_set()]
        await self._release(mine[fair:])

    async def leave(self) -> None:
        """Gives everything back, so that others need not wait for the expiry."""
        await self._release([lease for lease in self.all if lease.gained.is_set()])
        await raw(self._client, "ZREM", self._members, self._member)

    async def _release(self, leases: list[Lease]) -> None:
        if not leases:
            return
        for lease in leases:
            lease.lose()
        for lease in leases:
            async with lease.busy:
                pass
        keys = [self._table, *(lease.fence_key for lease in leases)]
        await self._run(RELEASE, keys, [self._member, *(lease.token for lease in leases)])

    async def _run(self, script: str, keys: list[str], values: list[Any]) -> Any:
        """Runs a script by its digest, and sends it anew to a server that does not know it (any more)."""
        digest = sha1(script.encode(), usedforsecurity=False).hexdigest()
        try:
            return await raw(self._client, "EVALSHA", digest, len(keys), *keys, *values)
        except NoScriptError:
            return await raw(self._client, "EVAL", script, len(keys), *keys, *values)
