"""The retry pump: runs messages of the retry table again when they are due, on the database's clock.

It works only on shards that this worker owns, and never while a live batch of the same shard is at work, so the order
of a key holds: first the message that failed, then those that lined up behind it, then what comes new.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from typing import Any, Final

from prog_broker import sql
from prog_broker.carrier import Fenced
from prog_broker.decoding import Incoming, Rejected, decode
from prog_broker.leases import OwnedShard
from prog_broker.ports import Delivery, Outages, Signals
from prog_broker.processing import Processor
from prog_broker.settled import Settled
from prog_kit import logging
from prog_kit.database import FAILURES

MAX_KEYS: Final = 50
MAX_LINE: Final = 200
"""Messages of one key that are run in one transaction, once the one that held them up has succeeded."""
IDLE_SECONDS: Final = 1.0
ORPHANS_SECONDS: Final = 10.0
"""How often those are looked for whose caller died between one success and the next call."""
log = logging.get("prog_broker.retrying")


class RetryPump:
    """One a domain and worker; run `pump()` as a task."""

    def __init__(
        self,
        processor: Processor,
        owned: dict[tuple[str, int], OwnedShard],
        signals: Signals,
        due: asyncio.Event,
        outages: Outages,
    ) -> None:
        self._outages: Outages = (*FAILURES, *outages)
        self._processor = processor
        self._owned = owned
        self._signals = signals
        self._due = due
        self._stopping = False
        self._orphans_at = 0.0

    async def pump(self) -> None:
        """Runs until `stop`. `due` wakes it when this worker has just put something off."""
        while not self._stopping:
            self._due.clear()  # before the look: what is put off meanwhile, or a stop, must not be slept through
            try:
                handled = await self.round()
                wait = 0.0 if handled else await self._idle_seconds()
            except self._outages as error:
                log.warning("retries wait, a server does not answer", error=str(error))
                wait = IDLE_SECONDS
            try:
                await asyncio.wait_for(self._due.wait(), timeout=wait)
            except TimeoutError:
                continue

    def stop(self) -> None:
        """Has it end when the message at work is settled."""
        self._stopping = True
        self._due.set()

    async def _tell(self, owned: OwnedShard, settled: Settled) -> None:
        """Best effort: what was committed stands, and who waits for an answer finds it in the inbox."""
        try:
            await self._signals.settled(
                owned.shard, None, settled.answers, wake=settled.appended, buried=settled.buried
            )
        except self._outages as error:
            log.warning("an answer was not delivered", shard=owned.shard.name, error=str(error))

    async def round(self) -> int:
        """Runs every key once that has a due message; returns how many messages were run."""
        breakers = self._processor.breakers
        mine = {
            key: owned
            for key, owned in self._owned.items()
            if owned.gained.is_set() and breakers.of(key[0]).state != "open"
        }
        if not mine:
            return 0
        topics, partitions = [topic for topic, _ in mine], [partition for _, partition in mine]
        group = self._processor.domain.name
        pool = self._processor.database.pool
        rows = await pool.fetch(sql.DUE_RETRIES, group, topics, partitions, MAX_KEYS)
        if time.monotonic() >= self._orphans_at:
            rows += await pool.fetch(sql.ORPHANED, group, topics, partitions, MAX_KEYS)
            self._orphans_at = time.monotonic() + ORPHANS_SECONDS
        by_shard: dict[tuple[str, int], list[Any]] = defaultdict(list)
        for row in rows:
            by_shard[row["topic"], row["partition"]].append(row)
        # Shards do not wait for each other: one may be held up by a provider that hangs.
        return sum(await asyncio.gather(*(self._run_shard(mine[place], due) for place, due in by_shard.items())))

    async def _run_shard(self, owned: OwnedShard, rows: list[Any]) -> int:
        handled = 0
        async with owned.busy:  # once for all keys: each turn waits for a live batch, which only makes lines longer
            for row in rows:
                if self._may_go_on(owned):
                    handled += await self._run_key(owned, row)
        return handled

    async def _run_key(self, owned: OwnedShard, row: Any) -> int:
        """The first message of a key and, as long as they succeed, those behind it: together where that can be."""
        handled = 0
        one_by_one = 1
        probing = False
        breaker = self._processor.breakers.of(owned.shard.topic.name)
        try:
            current: Any = row
            while current is not None and self._may_go_on(owned) and breaker.admits():
                probing = probing or breaker.state == "half_open"
                await self._run_one(owned, current)
                handled, one_by_one = handled + 1, one_by_one - 1
                while one_by_one <= 0 and (line := await self._line(owned, row["partition_key"])):
                    settled = await self._processor.settle_line(owned.shard, owned.token, line)
                    if settled is None:
                        one_by_one = len(line)
                    else:
                        handled += len(line)
                        await self._tell(owned, settled)
                current = await self._processor.database.pool.fetchrow(
                    sql.PROMOTE_NEXT, owned.shard.group, owned.shard.topic.name, row["partition_key"]
                )
        except Fenced:
            owned.lose()
        finally:
            if probing and breaker.state == "half_open":
                breaker.abandon_probe()
        return handled

    def _may_go_on(self, owned: OwnedShard) -> bool:
        return owned.gained.is_set() and not self._stopping

    async def _run_one(self, owned: OwnedShard, row: Any) -> None:
        item = self._decoded(owned, row)
        if isinstance(item, Incoming):
            settled = await self._processor.settle_one(owned.shard, owned.token, item, retrying=True)
        else:
            settled = await self._processor.give_up(owned.shard, owned.token, row["message_id"], item)
        await self._tell(owned, settled)

    async def _line(self, owned: OwnedShard, key: str) -> list[Incoming]:
        """Those that wait first in the line of a key; none when there is but one, or one that failed is before them."""
        if not self._may_go_on(owned):
            return []
        rows = await self._processor.database.pool.fetch(
            sql.LINE, owned.shard.group, owned.shard.topic.name, key, MAX_LINE
        )
        line: list[Incoming] = []
        for row in rows:
            item = self._decoded(owned, row) if row["state"] == "waiting" else None
            if not isinstance(item, Incoming) or (item.registration and item.registration.performer):
                break  # an outside call is made by itself
            line.append(item)
        return line if len(line) > 1 else []

    def _decoded(self, owned: OwnedShard, row: Any) -> Incoming | Rejected | None:
        item = decode(self._processor.domain, owned.shard, Delivery(b"", row["attributes"].encode(), row["data"]))
        if isinstance(item, Incoming):
            item.attempts = row["attempts"]
        return item

    async def _idle_seconds(self) -> float:
        seconds = await self._processor.database.pool.fetchval(sql.NEXT_DUE_SECONDS, self._processor.domain.name)
        return IDLE_SECONDS if seconds is None else min(IDLE_SECONDS, max(0.01, seconds))
