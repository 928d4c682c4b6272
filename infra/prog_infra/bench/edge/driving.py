"""So many clients, each asking again as soon as it has its answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from prog_infra.bench.client import Connection


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked, of whom, and the status of every answer."""

    url: str
    make: Callable[[Connection], bytes]
    status: int


@dataclass(frozen=True, slots=True)
class Driven:
    """Answers a second, and what each of them took."""

    rate: float
    milliseconds: list[float]


async def drive(load: Load, clients: int, seconds: float) -> Driven:
    """Asks for so long. Raises OperatorError for an answer of another status."""
    connections = [await Connection.open(load.url) for _ in range(clients)]
    began = time.perf_counter()

    async def ask(connection: Connection) -> list[float]:
        took: list[float] = []
        while not took or time.perf_counter() - began < seconds:
            took.append(await connection.timed(load.make(connection), load.status))
        return took

    try:
        asked = await asyncio.gather(*(ask(connection) for connection in connections))
        elapsed = time.perf_counter() - began
    finally:
        for connection in connections:
            await connection.close()
    took = [milliseconds for times in asked for milliseconds in times]
    return Driven(len(took) / elapsed, took)
