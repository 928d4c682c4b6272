"""The edge as a process of its own: it starts, tells how it is, and ends without cutting anybody off."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.forking import Popen
from tests.integration.edge.stage import free_port

START_SECONDS = 90.0


@contextmanager
def edge(environment: dict[str, str]) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A running edge and its address."""
    port = free_port()
    process = Popen[bytes](
        [sys.executable, "-c", "from prog_edge.process import run; run()"],
        env={**os.environ, **environment, "PROG_PORT": str(port)},
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def ready(url: str) -> httpx.Response:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return httpx.get(f"{url}/readyz", verify=False)
        except httpx.TransportError:
            assert time.monotonic() < deadline, "the edge does not answer"
            time.sleep(0.02)


def test_it_tells_how_it_is(environment: dict[str, str]) -> None:
    with edge(environment) as (_, url):
        answer = ready(url)
        assert answer.status_code == 200
        assert answer.json() == {"status": "ok", "database": "ok", "broker": "ok", "draining": False}
        assert httpx.get(f"{url}/healthz", verify=False).json() == {"status": "ok"}
        metrics = httpx.get(f"{url}/metrics", verify=False).text
        for name in ("prog_http_requests_total", "prog_http_request_seconds_bucket", "prog_http_in_flight"):
            assert name in metrics


def test_a_broker_that_is_away_turns_nobody_off(environment: dict[str, str]) -> None:
    with edge({**environment, "PROG_REDIS_URL": f"redis://127.0.0.1:{free_port()}"}) as (_, url):
        answer = ready(url)
        assert answer.status_code == 200
        assert answer.json()["status"] == "degraded"
        assert httpx.get(f"{url}/v1/prices", verify=False).status_code == 200


def test_it_finishes_what_is_in_flight_and_ends(environment: dict[str, str]) -> None:
    body = b'{"email": "ada@example.com", "unknown": 1}'
    with edge(environment) as (process, url):
        ready(url)
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as client:
            head = (
                f"POST /v1/leads HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
            )
            client.sendall(head.encode() + b"\r\n\r\n" + body[:10])
            until_in_flight(url)
            process.send_signal(signal.SIGTERM)
            until_closed(host, int(port))
            client.sendall(body[10:])
            answer = client.recv(65536)
        assert answer.startswith(b"HTTP/1.1 422")
        assert b"connection: close" in answer.lower()
        assert process.wait(timeout=10) == 0


def until_in_flight(url: str) -> None:
    """Waits until another request than the one for the metrics is being answered."""
    deadline = time.monotonic() + 10
    while "prog_http_in_flight 2.0" not in httpx.get(f"{url}/metrics", verify=False).text:
        assert time.monotonic() < deadline, "the request has not come in"
        time.sleep(0.02)


def until_closed(host: str, port: int) -> None:
    """Waits until nobody accepts connections any more."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, port), timeout=1).close()
        except OSError:
            return
        time.sleep(0.02)
    raise AssertionError("the edge still takes connections")
