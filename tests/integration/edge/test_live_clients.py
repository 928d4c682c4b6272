"""A thousand clients of the live stream on one edge process: each sees every event once and in order, whatever happens.
In the usual depth of the tests they are three hundred.

Some leave in the middle and come back with the id of the last event they saw. Prints memory and latency (`pytest -s`).
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from statistics import quantiles
from typing import Any
from uuid import uuid4

import httpx
import orjson
import psutil
import pytest
import pytest_asyncio

from prog_edge import sse
from tests.depth import by_depth
from tests.integration.edge.stage import SECRET_KEYS, Person, Stage, free_port
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLIENTS = by_depth(usual=300, thorough=1000)
LEAVERS = CLIENTS // 5
REQUESTS, EVENTS_EACH = 20, 3
PATIENCE_SECONDS = 240.0
GROWTH_LIMIT_BYTES = CLIENTS * 200 * 1024


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ada(stage: Stage) -> Person:
    person = await stage.person("ada@live.example")
    await stage.tenant_of(person, "Live Ltd")
    return person


@pytest.fixture
def many_files() -> Iterator[None]:
    """Room for a connection a client, here and in the edge beside."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CLIENTS * 2 + 500
    assert hard >= wanted, f"this machine allows {hard} open files, the test needs {wanted}"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def edge_process(stage: Stage) -> Iterator[tuple[psutil.Process, int]]:
    """An edge process beside the stage's own, and its port."""
    port = free_port()
    environment = {
        "PROG_ENV": "test", "PROG_DATABASE_URL": stage.settings.database_url,
        "PROG_REDIS_URL": stage.settings.redis_url,
        "PROG_SECRET_KEYS": SECRET_KEYS[0], "PROG_PUBLIC_URL": stage.settings.public_url, "PROG_PORT": str(port),
        "PROG_LOG_LEVEL": "error",
    }  # fmt: skip
    code = "from prog_edge.process import run; run()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, **environment}, stderr=subprocess.DEVNULL
    )
    edge = psutil.Process(process.pid)
    edge.rlimit(psutil.RLIMIT_NOFILE, resource.getrlimit(resource.RLIMIT_NOFILE))  # a fork has those of another
    try:
        yield edge, port
    finally:
        process.kill()
        process.wait()


async def until_ready(port: int) -> None:
    async def ready() -> bool:
        try:
            async with httpx.AsyncClient(verify=False) as client:
                return (await client.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    await wait_until(ready, within_seconds=60, what="the second edge")


class Client:
    """One reader of the stream over a socket of its own. `seen` are the ids of the events, in the order they came."""

    def __init__(self, port: int, person: Person, types: str) -> None:
        self._port = port
        self._query = f"types={types}"
        self._headers = person.headers
        self.seen: list[int] = []
        self.delays_seconds: list[float] = []
        self.told: list[str] = []
        self.connected = asyncio.Event()

    @asynccontextmanager
    async def _open(self, receive_buffer_bytes: int | None) -> AsyncIterator[asyncio.StreamReader]:
        connection = socket.socket()
        connection.setblocking(False)
        if receive_buffer_bytes is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", self._port))
        reader, writer = await asyncio.open_connection(sock=connection, limit=2**20)
        headers = {**self._headers, "Host": "127.0.0.1", **({"Last-Event-ID": str(self.seen[-1])} if self.seen else {})}
        lines = [
            f"GET /v1/events/stream?{self._query} HTTP/1.1",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        try:
            yield reader
        finally:
            writer.transport.abort()

    async def read(
        self, *, until: int, receive_buffer_bytes: int | None = None, begin: asyncio.Event | None = None
    ) -> None:
        """Reads until it has seen so many events, or the stream ends."""
        async with self._open(receive_buffer_bytes) as reader:
            if begin is not None:
                self.connected.set()
                await begin.wait()
            async for line in _lines(reader):
                if line == b": connected":
                    self.connected.set()
                elif line.startswith(b"id: "):
                    self.seen.append(int(line[4:]))
                elif line.startswith(b"event: stream."):
                    self.told.append(line[14:].decode())
                elif line.startswith(b"data: ") and b'"recordedat"' in line:
                    recorded = datetime.fromisoformat(orjson.loads(line[6:])["recordedat"])
                    self.delays_seconds.append(time.time() - recorded.timestamp())
                    if len(self.seen) >= until:
                        return

    async def read_and_return(self, *, leave_after: int, until: int) -> None:
        """Leaves in the middle, without a word, and comes back."""
        await self.read(until=leave_after)
        self.seen = self.seen[:leave_after]
        await self.read(until=until)


async def _lines(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Lines of a chunked body; a chunk may end within a line."""
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    rest = b""
    while True:
        size = int(await reader.readline() or b"0", 16)
        if size == 0:
            return
        chunk = await reader.readexactly(size + 2)
        *lines, rest = (rest + chunk[:-2]).split(b"\n")
        for line in lines:
            yield line


async def publish(person: Person, type_name: str, count: int, size: int = 100) -> list[int]:
    """Publishes events and returns their positions."""
    events = [
        {"specversion": "1.0", "id": str(uuid4()), "source": "/live", "type": type_name, "data": {"text": "x" * size}}
        for _ in range(count)
    ]
    answer = await person.request("POST", "/v1/events", json=events, headers={"Prefer": "wait=60"})
    assert answer.status_code == 201, answer.text
    return [place["position"] for place in answer.json()["data"]]


@pytest.mark.usefixtures("many_files", "forked_programs")
async def test_a_thousand_clients_see_every_event_once_and_in_order(
    stage: Stage, ada: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = REQUESTS * EVENTS_EACH
    type_name = f"com.live.x{uuid4().hex}"
    with edge_process(stage) as (process, port):
        await until_ready(port)
        before = process.memory_info().rss
        clients = [Client(port, ada, f"{type_name}.*") for _ in range(CLIENTS)]
        reading = [
            asyncio.create_task(
                client.read_and_return(leave_after=1 + number % (wanted - 1), until=wanted)
                if number < LEAVERS
                else client.read(until=wanted)
            )
            for number, client in enumerate(clients)
        ]
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.gather(*(client.connected.wait() for client in clients))
            positions: list[int] = []
            for _ in range(REQUESTS):
                positions += await publish(ada, f"{type_name}.a", EVENTS_EACH)
            await asyncio.gather(*reading)
        grown = process.memory_info().rss - before
    different = [number for number, client in enumerate(clients) if client.seen != positions]
    assert different == [], f"client {different[0]} saw {clients[different[0]].seen}, not {positions}"
    delays = [delay for client in clients[LEAVERS:] for delay in client.delays_seconds]
    cuts = quantiles(delays, n=100)
    with capsys.disabled():
        print(
            f"\n{CLIENTS} clients, {len(positions)} events, {len(delays)} deliveries:"
            f" p50 {cuts[49] * 1000:.0f} ms, p99 {cuts[98] * 1000:.0f} ms from recording to the client;"
            f" {grown / 1024 / CLIENTS:.1f} KiB a client"
        )
    assert grown < GROWTH_LIMIT_BYTES


async def test_a_client_that_takes_nothing_is_dropped_with_a_word_and_resumes(
    stage: Stage, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "WRITE_SECONDS", PATIENCE_SECONDS)
    type_name = f"com.slow.x{uuid4().hex}"
    slow, begin = Client(stage.port, ada, type_name), asyncio.Event()
    listeners = stage.platform.tail._listeners
    async with asyncio.timeout(PATIENCE_SECONDS):
        reading = asyncio.create_task(slow.read(until=10**9, receive_buffer_bytes=4096, begin=begin))
        await wait_until(lambda: len(listeners) == 1, what="the listener", within_seconds=60)
        positions: list[int] = []
        while not any(listener.fell_behind for listener in listeners):
            positions += await publish(ada, type_name, 80, size=4000)
            assert len(positions) < 10_000, "it is never dropped"
        begin.set()
        await reading
        assert slow.told == ["dropped"]
        assert slow.seen == positions[: len(slow.seen)]
        assert 0 < len(slow.seen) < len(positions)
        await slow.read(until=len(positions))
    assert slow.seen == positions


async def test_a_client_that_takes_nothing_for_long_is_given_up(
    stage: Stage, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "WRITE_SECONDS", 0.5)
    type_name = f"com.gone.x{uuid4().hex}"
    gone = Client(stage.port, ada, type_name)
    listeners = stage.platform.tail._listeners
    async with asyncio.timeout(PATIENCE_SECONDS):
        reading = asyncio.create_task(gone.read(until=1, receive_buffer_bytes=4096, begin=asyncio.Event()))
        await wait_until(lambda: len(listeners) == 1, what="the listener", within_seconds=60)
        sent: list[Any] = []
        while listeners:
            sent += await publish(ada, type_name, 80, size=4000)
            assert len(sent) < 10_000, "it is never given up"
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
