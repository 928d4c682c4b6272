"""A real Chromium, a platform to look at, and a rule: a page that logs an error fails its test."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

import pytest
import uvicorn
import uvloop
from playwright.sync_api import Browser, Page, sync_playwright

from prog_kit.settings import Settings
from tests.browser.chromium import executable, launch
from tests.browser.screenshots import watch
from tests.integration.edge.stage import Stage
from tests.servers import TestServers
from tests.unit.edge.web.sample_app import sample_app

READY_WITHIN_SECONDS = 90.0


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser a module: Playwright's loop must have ended before other modules run theirs."""
    if executable() is None:
        pytest.skip("Chromium is not installed: `apt-get install chromium`, or set PROG_CHROMIUM")
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


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
def platform(module_postgres: str, servers: TestServers) -> Iterator[Settings]:
    """The settings of a whole platform that runs in a thread of this process, with a database of the module's own."""
    valkey_url = servers.empty_valkey()
    begun: Future[tuple[Settings, Callable[[], object]]] = Future()

    async def run() -> None:
        async with Stage(module_postgres, valkey_url) as stage:
            loop, ending = asyncio.get_running_loop(), asyncio.Event()
            begun.set_result((stage.settings, lambda: loop.call_soon_threadsafe(ending.set)))
            await ending.wait()

    with ThreadPoolExecutor(1, thread_name_prefix="platform") as executor:
        ended = executor.submit(lambda: uvloop.run(run()))
        either: list[Future[Any]] = [begun, ended]
        wait(either, READY_WITHIN_SECONDS, FIRST_COMPLETED)
        if ended.done():
            ended.result()
        settings, end = begun.result(0)
        yield settings
        end()
        ended.result(READY_WITHIN_SECONDS)


@pytest.fixture(scope="module")
def address(platform: Settings) -> str:
    """Where the platform is."""
    return platform.public_url


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
