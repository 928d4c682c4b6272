"""The one switch that says that this process is about to end. Readiness, streams and connections look at it."""

from __future__ import annotations

import asyncio


class Drain:
    def __init__(self) -> None:
        self._event = asyncio.Event()

    @property
    def started(self) -> bool:
        return self._event.is_set()

    def start(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        """Returns when draining starts."""
        await self._event.wait()
