"""How connections end when the process does: whoever has asked is answered, over a real connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
import uvicorn

from prog_edge.protocol import BoundedProtocol
from tests.component.edge.test_heads import GET, hello
from tests.integration.edge.stage import free_port
from tests.waiting import wait_until

PATIENCE_SECONDS = 60
REQUEST = GET + b"\r\n"


class Patient(BoundedProtocol):
    parting_seconds = PATIENCE_SECONDS


class Hurried(BoundedProtocol):
    parting_seconds = 0.05


@dataclass
class Served:
    """A connection to a server that has begun to end."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def told(self, *pieces: bytes) -> bytes:
        """All that comes until the server closes, for what is sent."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.reader.read()


@pytest_asyncio.fixture
async def served(request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    """A server with the protocol and the requests before its end that the test names."""
    protocol, before = request.param
    port = free_port()
    config = uvicorn.Config(hello, port=port, http=protocol, log_config=None, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())
    await wait_until(lambda: server.started, within_seconds=PATIENCE_SECONDS, what="the server")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(before):
        writer.write(REQUEST)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 OK")
    await wait_until(lambda: bool(server.server_state.connections), within_seconds=PATIENCE_SECONDS)
    server.should_exit = True
    (connection,) = server.server_state.connections
    assert isinstance(connection, BoundedProtocol)
    await wait_until(lambda: connection._parting, within_seconds=PATIENCE_SECONDS, what="the connection to be told")
    yield Served(reader, writer)
    writer.close()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await task


@pytest.mark.parametrize("served", [(Patient, 0), (Patient, 2)], indirect=True, ids=["new", "used"])
async def test_a_request_that_was_on_its_way_is_answered_and_ends_the_connection(served: Served) -> None:
    told = await served.told(REQUEST[:10], REQUEST[10:])
    assert told.startswith(b"HTTP/1.1 200 OK")
    assert b"connection: close" in told.lower()


@pytest.mark.parametrize("served", [(Hurried, 0), (Hurried, 1)], indirect=True, ids=["new", "used"])
async def test_a_connection_on_which_nothing_comes_is_closed(served: Served) -> None:
    assert await served.told() == b""
