"""Heads of requests that never end, by size or by time, and answers that nobody takes, over a real connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import uvicorn
from starlette.types import Receive, Scope, Send

from prog_edge.protocol import MAX_FIELDS, BoundedProtocol
from tests.integration.edge.stage import free_port
from tests.waiting import wait_until

PATIENCE_SECONDS = 60


class Hurried(BoundedProtocol):
    max_head_bytes = 4096
    head_seconds = 0.2
    write_seconds = 0.2


LONG = b"x" * 65_536
asked: list[str] = []
sent_whole = asyncio.Event()


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    asked.append(scope["path"])
    if scope["path"] == "/long":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(200):
            await send({"type": "http.response.body", "body": LONG, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        sent_whole.set()
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest_asyncio.fixture
async def port() -> AsyncIterator[int]:
    port = free_port()
    config = uvicorn.Config(hello, port=port, http=Hurried, log_config=None, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())
    await wait_until(lambda: server.started, within_seconds=PATIENCE_SECONDS, what="the server")
    yield port
    server.should_exit = True
    await task


async def answer(port: int, *pieces: bytes, pause_seconds: float = 0.0) -> bytes:
    """All that comes until the server closes, for what is sent."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause_seconds)
            return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()


GET = b"GET / HTTP/1.1\r\nHost: x\r\n"


async def test_a_request_as_there_are_many_is_answered_and_the_connection_goes_on(port: int) -> None:
    post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n" + b"x" * 20_000
    told = await answer(port, GET + b"\r\n", post, GET + b"Connection: close\r\n\r\n", pause_seconds=0.3)
    assert told.count(b"200 OK") == 3


@pytest.mark.parametrize(
    "head",
    [
        GET + b"X-Long: " + b"a" * 5000 + b"\r\n\r\n",
        GET + b"".join(b"X-%d: 1\r\n" % number for number in range(MAX_FIELDS + 1)) + b"\r\n",
        b"GET /" + b"a" * 5000,
    ],
)
async def test_a_head_that_is_too_large_ends_the_connection(port: int, head: bytes) -> None:
    middle = len(head) // 2
    told = await answer(port, head[:100], head[100:middle], head[middle:], b"a" * 5000)
    assert b"200 OK" not in told
    assert told == b"" or told.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("pieces", [[], [b"GE"], [GET], [GET + b"\r\n", GET]])
async def test_a_head_that_does_not_come_to_an_end_is_given_up(port: int, pieces: list[bytes]) -> None:
    """Without the bound this would wait until the test's own patience is at its end."""
    told = await answer(port, *pieces, pause_seconds=0.05)
    assert told.count(b"200 OK") == len(pieces) // 2


async def test_an_answer_that_nobody_takes_is_given_up(port: int) -> None:
    """Without the bound it would wait for its client for ever, with all that it holds."""
    sent_whole.clear()
    async with asyncio.timeout(PATIENCE_SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
        writer.write(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n")
        await sent_whole.wait()
        taken = 0
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(2**20):
                taken += len(piece)
        writer.close()
    assert taken < 200 * len(LONG), "the rest was never sent"


POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
BEHIND = b"GET /behind HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "text",
    [
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + BEHIND,
        POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd" + BEHIND,
        POST + b"Content-Length: 4, 5\r\n\r\nabcd" + BEHIND,
        POST + b"Content-Length: +4\r\n\r\nabcd" + BEHIND,
        POST + b"Content-Length : 4\r\n\r\nabcd" + BEHIND,
        POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + BEHIND,
        POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + BEHIND,
        POST + b"Transfer-Encoding: chunked\r\n\r\n-4\r\nabcd\r\n0\r\n\r\n" + BEHIND,
        POST + b"Transfer-Encoding: chunked\r\n\r\n4\nabcd\n0\n\n" + BEHIND,
        b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + BEHIND,
        b"GET / HTTP/1.1\r\n\r\n" + BEHIND,
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n" + BEHIND,
        b"GET / HTTP/2.0\r\nHost: x\r\n\r\n" + BEHIND,
        b"GET /\r\n\r\n" + BEHIND,
        b"GET / HTTP/1.1\nHost: x\n\n" + BEHIND,
        GET + b"X: a\r\n b\r\n\r\n" + BEHIND,
        GET + b"X: a\0b\r\n\r\n" + BEHIND,
        GET + b"X: a\rY: b\r\n\r\n" + BEHIND,
    ],
)
async def test_what_could_be_read_in_two_ways_is_refused_and_nothing_behind_it_is_read(port: int, text: bytes) -> None:
    """A proxy that reads it otherwise would take the end of one request for another one (request smuggling)."""
    asked.clear()
    told = await answer(port, text)
    assert b"200 OK" not in told
    assert told == b"" or told.startswith(b"HTTP/1.1 400 ")
    assert "/behind" not in asked


async def test_an_old_client_without_a_host_is_answered(port: int) -> None:
    assert b"200 OK" in await answer(port, b"GET / HTTP/1.0\r\n\r\n")
