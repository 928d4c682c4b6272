"""One platform for all tests of this folder's modules; each module has its own, in the module's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest_asyncio
import uvloop

from tests.integration.edge.stage import Stage
from tests.servers import TestServers


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(module_postgres: str, servers: TestServers) -> AsyncIterator[Stage]:
    async with Stage(module_postgres, servers.empty_valkey()) as stage:
        yield stage


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that the edge's processes have."""
    return {"uvloop": uvloop.new_event_loop}
