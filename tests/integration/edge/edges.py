"""Edges as processes of their own, beside the stage's: for tests of several, and of those that end."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from tests.depth import by_depth
from tests.forking import Popen
from tests.integration.edge.stage import SECRET_KEYS, Person, Stage
from tests.waiting import wait_until

PATIENCE_SECONDS = 60.0
NOTICE_SECONDS = 1.0
EVENT = "com.acme.served"


@dataclass
class Edge:
    """An edge of its own process; `lines` is what it said."""

    process: Popen[bytes]
    lines: list[bytes] = field(default_factory=list)

    def read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)

    def has_said(self, text: bytes) -> bool:
        return any(text in line for line in self.lines)

    async def ended(self) -> int:
        """Its exit code, once it has ended."""
        return await asyncio.to_thread(self.process.wait, PATIENCE_SECONDS)


@asynccontextmanager
async def edge(
    stage: Stage, shared: socket.socket | None, port: int, host: str = "127.0.0.1", **more: str
) -> AsyncIterator[Edge]:
    """An edge of the stage's platform, ready, on the shared socket or the port; `more` are variables."""
    settings = stage.settings
    environment = {
        "PROG_ENV": "test",
        "PROG_DATABASE_URL": settings.database_url,
        "PROG_REDIS_URL": settings.redis_url,
        "PROG_SECRET_KEYS": ",".join(SECRET_KEYS),
        "PROG_PUBLIC_URL": settings.public_url,
        "PROG_HOST": host,
        "PROG_PORT": str(port),
        "PROG_LISTEN_FD": "0" if shared is None else str(shared.fileno()),
        "PROG_DRAIN_NOTICE_SECONDS": str(NOTICE_SECONDS),
        **more,
    }
    with Popen[bytes](
        [sys.executable, "-c", "from prog_edge.process import run; run()"],
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        pass_fds=() if shared is None else (shared.fileno(),),
    ) as process:
        running = Edge(process)
        reading = asyncio.create_task(asyncio.to_thread(running.read))
        try:
            await wait_until(
                lambda: running.has_said(b'"event": "ready"'),
                within_seconds=PATIENCE_SECONDS,
                what="the edge to be ready",
            )
            yield running
        finally:
            if process.poll() is None:
                process.kill()
            async with asyncio.timeout(PATIENCE_SECONDS):
                await running.ended()
                await reading


VISITS_APART_SECONDS: Final = by_depth(usual=0.03, thorough=0.01)
"""As in life: whoever asks without a pause takes all of a processor, and never has a connection that is at rest."""


@dataclass
class Visitor:
    """Asks again soon after each answer; over one connection as long as the server keeps it, or a new one."""

    url: str
    keeps: bool
    statuses: list[int] = field(default_factory=list)
    stopping: bool = False

    async def visit(self) -> None:
        limits = httpx.Limits(max_keepalive_connections=1 if self.keeps else 0)
        async with httpx.AsyncClient(base_url=self.url, limits=limits, timeout=PATIENCE_SECONDS, verify=False) as http:
            while not self.stopping:
                self.statuses.append((await http.get("/v1/prices")).status_code)
                await asyncio.sleep(VISITS_APART_SECONDS)


async def until_streaming(lines: list[str]) -> None:
    await wait_until(lambda: bool(lines), within_seconds=PATIENCE_SECONDS, what="the stream to begin")


def an_event(number: int) -> dict[str, Any]:
    return {"specversion": "1.0", "id": f"{number}", "source": "/edges", "type": EVENT, "data": {}}


async def publish(person: Person, url: str, number: int) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_SECONDS, verify=False) as http:
        answer = await http.post("/v1/events", json=an_event(number), headers=person.headers)
    assert answer.status_code == 201, answer.text


async def stream(person: Person, url: str, lines: list[str], last_event_id: str | None = None) -> None:
    """Reads the live stream to its end."""
    headers = person.headers if last_event_id is None else {**person.headers, "Last-Event-ID": last_event_id}
    async with (
        httpx.AsyncClient(base_url=url, timeout=PATIENCE_SECONDS, verify=False) as http,
        http.stream("GET", "/v1/events/stream", params={"types": EVENT}, headers=headers) as answer,
    ):
        assert answer.status_code == 200
        async for line in answer.aiter_lines():
            lines.append(line)  # noqa: PERF401 - others look at them as they come


def events_in(lines: list[str]) -> list[str]:
    return [line.partition(":")[2].strip() for line in lines if line.startswith("id:") and line != "id:"]
