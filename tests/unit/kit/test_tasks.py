"""Background tasks end, also those whose cancellation got lost."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from prog_broker.client import CommandClient
from prog_broker.ports import Transport
from prog_broker.redis.connection import Client
from prog_edge.limits.admission import Admission, Limits
from prog_edge.limits.backlog import BacklogWatch
from prog_kit import tasks
from prog_kit.database import Database
from prog_kit.secrets import Sealer


class Deaf:
    """Does as `asyncio.wait_for` of Python 3.11 may: the first cancellation is swallowed."""

    def __init__(self) -> None:
        self.waiting = asyncio.Event()
        self.heard = 0

    async def wait(self) -> None:
        self.waiting.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.heard += 1
            if self.heard > 1:
                raise


class Server(Deaf):
    """A broker that answers nobody, as transport and as Redis."""

    outages = (OSError,)

    async def lags(self, _: Any) -> list[Any]:
        await self.wait()
        return []

    def pubsub(self) -> Server:
        return self

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def subscribe(self, _: str) -> None: ...

    async def listen(self) -> Any:
        while True:
            await self.wait()
            yield {"type": "none"}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "AGAIN_SECONDS", 0.01)


async def test_a_task_that_missed_its_cancellation_is_cancelled_again() -> None:
    deaf = Deaf()

    async def work() -> None:
        while True:
            await deaf.wait()

    task = asyncio.create_task(work())
    await deaf.waiting.wait()
    async with asyncio.timeout(10):
        await tasks.cancelled([task])
    assert task.cancelled()
    assert deaf.heard == 2


async def test_what_ended_a_task_by_itself_is_no_matter_of_its_cancellation() -> None:
    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("at the last moment") from None

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await tasks.cancelled([task])
    assert isinstance(task.exception(), ValueError)


async def test_the_edge_ends_though_its_listener_missed_that_it_is_to() -> None:
    server = Server()
    client = CommandClient(cast("Client", server), cast("Database", None), Sealer(("0123456789abcdef" * 4,)))
    client._listening.set()  # it never will be: this server confirms no subscription
    async with asyncio.timeout(10):
        async with client:
            await server.waiting.wait()
    assert server.heard == 2


async def test_the_edge_ends_though_its_watch_missed_that_it_is_to() -> None:
    server = Server()
    watch = BacklogWatch(cast("Transport", server), Admission(Limits(1, 1)))
    watch.start()
    await server.waiting.wait()
    async with asyncio.timeout(10):
        await watch.close()
    assert server.heard == 1
    assert watch._task is not None
    assert watch._task.cancelled()
