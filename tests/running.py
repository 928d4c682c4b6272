"""Running a coroutine to its end from where no loop may be begun, or none is."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine from a synchronous fixture, away from the loop of the test."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(asyncio.run, work).result()
