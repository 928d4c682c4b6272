"""The reader of a shard: what it does when the broker answers with an error, and with what is not the group's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from prog_broker import reading
from prog_broker.domain import Domain
from prog_broker.intake import Intake
from prog_broker.leases import OwnedShard
from prog_broker.ports import Delivery, Position, Shard
from prog_broker.reading import BLOCK_SECONDS, ShardReader
from prog_contracts.envelope import wrap
from prog_contracts.ids import new_id
from prog_contracts.tenants import TenantUpdated
from prog_contracts.topics import TOPICS
from tests.waiting import wait_until

TENANT = new_id("tenant")
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

    async def read(self, count: int, *, wait_seconds: float) -> list[Delivery]:
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


class Passerby(Reader):
    """On a broker that has events of no concern, a few a read, and then none for as long as it is asked to wait."""

    def __init__(self, *reads: int) -> None:
        super().__init__(Away())
        self.left = list(reads)
        self.waits: list[float] = []
        self.told: list[Position | None] = []
        self.number = 0

    async def read(self, count: int, *, wait_seconds: float) -> list[Delivery]:
        self.waits.append(wait_seconds)
        if not self.left:
            await asyncio.sleep(0)
            return []
        found = range(self.number, self.number + self.left.pop(0))
        self.number = found.stop
        return [of_no_concern(number) for number in found]

    async def deliver(self, intake: Intake) -> None:
        self.told.append(intake.settled([delivery.receipt for delivery in intake.take().skipped]))

    async def run(self, until: Callable[[], bool]) -> None:
        task = asyncio.create_task(self.consume_while_owned())
        await wait_until(lambda: until() or task.done())
        self.running = False
        await task


async def test_events_of_no_concern_make_no_batch_and_one_position(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "TELL_SECONDS", 3600)
    reader = Passerby(2, 1, 3)
    await reader.run(lambda: not reader.left and reader.waits[-1] < 3600)
    assert not reader.told, "it is told later"
    assert reader.intake.settled([]) == Position(b"5-0", 6)


async def test_a_position_is_told_in_a_while_though_nothing_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "TELL_SECONDS", 0)
    reader = Passerby(2)
    await reader.run(lambda: bool(reader.told))
    assert reader.told == [Position(b"1-0", 2)]


async def test_a_read_waits_no_longer_than_a_position_may_be_untold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "TELL_SECONDS", 0.5)
    reader = Passerby(1)
    await reader.run(lambda: len(reader.waits) > 1)
    assert reader.waits[0] == BLOCK_SECONDS
    assert 0 < reader.waits[1] <= 0.5


def of_no_concern(number: int) -> Delivery:
    event = TenantUpdated(tenant_id=TENANT, name="Acme", status="active")
    envelope = wrap(event, tenant_id=TENANT, source="/test")
    return Delivery(b"%d-0" % number, envelope.attributes(), envelope.data)
