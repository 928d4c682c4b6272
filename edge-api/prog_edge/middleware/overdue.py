"""Giving up what takes too long to answer. A timer for each request would cost all of them for what hardly ever is: one
for all looks now and then who is overdue.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

PERIODS: Final = 60
"""How many looks there are in the time that an answer has: it is given up a sixtieth of that late at most."""


class Waiting(Protocol):
    """One request. `limit` is around its answering, and without an end of its own."""

    began: float
    limit: asyncio.Timeout


class Overdue:
    """Those whose answer has not begun. `began` is set here, by the loop's clock."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: set[Waiting] = set()
        self._look: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(self, waiting: Waiting) -> None:
        loop = asyncio.get_running_loop()
        waiting.began = loop.time()
        self._waiting.add(waiting)
        if self._look is None or self._loop is not loop:
            self._loop = loop
            self._look = loop.call_later(self._seconds / PERIODS, self._give_up, loop)

    def discard(self, waiting: Waiting) -> None:
        self._waiting.discard(waiting)

    def _give_up(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for each in self._waiting:
            if each.began + self._seconds <= now and each.limit.when() is None:
                each.limit.reschedule(now)
        self._look = loop.call_later(self._seconds / PERIODS, self._give_up, loop) if self._waiting else None
