"""Waiting for a condition, the one way in which tests wait."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

_LEAST_PAUSE_SECONDS: Final = 0.01
_LONGEST_PAUSE_SECONDS: Final = 0.1


async def wait_until(
    condition: Callable[[], object], *, within_seconds: float = 10.0, what: str = "the condition"
) -> None:
    """Return as soon as the condition holds. Raises AssertionError when it does not in time.

    Whatever is true counts as held. It is asked ever less often, for what asks takes from what is waited for.
    """
    began = time.monotonic()
    while True:
        held = condition()
        if await held if isinstance(held, Awaitable) else held:
            return
        waited = time.monotonic() - began
        assert waited < within_seconds, f"{what} did not hold within {within_seconds} s"
        await asyncio.sleep(min(max(_LEAST_PAUSE_SECONDS, waited / 8), _LONGEST_PAUSE_SECONDS))
