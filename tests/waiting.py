"""Waiting for a condition, the one way in which tests wait."""

import asyncio
import time
from collections.abc import Awaitable, Callable


async def wait_until(
    condition: Callable[[], bool | Awaitable[bool]], *, within_seconds: float = 10.0, what: str = "the condition"
) -> None:
    """Return as soon as the condition holds. Raises AssertionError when it does not in time."""
    deadline = time.monotonic() + within_seconds
    while True:
        held = condition()
        if held if isinstance(held, bool) else await held:
            return
        assert time.monotonic() < deadline, f"{what} did not hold within {within_seconds} s"
        await asyncio.sleep(0.01)
