"""How often a person's export is read to know whether it is too large."""

from __future__ import annotations

import asyncio

import pytest

from prog_contracts.errors import Conflict
from prog_edge import export_room
from prog_edge.export_room import KNOWN_SECONDS, ExportRoom


class Measure:
    """Says whether all fits, and counts how often it was asked."""

    def __init__(self, *, fits: bool = True) -> None:
        self.fits = fits
        self.asked = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> bool:
        self.asked += 1
        await self.gate.wait()
        return self.fits


@pytest.mark.parametrize("fits", [True, False])
async def test_it_is_measured_once_a_minute_whatever_comes_of_it(fits: bool) -> None:
    now = 0.0
    room, measure = ExportRoom(lambda: now), Measure(fits=fits)
    assert [await room.fits("ada", 10, measure) for _ in range(3)] == [fits] * 3
    assert measure.asked == 1
    now = KNOWN_SECONDS
    await room.fits("ada", 10, measure)
    assert measure.asked == 2


async def test_another_person_and_another_limit_are_measured_for_themselves() -> None:
    room, measure = ExportRoom(), Measure()
    for user_id, limit_bytes in (("ada", 10), ("bob", 10), ("ada", 20)):
        await room.fits(user_id, limit_bytes, measure)
    assert measure.asked == 3


async def test_one_at_a_time_measures_a_person() -> None:
    room, measure = ExportRoom(), Measure()
    measure.gate.clear()
    first = asyncio.create_task(room.fits("ada", 10, measure))
    await asyncio.sleep(0)
    with pytest.raises(Conflict) as refused:
        await room.fits("ada", 10, measure)
    assert refused.value.code == "exported_just_now"
    measure.gate.set()
    assert await first


async def test_who_could_not_be_measured_can_be_the_next_time() -> None:
    async def broken() -> bool:
        raise OSError("the database is away")

    room, measure = ExportRoom(), Measure()
    with pytest.raises(OSError, match="away"):
        await room.fits("ada", 10, broken)
    assert await room.fits("ada", 10, measure)


async def test_what_is_known_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_room, "MAX_KNOWN", 2)
    room, measure = ExportRoom(), Measure()
    for user_id in ("ada", "bob", "eve", "ada"):
        await room.fits(user_id, 10, measure)
    assert measure.asked == 4
