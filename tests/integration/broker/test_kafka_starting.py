"""A client of Kafka's that is cancelled while it starts leaves nothing open."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError

from prog_broker.kafka import connection
from prog_broker.kafka.connection import Names, start
from prog_broker.kafka.topics import Admin, admin
from tests.kafka import bootstrap


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """A connection is open, and its first request for metadata is on its way."""
    event, send = asyncio.Event(), AIOKafkaConnection.send

    def heard(self: Any, request: Any, *others: Any, **options: Any) -> Any:
        if type(request).__name__.startswith("MetadataRequest"):
            event.set()
        return send(self, request, *others, **options)

    monkeypatch.setattr(AIOKafkaConnection, "send", heard)
    return event


def left_open() -> list[AIOKafkaConnection]:
    return [each for each in gc.get_objects() if isinstance(each, AIOKafkaConnection) and each.connected()]


async def by_call(names: Names) -> None:
    async with admin(names):
        pass


async def that_stays(names: Names) -> None:
    await Admin(names).get()


async def consumer(names: Names) -> None:
    client = AIOKafkaConsumer(bootstrap_servers=names.bootstrap)
    try:
        await start(client)
    finally:
        await client.stop()


@pytest.mark.parametrize("begin", [by_call, that_stays, consumer])
async def test_a_start_that_is_cut_short_leaves_no_connection_open(
    begin: Callable[[Names], Awaitable[None]], kafka_url: str, asked: asyncio.Event
) -> None:
    before = left_open()
    task = asyncio.ensure_future(begin(Names(bootstrap(kafka_url), "")))
    await asyncio.wait_for(asked.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [each for each in left_open() if each not in before] == []


class Client:
    """Starts when it is let, and fails then."""

    def __init__(self) -> None:
        self.began, self.let, self.cut_short = asyncio.Event(), asyncio.Event(), False

    async def start(self) -> None:
        self.began.set()
        try:
            await self.let.wait()
        except asyncio.CancelledError:
            self.cut_short = True
            raise
        raise KafkaConnectionError("nobody is there")


async def test_a_failure_after_a_cancellation_is_nobody_s() -> None:
    client = Client()
    task = asyncio.ensure_future(start(client))
    await client.began.wait()
    task.cancel()
    client.let.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not client.cut_short


async def test_a_start_that_takes_too_long_is_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "STARTING_SECONDS", 0.01)
    client = Client()
    task = asyncio.ensure_future(start(client))
    await client.began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert client.cut_short
