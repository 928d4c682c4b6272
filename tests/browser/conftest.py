"""A real Chromium, a platform to look at, and a rule: a page that logs an error fails its test."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import uvloop
from playwright.sync_api import Browser, Page

from tests.browser.chromium import TestChromium, executable
from tests.browser.screenshots import watch
from tests.clusters import Clusters
from tests.forking import Popen
from tests.integration.edge.stage import Stage
from tests.order import IN_A_BROWSER, Shared
from tests.servers import TestServers
from tests.unit.edge.web.sample_app import sample_app

READY_WITHIN_SECONDS = 90.0


@dataclass(frozen=True)
class RunningPlatform:
    """A whole platform of this test's own, started by `prog up` with fresh data."""

    url: str
    administrator_email: str
    administrator_password: str


@pytest.fixture(scope="session")
def session_chromium(close_with_unit: Callable[[str, Shared], None]) -> Iterator[TestChromium]:
    chromium = TestChromium()
    close_with_unit(IN_A_BROWSER, chromium)
    yield chromium
    chromium.close()


@pytest.fixture
def chromium(session_chromium: TestChromium) -> Browser:
    if executable() is None:
        pytest.skip("Chromium is not installed: `apt-get install chromium`, or set PROG_CHROMIUM")
    return session_chromium.browser


Visit = Callable[..., Page]


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Visit]:
    """`visit()` opens a page with cookies of its own; options go to the browser's context, such as
    `viewport` or `java_script_enabled`. Whatever any page logs as an error fails the test."""
    problems: list[str] = []
    contexts = []

    def open_page(**options: Any) -> Page:
        # Without motion: on a busy machine Chromium aborts transitions from page to page, and tells that as an error.
        defaults = {"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce"}
        context = chromium.new_context(**{**defaults, **options})
        context.set_default_timeout(15_000)
        contexts.append(context)
        context.on("page", lambda page: watch(page, problems))
        return context.new_page()

    yield open_page
    for context in contexts:
        context.close()
    assert [problem for problem in problems if "status of 4" not in problem] == []


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, clusters: Clusters) -> Iterator[RunningPlatform]:
    directory = tmp_path_factory.mktemp("platform")
    clusters.spare_the_first_start(directory / "data")
    port = free_port()
    command = [sys.executable, "-m", "prog_infra.cli", "up", "--data", str(directory / "data"), "--port", str(port)]
    with (directory / "up.log").open("w+b") as log:
        process = Popen[bytes](command, stdout=log, stderr=subprocess.STDOUT)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_ready(process, url, directory / "up.log")
            yield RunningPlatform(url, *administrator(directory / "data", process))
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture(scope="module")
def address(module_postgres: str, servers: TestServers) -> Iterator[str]:
    """Where the whole platform is that runs in a thread of this process, with a database of the module's own."""
    valkey_url = servers.empty_valkey()
    begun: Future[tuple[str, Callable[[], object]]] = Future()

    async def run() -> None:
        async with Stage(module_postgres, valkey_url) as stage:
            loop, ending = asyncio.get_running_loop(), asyncio.Event()
            begun.set_result((stage.settings.public_url, lambda: loop.call_soon_threadsafe(ending.set)))
            await ending.wait()

    with ThreadPoolExecutor(1, thread_name_prefix="platform") as executor:
        ended = executor.submit(lambda: uvloop.run(run()))
        either: list[Future[Any]] = [begun, ended]
        wait(either, READY_WITHIN_SECONDS, FIRST_COMPLETED)
        if ended.done():
            ended.result()
        url, end = begun.result(0)
        yield url
        end()
        ended.result(READY_WITHIN_SECONDS)


@pytest.fixture(scope="module")
def sample() -> Iterator[str]:
    """The address of the pages over sample data."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(sample_app(), port=port, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started:
        assert time.monotonic() < deadline, "the sample application did not start"
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(5)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while True:
        assert process.poll() is None, f"prog up ended:\n{log.read_text()[-3000:]}"
        assert time.monotonic() < deadline, f"prog up is not ready:\n{log.read_text()[-3000:]}"
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=1):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)


def administrator(data: Path, process: subprocess.Popen[bytes]) -> tuple[str, str]:
    """The first administrator's sign-in, once the platform says that it works."""
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while True:
        file = data / "administrator.json"
        kept = json.loads(file.read_text()) if file.exists() else {}
        if kept.get("confirmed") == "yes":
            return kept["email"], kept["password"]
        assert process.poll() is None, "prog up ended"
        assert time.monotonic() < deadline, "there is no administrator yet"
        time.sleep(0.05)
