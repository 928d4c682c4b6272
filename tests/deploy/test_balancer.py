"""The balancer of infra/compose before servers that break off, so that it is seen what it does with which request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial

import httpx
import pytest
import pytest_asyncio

from tests.deploy.balancing import CONFIGURATION, HOSTS, PATIENCE_SECONDS, Balancer, balancer
from tests.deploy.toolbox import Toolbox
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Server:
    """Ready by its own word. While `breaks`, it reads what it is asked and goes away without an answer."""

    name: str
    breaks: bool = False
    ready: bool = True
    asked: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with_head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, path, _ = with_head.split(maxsplit=2)
        status = 200 if self.ready else 503
        if path != "/readyz":
            self.asked.append(method)
            self.heads.append(with_head.lower())
            status = 200
        if path == "/readyz" or not self.breaks:
            text = f"HTTP/1.1 {status} X\r\nContent-Length: {len(self.name)}\r\nConnection: close\r\n\r\n{self.name}"
            writer.write(text.encode())
            await writer.drain()
        writer.close()


@dataclass
class Scene:
    balancer: Balancer
    servers: tuple[Server, Server]
    http: httpx.AsyncClient


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tools: Toolbox, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    servers = (Server("one"), Server("two"))
    async with AsyncExitStack() as exits:
        running = await exits.enter_async_context(balancer(tools, tmp_path_factory.mktemp("balancer")))
        for host, server in zip(HOSTS, servers, strict=True):
            listening = await asyncio.start_server(server.serve, host, running.edge_port)
            exits.callback(listening.close)
        http = await exits.enter_async_context(
            httpx.AsyncClient(base_url=running.url, timeout=PATIENCE_SECONDS, verify=False)
        )
        yield Scene(running, servers, http)


async def is_shared(scene: Scene) -> bool:
    """Whether both servers are asked; what was asked before is forgotten."""
    for server in scene.servers:
        server.asked.clear()
    for _ in range(4):
        await scene.http.get("/")
    return all(server.asked for server in scene.servers)


async def both(scene: Scene) -> None:
    for server in scene.servers:
        server.breaks, server.ready = False, True
    scene.balancer.finds(*HOSTS)
    await wait_until(partial(is_shared, scene), within_seconds=PATIENCE_SECONDS, what="both to be asked")
    for server in scene.servers:
        server.asked.clear()


async def test_without_an_edge_it_says_so_as_the_api_would(scene: Scene) -> None:
    scene.balancer.finds()
    answer = await scene.http.get("/v1/prices")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert (answer.json()["code"], answer.headers["retry-after"]) == ("unavailable", "1")
    assert not await scene.balancer.is_well(scene.http)


async def test_requests_are_shared_and_it_is_well(scene: Scene) -> None:
    await both(scene)
    assert await scene.balancer.is_well(scene.http)


@pytest.mark.parametrize(
    ("method", "headers"),
    [("GET", {}), ("HEAD", {}), ("OPTIONS", {}), ("POST", {"Idempotency-Key": "one-order"})],
    ids=["GET", "HEAD", "OPTIONS", "POST with a key"],
)
async def test_what_may_come_twice_is_sent_again_where_a_server_breaks_off(
    scene: Scene, method: str, headers: dict[str, str]
) -> None:
    await both(scene)
    scene.servers[0].breaks = True
    for _ in range(4):
        answer = await scene.http.request(method, "/v1/orders", headers=headers)
        assert answer.status_code == 200
    assert scene.servers[0].asked, "it was asked, too"


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
async def test_what_may_not_come_twice_is_never_sent_again(scene: Scene, method: str) -> None:
    await both(scene)
    scene.servers[0].breaks = True
    async with httpx.AsyncClient(
        base_url=scene.balancer.url,
        timeout=PATIENCE_SECONDS,
        verify=False,
        limits=httpx.Limits(max_keepalive_connections=0),
    ) as http:  # on a connection that was kept it says nothing and closes it, as a server that went away would
        answers = [await http.request(method, "/v1/orders") for _ in range(4)]
    told = [answer.status_code for answer in answers]
    assert set(told) == {200, 502}
    assert sum(len(server.asked) for server in scene.servers) == 4, "each came to one server, and once"
    assert {answer.json()["code"] for answer in answers if answer.status_code == 502} == {"connection_lost"}


async def test_one_that_is_not_ready_gets_nothing_and_where_none_is_all_are_asked(scene: Scene) -> None:
    await both(scene)
    scene.servers[0].ready = False

    async def left_out() -> bool:
        await is_shared(scene)
        return not scene.servers[0].asked

    await wait_until(left_out, within_seconds=PATIENCE_SECONDS, what="one to be left out")
    scene.servers[1].ready = False

    async def unwell() -> bool:
        return not await scene.balancer.is_well(scene.http)

    await wait_until(unwell, within_seconds=PATIENCE_SECONDS, what="the balancer to tell")
    assert (await scene.http.get("/v1/prices")).status_code == 200


async def test_it_tells_the_address_of_the_client_behind_what_the_client_says(scene: Scene) -> None:
    await both(scene)
    scene.servers[0].heads.clear()
    scene.servers[1].heads.clear()
    await scene.http.get("/v1/prices", headers={"X-Forwarded-For": "198.51.100.9"})
    [head] = scene.servers[0].heads + scene.servers[1].heads
    told = [line.partition(":")[2].strip() for line in head.splitlines() if line.startswith("x-forwarded-for")]
    assert told == ["198.51.100.9", "127.0.0.1"]


async def test_a_head_goes_through_that_an_edge_would_take(scene: Scene) -> None:
    await both(scene)
    fields = {f"X-Field-{number}": "x" * 300 for number in range(190)}
    assert (await scene.http.get("/v1/prices", headers=fields)).status_code == 200


async def test_it_is_written_without_a_warning(tools: Toolbox) -> None:
    done = tools.run("haproxy", "-c", "-dW", "-f", str(CONFIGURATION))
    assert done.returncode == 0, done.stderr
