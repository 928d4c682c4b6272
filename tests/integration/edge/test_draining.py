"""Edges that share a port, and one of them ends: nobody loses an answer, a wait, a stream, or a connection."""

from __future__ import annotations

import asyncio
import signal
import socket

import httpx
import pytest

from tests.integration.edge.edges import (
    PATIENCE_SECONDS,
    Visitor,
    edge,
    events_in,
    publish,
    stream,
    until_streaming,
)
from tests.integration.edge.stage import Stage, free_port
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def raw_lead(port: int, body: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A request whose body is only begun."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = (
        f"POST /v1/leads HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body[:10])
    await writer.drain()
    return reader, writer


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
                    assert await first.ended() == 0
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
                    assert await second.ended() == 0


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
        assert await running.ended() == 0


async def test_a_second_signal_ends_at_once(stage: Stage) -> None:
    port = free_port()
    async with edge(stage, None, port) as running:
        reader, writer = await raw_lead(port, b"x" * 100)
        await wait_until(lambda: in_flight(f"http://127.0.0.1:{port}", 2), within_seconds=PATIENCE_SECONDS)
        running.process.send_signal(signal.SIGTERM)
        await wait_until(lambda: is_draining(port), within_seconds=PATIENCE_SECONDS)
        running.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await running.ended()
            told = await reader.read()
        writer.close()
        assert told == b"" or told.startswith(b"HTTP/1.1 500 "), "the request was cut off, and was told so at most"
