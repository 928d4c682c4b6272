"""The edge as a process: `prog edge`.

On SIGTERM it tells so at /readyz, ends its streams and sends clients elsewhere with each answer; after
PROG_DRAIN_NOTICE_SECONDS it stops taking connections, finishes the requests in flight within PROG_DRAIN_SECONDS and
closes its pools. Several edges on one machine may share a listening socket that their parent has opened
(PROG_LISTEN_FD): what waits on it when one of them ends, another takes.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import uvicorn
import uvloop

from prog_edge.drain import Drain
from prog_edge.middleware.access_log import LINES
from prog_edge.protocol import BoundedProtocol
from prog_kit.logging import configure, get
from prog_kit.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

    Build = Callable[[Settings, Drain], FastAPI]

_log = get("prog_edge.process")
_BACKLOG = 2048
KEEP_ALIVE_SECONDS: Final = 75
"""Longer than balancers keep a connection that nobody uses (60 s): who ends it first must not be the edge."""


def run(build: Build | None = None) -> None:
    """Serves on PROG_HOST and PROG_PORT until SIGTERM or SIGINT; `build` makes another application than the edge's."""
    settings = Settings.load()
    configure(settings.log_level, settings.process_name)
    drain = Drain()
    app = _application(settings, drain, build)
    try:
        uvloop.run(serve(settings, app, drain))
    finally:
        LINES.flush()


async def serve(settings: Settings, app: FastAPI, drain: Drain) -> None:
    """Serves in the running loop."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(settings.drain_seconds),
    )
    listening = None if settings.listen_fd == 0 else [socket.socket(fileno=settings.listen_fd)]
    await _Server(config, drain, settings.drain_notice_seconds).serve(sockets=listening)


def _application(settings: Settings, drain: Drain, build: Build | None) -> FastAPI:
    """The application. What it is made of stays, so the garbage collector need not look at it, now or ever."""
    gc.disable()
    # First, from a shallow stack: pydantic reads the docstrings of these models' attributes, and looks each frame of
    # the stack up among all modules to find the source. Inside of the import of everything else it takes 0.4 s longer.
    import prog_contracts.scim  # noqa: F401
    from prog_edge.app import create_app

    app = (build or create_app)(settings, drain)
    gc.freeze()
    gc.enable()
    return app


class _Server(uvicorn.Server):
    """Tells the application to drain as soon as the signal comes, and ends with exit code 0."""

    def __init__(self, config: uvicorn.Config, drain: Drain, notice_seconds: float) -> None:
        super().__init__(config)
        self._drain = drain
        self._notice_seconds = notice_seconds

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        _log.info("ready", host=self.config.host, port=self.config.port)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn's own would raise the signal again when all is done, which looks like a violent end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        """The first signal drains; a second one ends at once."""
        if self._drain.started:
            self.force_exit = self.should_exit = True
            return
        self._drain.start()
        asyncio.get_running_loop().call_later(self._notice_seconds, self._take_no_more)

    def _take_no_more(self) -> None:
        self.should_exit = True


def openapi() -> dict[str, Any]:
    """The OpenAPI document, without a running platform."""
    settings = Settings.model_construct(**{**_defaults(), "public_url": "http://127.0.0.1:8000"})
    from prog_edge.app import create_app

    return create_app(settings).openapi()


def _defaults() -> dict[str, Any]:
    fields = Settings.model_fields.items()
    return {name: None if field.is_required() else field.default for name, field in fields}
