"""What supervisors and Prometheus ask a process that serves no HTTP of its own: worker, relay and scheduler.

    with probes.serving(settings, lambda: worker.ready):
        await worker.run()

It listens on PROG_HOST and PROG_METRICS_PORT (0 is off), in threads, so that a busy event loop can still be told apart
from a dead one:

- `/healthz` 200 while the event loop turns. 503 means that the process hangs and only a restart helps.
- `/readyz`  200 while the process does its work, or stands by for one that does. 503 while it starts, waits for a
  server or stops: no reason to restart it.
- `/metrics` the figures of this process in Prometheus' text format.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from prog_kit.settings import Settings

TURN_SECONDS: Final = 3.0
"""An event loop that has not turned for so long hangs. A probe's own time-out must be longer."""
_POLL_SECONDS: Final = 0.1
_IDLE_SECONDS: Final = 10.0

Ready = Callable[[], bool]


@contextmanager
def serving(settings: Settings, ready: Ready) -> Iterator[None]:
    """Answers for the running event loop until the block ends. Raises OSError when the port is taken."""
    if not settings.metrics_port:
        yield
        return
    server = _Server((settings.host, settings.metrics_port), asyncio.get_running_loop(), ready)
    thread = threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), name="probes", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], loop: asyncio.AbstractEventLoop, ready: Ready) -> None:
        self.address_family = AF_INET6 if ":" in address[0] else AF_INET
        self.loop = loop
        self.ready = ready
        super().__init__(address, _Answers)

    def turns(self) -> bool:
        """Whether the event loop comes round in time."""
        turned = threading.Event()
        try:
            self.loop.call_soon_threadsafe(turned.set)
        except RuntimeError:  # it is closed
            return False
        return turned.wait(TURN_SECONDS)


class _Answers(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/healthz":
            alive = self.server.turns()
            self._status(alive, "ok" if alive else "hangs")
        elif path == "/readyz":
            ready = self.server.ready()
            self._status(ready, "ok" if ready else "unavailable")
        elif path == "/metrics":
            self._answer(200, CONTENT_TYPE_LATEST, generate_latest())
        else:
            self._answer(404, "application/json", b'{"status": "not_found"}')

    def _status(self, good: bool, status: str) -> None:
        self._answer(200 if good else 503, "application/json", json.dumps({"status": status}).encode())

    def _answer(self, code: int, content_type: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        return "prognetwork"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that the base class gives it
        """Nothing: a probe every few seconds is no news."""
