"""Who owns which shard.

A shard (one partition for one group) is read by one worker at a time, which holds its lease: a row with an expiry on
the database's clock and a token that grows at every change of hands. The owner's transactions check the token, so a
worker that was paused and has lost the lease cannot commit (a fencing token, as in M. Kleppmann, "How to do distributed
locking", 2016). Live workers share the shards of a group evenly.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import Any, Final

from prog_broker.ports import Shard
from prog_kit import logging
from prog_kit.database import FAILURES, Database

log = logging.get("prog_broker.leases")

SEED: Final = """
INSERT INTO bus.shard_leases (consumer_group, topic, partition, owner, token, expires_at)
SELECT $1, u.topic, u.partition, '', 0, '-infinity' FROM unnest($2::text[], $3::smallint[]) AS u (topic, partition)
ON CONFLICT DO NOTHING
"""

PRESENT: Final = """
INSERT INTO bus.members (consumer_group, member, seen_until)
VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3))
ON CONFLICT (consumer_group, member) DO UPDATE SET seen_until = EXCLUDED.seen_until
"""

LIVE_MEMBERS: Final = "SELECT count(*) FROM bus.members WHERE consumer_group = $1 AND seen_until > clock_timestamp()"

RENEW: Final = """
WITH held AS (
    -- In a fixed order: a replay that begins or ends takes all leases of its group, and waits for nobody in a circle.
    SELECT l.topic, l.partition FROM bus.shard_leases AS l
    JOIN unnest($4::text[], $5::smallint[], $6::bigint[]) AS mine (topic, partition, token) USING (topic, partition)
    WHERE l.consumer_group = $1 AND l.owner = $2 AND l.token = mine.token
    ORDER BY l.topic, l.partition FOR NO KEY UPDATE OF l
)
UPDATE bus.shard_leases AS l SET expires_at = clock_timestamp() + make_interval(secs => $3)
FROM held WHERE l.consumer_group = $1 AND l.topic = held.topic AND l.partition = held.partition
RETURNING l.topic, l.partition
"""

TAKE: Final = """
WITH free AS (
    SELECT topic, partition FROM bus.shard_leases
    WHERE consumer_group = $1 AND (expires_at < clock_timestamp() OR owner = $2)
      AND topic = ANY ($6::text[])
      AND (topic, partition) NOT IN (SELECT * FROM unnest($4::text[], $5::smallint[]))
    ORDER BY partition, topic
    LIMIT $7
    FOR UPDATE SKIP LOCKED
)
UPDATE bus.shard_leases AS l
SET owner = $2, token = l.token + 1, expires_at = clock_timestamp() + make_interval(secs => $3)
FROM free WHERE l.consumer_group = $1 AND l.topic = free.topic AND l.partition = free.partition
RETURNING l.topic, l.partition, l.token
"""

NAMESAKE: Final = """
SELECT EXISTS (
    SELECT FROM bus.shard_leases AS l
    JOIN unnest($3::text[], $4::smallint[], $5::bigint[]) AS lost (topic, partition, token) USING (topic, partition)
    WHERE l.consumer_group = $1 AND l.owner = $2 AND l.token > lost.token
)
"""
"""Whether a lease that was lost went to a process of the same name: the newer one stays, this one stands down."""

RELEASE: Final = """
UPDATE bus.shard_leases AS l SET expires_at = '-infinity', owner = ''
FROM unnest($3::text[], $4::smallint[], $5::bigint[]) AS mine (topic, partition, token)
WHERE l.consumer_group = $1 AND l.owner = $2 AND l.topic = mine.topic AND l.partition = mine.partition
  AND l.token = mine.token
"""

LEAVE: Final = "DELETE FROM bus.members WHERE consumer_group = $1 AND member = $2"


@dataclass(slots=True, eq=False)
class OwnedShard:
    """A shard as this worker sees it. `gained` is set while the lease is ours, `busy` held while a batch is at work.

    `lost_place` says that the broker has lost the group's position: the reader finds it anew.
    """

    shard: Shard
    token: int = 0
    lost_place: bool = False
    gained: asyncio.Event = field(default_factory=asyncio.Event)
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)

    def gain(self, token: int) -> None:
        self.token = token
        self.gained.set()

    def lose(self) -> None:
        self.gained.clear()


class LeaseKeeper:
    """Keeps the leases of one group for one worker; run `keep()` as a task, call `leave()` at the end."""

    def __init__(
        self, database: Database, group: str, member: str, shards: list[Shard], *, lease_seconds: float
    ) -> None:
        self._pool = _Hasty(database.pool, lease_seconds)
        self._group = group
        self._member = member
        self._lease_seconds = lease_seconds
        self.superseded = False
        self._releasing: asyncio.Task[None] | None = None
        self.owned = {(shard.topic.name, shard.partition): OwnedShard(shard) for shard in shards}

    async def keep(self) -> None:
        """Renews and takes leases until cancelled. It keeps what it has while the database is away."""
        await self._until_answered(self._seed)
        while True:
            await self._until_answered(self.turn)
            missing = any(not owned.gained.is_set() for owned in self.owned.values())
            await asyncio.sleep(min(0.5, self._lease_seconds / 4) if missing else self._lease_seconds / 3)

    async def turn(self) -> None:
        """One round: say that we live, renew, then take what is free or give back what is too much."""
        if self.superseded:
            return
        await self._pool.execute(PRESENT, self._group, self._member, self._lease_seconds)
        if not await self._renew():
            return  # taking now would take back from the newer one what it has just taken
        live = max(1, await self._pool.fetchval(LIVE_MEMBERS, self._group))
        fair = math.ceil(len(self.owned) / live)
        # By partition, so that two workers part every topic between them, a busy one too.
        mine = sorted(self._held(), key=lambda owned: (owned.shard.partition, owned.shard.topic.name))
        if len(mine) < fair:
            await self._take(fair - len(mine))
        elif len(mine) > fair and (self._releasing is None or self._releasing.done()):
            # Not awaited: a batch at work may take longer than a lease, and the others must be renewed meanwhile.
            self._releasing = asyncio.create_task(self._give_back(mine[fair:]))

    async def release(self, shards: list[OwnedShard]) -> None:
        """Gives leases back once the batch at work is done."""
        for owned in shards:
            owned.lose()
        for owned in shards:
            async with owned.busy:
                pass
        await self._pool.execute(RELEASE, self._group, self._member, *_columns(shards))

    async def _give_back(self, shards: list[OwnedShard]) -> None:
        try:
            await self.release(shards)
        except FAILURES as error:
            log.warning("leases are left to expire", error=str(error))

    async def leave(self) -> None:
        """Gives everything back, so that others need not wait for the expiry."""
        if self._releasing is not None:
            await self._releasing
        await self.release(self._held())
        await self._pool.execute(LEAVE, self._group, self._member)

    async def _seed(self) -> None:
        topics, partitions = [key[0] for key in self.owned], [key[1] for key in self.owned]
        await self._pool.execute(SEED, self._group, topics, partitions)

    async def _renew(self) -> bool:
        """Renews what is held; False when a newer process of our name has taken it."""
        mine = self._held()
        if not mine:
            return True
        rows = await self._pool.fetch(RENEW, self._group, self._member, self._lease_seconds, *_columns(mine))
        kept = {(row["topic"], row["partition"]) for row in rows}
        lost = [owned for owned in mine if (owned.shard.topic.name, owned.shard.partition) not in kept]
        for owned in lost:
            log.warning("lease lost", shard=owned.shard.name)
            owned.lose()
        if lost and await self._pool.fetchval(NAMESAKE, self._group, self._member, *_columns(lost)):
            self.superseded = True
            log.error("another process has this name and took its shards; give each its own PROG_PROCESS_NAME",
                      name=self._member)  # fmt: skip
        return not self.superseded

    async def _take(self, count: int) -> None:
        mine = self._held()
        topics, partitions, _ = _columns(mine)
        known = sorted({topic for topic, _ in self.owned})
        rows = await self._pool.fetch(
            TAKE, self._group, self._member, self._lease_seconds, topics, partitions, known, count
        )
        for row in rows:
            owned = self.owned.get((row["topic"], row["partition"]))
            if owned is not None:
                owned.gain(row["token"])

    def _held(self) -> list[OwnedShard]:
        return [owned for owned in self.owned.values() if owned.gained.is_set()]

    async def _until_answered(self, step: object) -> None:
        failures = 0
        while True:
            try:
                await step()  # type: ignore[operator]
                return
            except FAILURES as error:
                failures += 1
                if failures == 1:
                    log.warning("leases cannot be kept, the database does not answer", error=str(error))
                await asyncio.sleep(min(2.0, 0.2 * failures))


class _Hasty:
    """A pool whose statements raise TimeoutError when they take longer than a lease lasts."""

    def __init__(self, pool: Any, seconds: float) -> None:
        self._pool = pool
        self._seconds = seconds

    async def execute(self, query: str, *values: Any) -> None:
        await self._pool.execute(query, *values, timeout=self._seconds)

    async def fetch(self, query: str, *values: Any) -> list[Any]:
        rows: list[Any] = await self._pool.fetch(query, *values, timeout=self._seconds)
        return rows

    async def fetchval(self, query: str, *values: Any) -> Any:
        return await self._pool.fetchval(query, *values, timeout=self._seconds)


def _columns(shards: list[OwnedShard]) -> tuple[list[str], list[int], list[int]]:
    return (
        [owned.shard.topic.name for owned in shards],
        [owned.shard.partition for owned in shards],
        [owned.token for owned in shards],
    )
