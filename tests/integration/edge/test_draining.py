"""Edges that share a port, and one of them ends: nobody loses an answer, a wait, a stream, or a connection."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest

from tests.integration.edge.stage import SECRET_KEYS, Person, Stage, free_port
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE_SECONDS = 60.0
NOTICE_SECONDS = 1.0


@dataclass
class Edge:
    """An edge of its own process; `lines` is what it said."""

    process: asyncio.subprocess.Process
    lines: list[bytes] = field(default_factory=list)

    async def read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.lines.append(line)

    def has_said(self, text: bytes) -> bool:
        return any(text in line for line in self.lines)


@asynccontextmanager
async def edge(stage: Stage, shared: socket.socket | None, port: int) -> AsyncIterator[Edge]:
    """An edge of the stage's platform, ready, on the shared socket or the port."""
    settings = stage.settings
    environment = {
        "PROG_ENV": "test",
        "PROG_DATABASE_URL": settings.database_url,
        "PROG_REDIS_URL": settings.redis_url,
        "PROG_SECRET_KEYS": ",".join(SECRET_KEYS),
        "PROG_PUBLIC_URL": settings.public_url,
        "PROG_PORT": str(port),
        "PROG_LISTEN_FD": "0" if shared is None else str(shared.fileno()),
        "PROG_DRAIN_NOTICE_SECONDS": str(NOTICE_SECONDS),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from prog_edge.process import run; run()",
        env={**os.environ, **environment},
        stderr=asyncio.subprocess.PIPE,
        pass_fds=() if shared is None else (shared.fileno(),),
    )
    running = Edge(process)
    reading = asyncio.create_task(running.read())
    try:
        await wait_until(
            lambda: running.has_said(b'"event": "ready"'), within_seconds=PATIENCE_SECONDS, what="the edge to be ready"
        )
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await process.wait()
            await reading


@dataclass
class Visitor:
    """Asks again as soon as there is an answer; over one connection as long as the server keeps it, or a new one."""

    url: str
    keeps: bool
    statuses: list[int] = field(default_factory=list)
    stopping: bool = False

    async def visit(self) -> None:
        limits = httpx.Limits(max_keepalive_connections=1 if self.keeps else 0)
        async with httpx.AsyncClient(base_url=self.url, limits=limits, timeout=PATIENCE_SECONDS, verify=False) as http:
            while not self.stopping:
                self.statuses.append((await http.get("/v1/prices")).status_code)


async def raw_lead(port: int, body: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A request whose body is only begun."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = (
        f"POST /v1/leads HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body[:10])
    await writer.drain()
    return reader, writer


async def until_streaming(lines: list[str]) -> None:
    await wait_until(lambda: bool(lines), within_seconds=PATIENCE_SECONDS, what="the stream to begin")


async def publish(person: Person, url: str, number: int) -> None:
    body = {"specversion": "1.0", "id": f"{number}", "source": "/drain", "type": "com.acme.drained", "data": {}}
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_SECONDS, verify=False) as http:
        answer = await http.post("/v1/events", json=body, headers=person.headers)
    assert answer.status_code == 201, answer.text


async def stream(person: Person, url: str, lines: list[str], last_event_id: str | None = None) -> None:
    """Reads the live stream to its end."""
    headers = person.headers if last_event_id is None else {**person.headers, "Last-Event-ID": last_event_id}
    async with (
        httpx.AsyncClient(base_url=url, timeout=PATIENCE_SECONDS, verify=False) as http,
        http.stream("GET", "/v1/events/stream", params={"types": "com.acme.drained"}, headers=headers) as answer,
    ):
        assert answer.status_code == 200
        async for line in answer.aiter_lines():
            lines.append(line)  # noqa: PERF401 - others look at them as they come


def events_in(lines: list[str]) -> list[str]:
    return [line.partition(":")[2].strip() for line in lines if line.startswith("id:") and line != "id:"]


@pytest.mark.slow
async def test_an_edge_that_ends_loses_no_request_no_wait_and_no_stream(stage: Stage) -> None:
    ada = await stage.person("ada@draining.example")
    await stage.tenant_of(ada, "Drained")
    body = b'{"email": "lead@draining.example", "note": "still there?"}'
    with socket.create_server(("127.0.0.1", 0), backlog=512) as shared:
        port = shared.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        async with edge(stage, shared, port) as first, asyncio.TaskGroup() as tasks:
            lines: list[str] = []
            streaming = tasks.create_task(stream(ada, url, lines))
            await until_streaming(lines)
            await publish(ada, url, 1)
            await wait_until(lambda: len(events_in(lines)) >= 1, within_seconds=PATIENCE_SECONDS, what="an event")
            await stage.stop_worker()  # whoever waits for a command's answer waits for long now
            waiting = tasks.create_task(
                ada.stage.http.post(
                    f"{url}/v1/tenants", json={"name": "Waited"}, headers={**ada.headers, "Prefer": "wait=4"}
                )
            )
            reader, writer = await raw_lead(port, body)
            await wait_until(lambda: in_flight(url, 4), within_seconds=PATIENCE_SECONDS, what="all to be in flight")
            async with edge(stage, shared, port) as second:
                visitors = [Visitor(url, keeps) for keeps in (True, True, False, False)]
                visiting = [tasks.create_task(visitor.visit()) for visitor in visitors]
                await wait_until(lambda: all(len(v.statuses) > 20 for v in visitors), within_seconds=PATIENCE_SECONDS)
                first.process.send_signal(signal.SIGTERM)
                writer.write(body[10:])
                async with asyncio.timeout(PATIENCE_SECONDS):
                    told = await reader.read()
                    assert told.startswith(b"HTTP/1.1 202 "), told
                    assert b"connection: close" in told.lower()
                    writer.close()
                    answer = await waiting
                    assert answer.status_code == 202, "it waited as long as it was asked to, and was not cut off"
                    await streaming
                    assert await first.process.wait() == 0
                gone_at = [len(visitor.statuses) for visitor in visitors]
                await wait_until(
                    lambda: all(len(v.statuses) > n + 20 for v, n in zip(visitors, gone_at, strict=True)),
                    within_seconds=PATIENCE_SECONDS,
                )
                for visitor in visitors:
                    visitor.stopping = True
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await asyncio.gather(*visiting)
                assert {status for visitor in visitors for status in visitor.statuses} == {200}
                await stage.start_worker("users", "tenants", "payments", "email", "monitoring", "events")
                await publish(ada, url, 2)
                resumed: list[str] = []
                again = tasks.create_task(stream(ada, url, resumed, events_in(lines)[-1]))
                await wait_until(
                    lambda: len(events_in(resumed)) >= 1, within_seconds=PATIENCE_SECONDS, what="the next event"
                )
                second.process.send_signal(signal.SIGTERM)
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await again
                    assert await second.process.wait() == 0


async def in_flight(url: str, number: int) -> bool:
    """Whether so many requests are being answered, with the one that asks."""
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_SECONDS, verify=False) as http:
        return f"prog_http_in_flight {number}.0" in (await http.get("/metrics")).text


async def is_draining(port: int) -> bool:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", verify=False) as http:
        return (await http.get("/readyz")).status_code == 503


async def test_an_edge_tells_first_that_it_ends_and_takes_connections_meanwhile(stage: Stage) -> None:
    port = free_port()
    async with (
        edge(stage, None, port) as running,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", verify=False) as http,
    ):
        assert (await http.get("/readyz")).status_code == 200
        running.process.send_signal(signal.SIGTERM)
        draining: list[httpx.Response] = []

        async def told() -> bool:
            draining[:] = [await http.get("/readyz")]
            return draining[0].status_code == 503

        await wait_until(told, within_seconds=PATIENCE_SECONDS, what="/readyz to tell")
        assert draining[0].json()["draining"] is True
        answer = await http.get("/v1/prices")
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await running.process.wait() == 0


async def test_a_second_signal_ends_at_once(stage: Stage) -> None:
    port = free_port()
    async with edge(stage, None, port) as running:
        reader, writer = await raw_lead(port, b"x" * 100)
        await wait_until(lambda: in_flight(f"http://127.0.0.1:{port}", 2), within_seconds=PATIENCE_SECONDS)
        running.process.send_signal(signal.SIGTERM)
        await wait_until(lambda: is_draining(port), within_seconds=PATIENCE_SECONDS)
        running.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await running.process.wait()
            told = await reader.read()
        writer.close()
        assert told == b"" or told.startswith(b"HTTP/1.1 500 "), "the request was cut off, and was told so at most"
