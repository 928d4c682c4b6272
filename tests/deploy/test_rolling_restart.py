"""Edges behind the balancer of infra/compose get a successor each, and nobody who asks meanwhile notices."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from prog_contracts.ids import new_id
from prog_kit.tasks import cancelled
from tests.deploy.balancing import HOSTS, PATIENCE_SECONDS, balancer
from tests.deploy.toolbox import Toolbox
from tests.depth import by_depth
from tests.integration.edge.edges import (
    VISITS_APART_SECONDS,
    Edge,
    Visitor,
    an_event,
    edge,
    events_in,
    stream,
    until_streaming,
)
from tests.integration.edge.stage import Person, Stage
from tests.servers import TestServers
from tests.waiting import wait_until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(module_postgres: str, servers: TestServers) -> AsyncIterator[Stage]:
    async with Stage(module_postgres, servers.empty_valkey()) as stage:
        yield stage


@dataclass
class Writer:
    """Publishes one event after the other."""

    person: Person
    url: str
    statuses: list[int] = field(default_factory=list)
    stopping: bool = False

    async def visit(self) -> None:
        async with httpx.AsyncClient(base_url=self.url, timeout=PATIENCE_SECONDS, verify=False) as http:
            while not self.stopping:
                number = len(self.statuses)
                headers = self.person.headers | {"Idempotency-Key": new_id("key")}
                answer = await http.post("/v1/events", json=an_event(number), headers=headers)
                self.statuses.append(answer.status_code)
                await asyncio.sleep(VISITS_APART_SECONDS)


@dataclass
class Reader:
    """Follows the live stream, and comes back with the last id that it has seen whenever it ends, as browsers do."""

    person: Person
    url: str
    lines: list[str] = field(default_factory=list)
    begun: int = 0

    async def follow(self) -> None:
        while True:
            self.begun += 1
            seen = events_in(self.lines)
            await stream(self.person, self.url, self.lines, seen[-1] if seen else None)


async def test_edges_are_restarted_one_after_the_other_and_nobody_notices(
    stage: Stage, tools: Toolbox, tmp_path: Path
) -> None:
    """Reads on kept and on new connections, writes, and a live stream, while each edge gets a successor."""
    ada = await stage.person("ada@balanced.example")
    await stage.tenant_of(ada, "Balanced")
    async with balancer(tools, tmp_path) as running, AsyncExitStack() as exits:

        def begun(host: str) -> AbstractAsyncContextManager[Edge]:
            more = {"PROG_DRAIN_NOTICE_SECONDS": by_depth(usual="3", thorough="4"), "PROG_TRUSTED_PROXIES": "127.0.0.1"}
            return edge(stage, None, running.edge_port, host, **more)

        edges = [await exits.enter_async_context(begun(host)) for host in HOSTS]
        running.finds(*HOSTS)
        async with httpx.AsyncClient(timeout=PATIENCE_SECONDS, verify=False) as http:
            await wait_until(partial(running.is_well, http), within_seconds=PATIENCE_SECONDS, what="it to be well")
        writer, reader = Writer(ada, running.url), Reader(ada, running.url)
        visitors: list[Visitor | Writer] = [*(Visitor(running.url, keeps) for keeps in (True, True, False)), writer]
        following = asyncio.create_task(reader.follow())
        try:
            await until_streaming(reader.lines)
            async with asyncio.TaskGroup() as tasks:
                for visitor in visitors:
                    tasks.create_task(visitor.visit())
                try:
                    for number, host in enumerate(HOSTS):
                        await all_go_on(visitors)
                        await end(edges[number])
                        await all_go_on(visitors)
                        edges[number] = await exits.enter_async_context(begun(host))
                    await all_go_on(visitors)
                finally:
                    for visitor in visitors:
                        visitor.stopping = True
            made = len(writer.statuses)
            await wait_until(
                lambda: len(events_in(reader.lines)) >= made, within_seconds=PATIENCE_SECONDS, what="all events"
            )
        finally:
            await cancelled([following])
    assert [set(visitor.statuses) for visitor in visitors] == [{200}, {200}, {200}, {201}]
    ids = events_in(reader.lines)
    assert len(ids) == len(set(ids)) == made, "the stream missed nothing, and told nothing twice"
    assert reader.begun >= 2, "it was sent elsewhere"


async def end(running: Edge) -> None:
    running.process.send_signal(signal.SIGTERM)
    assert await running.ended() == 0


async def all_go_on(visitors: Sequence[Visitor | Writer]) -> None:
    """Returns when each has had more answers."""
    before = [len(visitor.statuses) for visitor in visitors]
    await wait_until(
        lambda: all(len(each.statuses) >= count + 10 for each, count in zip(visitors, before, strict=True)),
        within_seconds=PATIENCE_SECONDS,
        what="answers to everybody",
    )
