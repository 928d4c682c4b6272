"""Running a coroutine to its end from code that is none itself, whether or not a loop runs in its thread."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """In a loop of a thread of its own. Returns what it returns, and raises what it raises."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(asyncio.run, work).result()
