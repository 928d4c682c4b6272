"""What a worker, the relay and the scheduler answer to who asks how they are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import psutil
import pytest

from prog_infra.servers import free_port
from prog_kit import probes
from prog_kit.settings import Settings
from prog_kit.telemetry import CONSUMER_LAG


def settings(port: int) -> Settings:
    required = {
        "PROG_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "PROG_REDIS_URL": "redis://127.0.0.1:1",
        "PROG_SECRET_KEYS": "0123456789abcdef" * 4,
    }
    return Settings.load(required, metrics_port=port)


class Process:
    """A process that only answers probes; `ready` is what it says of itself."""

    def __init__(self) -> None:
        self.ready = False
        self.port = free_port()
        self.settings = settings(self.port)
        self.stack = ExitStack()

    def begin(self) -> None:
        self.stack.enter_context(probes.serving(self.settings, lambda: self.ready))

    async def ask(self, path: str, method: str = "GET") -> httpx.Response:
        async with httpx.AsyncClient(timeout=30, verify=False) as client:
            return await client.request(method, f"http://127.0.0.1:{self.port}{path}")


@pytest.fixture
def process() -> Iterator[Process]:
    process = Process()
    yield process
    process.stack.close()


async def test_it_lives_before_it_is_ready(process: Process) -> None:
    process.begin()
    answer = await process.ask("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    answer = await process.ask("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"status": "unavailable"})
    process.ready = True
    answer = await process.ask("/readyz?verbose")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_it_tells_its_figures(process: Process) -> None:
    process.begin()
    answer = await process.ask("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    [figure] = CONSUMER_LAG.describe()
    assert figure.name == "prog_consumer_lag"
    assert f"# TYPE {figure.name} gauge" in answer.text


async def test_anything_else_is_not_there(process: Process) -> None:
    process.begin()
    assert (await process.ask("/")).status_code == 404
    assert (await process.ask("/healthz/more")).status_code == 404
    assert (await process.ask("/healthz", method="POST")).status_code == 501


async def test_a_loop_that_hangs_is_told_for_as_long_as_it_does(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "TURN_SECONDS", 0.5)
    process.begin()

    def ask() -> int:
        return httpx.get(f"http://127.0.0.1:{process.port}/healthz", timeout=30, verify=False).status_code

    with ThreadPoolExecutor(1) as somebody:
        assert somebody.submit(ask).result(60) == 503, "the loop hangs here, until the probe has its answer"
    assert await asyncio.to_thread(ask) == 200


async def test_it_lets_go_of_its_port(process: Process) -> None:
    process.begin()
    assert (await process.ask("/healthz")).status_code == 200
    process.stack.close()
    with pytest.raises(httpx.ConnectError):
        await process.ask("/healthz")
    process.begin()
    assert (await process.ask("/healthz")).status_code == 200


async def test_a_port_that_is_taken_is_an_error_at_start(process: Process) -> None:
    process.begin()
    with pytest.raises(OSError, match="in use"):
        process.begin()


async def test_without_a_port_it_listens_nowhere() -> None:
    def listening() -> set[int]:
        return {
            found.laddr.port for found in psutil.Process().net_connections("tcp") if found.status == psutil.CONN_LISTEN
        }

    before = listening()
    with probes.serving(settings(0), lambda: True):
        assert listening() == before
