"""Ending background tasks for sure."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

AGAIN_SECONDS: Final = 0.5


async def cancelled(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancels the tasks and returns when all have ended, however they did.

    What goes on is cancelled again: `asyncio.wait_for` of Python 3.11 swallows a cancellation that comes together with
    what it waits for (python/cpython#86296), and client libraries turn some into timeouts.
    """
    asked = [task for task in tasks if not task.done()]
    left = set(asked)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN_SECONDS)
    for task in asked:
        if not task.cancelled():
            task.exception()  # heard, so that nobody is told of an error that nobody took
