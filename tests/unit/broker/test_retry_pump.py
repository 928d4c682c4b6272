"""The retry pump between two looks at what is due: it sleeps through nothing that happened during the last one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from prog_broker import retrying
from prog_broker.retrying import RetryPump


def pump_that(happens: Callable[[int], None], due: asyncio.Event) -> RetryPump:
    """One that serves nothing; `happens` is called in the middle of each of its looks with the look's number."""
    looks = 0

    async def fetchval(*_: object) -> None:
        nonlocal looks
        looks += 1
        happens(looks)

    processor: Any = SimpleNamespace(
        domain=SimpleNamespace(name="tenants"), breakers=None,
        database=SimpleNamespace(pool=SimpleNamespace(fetchval=fetchval)),
    )  # fmt: skip
    signals: Any = None
    return RetryPump(processor, {}, signals, due, ())


@pytest.fixture(autouse=True)
def idle_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "IDLE_SECONDS", 600.0)


async def test_a_stop_in_the_middle_of_a_look_ends_it_at_once() -> None:
    pump = pump_that(lambda _: pump.stop(), asyncio.Event())
    await asyncio.wait_for(pump.pump(), 60)


async def test_what_is_put_off_in_the_middle_of_a_look_is_looked_at_next() -> None:
    due, seen = asyncio.Event(), []

    def happens(look: int) -> None:
        seen.append(look)
        if look == 1:
            due.set()
        else:
            pump.stop()

    pump = pump_that(happens, due)
    await asyncio.wait_for(pump.pump(), 60)
    assert seen == [1, 2]
