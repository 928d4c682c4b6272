"""The reader of a shard: what it does when the broker answers with an error."""

from __future__ import annotations

import asyncio
from typing import Any

from prog_broker.domain import Domain
from prog_broker.intake import Intake
from prog_broker.leases import OwnedShard
from prog_broker.ports import Delivery, Shard
from prog_broker.reading import ShardReader
from prog_contracts.topics import TOPICS
from tests.waiting import wait_until

SHARD = Shard("payments", TOPICS["prog.tenants.events"], 0)


class Away(Exception):
    """What this broker's client raises while it is away."""


class Reader(ShardReader):
    """On a broker that refuses to be read, for as long as `refusal` is set."""

    read_outages = (Away,)
    linger_seconds = 0.0

    def __init__(self, refusal: Exception) -> None:
        self.refusal: Exception | None = refusal
        self.owned = OwnedShard(SHARD)
        self.owned.gain(1)
        self.intake = Intake(Domain("payments"), SHARD, batch_size=10)
        self.running = True
        self.begun = 0
        self.reads = 0

    async def begin(self) -> None:
        self.begun += 1

    async def read(self, count: int, *, block: bool) -> list[Delivery]:
        if self.refusal is not None:
            raise self.refusal
        self.reads += 1
        await asyncio.sleep(0)
        return []

    async def hand_over(self, work: asyncio.Task[None]) -> None: ...


async def test_an_error_that_is_no_outage_is_told_and_waited_out(capsys: Any) -> None:
    """Such as NOPERM, MISCONF or WRONGTYPE of Redis: the shard is read again once the cause is gone."""
    reader = Reader(ValueError("MISCONF the disk is full"))
    task = asyncio.create_task(reader.consume_while_owned())
    await wait_until(lambda: reader.begun >= 3 or task.done())
    assert not task.done()
    assert capsys.readouterr().out.count("shard cannot be read") == 1
    reader.refusal = None
    await wait_until(lambda: reader.reads > 0)
    reader.running = False
    await task
