"""A client of Kafka's that is cancelled while it starts leaves nothing open."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError

from prog_broker.kafka import connection
from prog_broker.kafka.connection import Names, started
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


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "STARTING_SECONDS", 60.0)  # on a busy machine Kafka takes its time


def left_open() -> list[AIOKafkaConnection]:
    return [each for each in gc.get_objects() if isinstance(each, AIOKafkaConnection) and each.connected()]


async def by_call(names: Names) -> None:
    async with admin(names):
        pass


async def that_stays(names: Names) -> None:
    await Admin(names).get()


async def consumer(names: Names) -> None:
    await started(AIOKafkaConsumer(bootstrap_servers=names.bootstrap))


async def producer(names: Names) -> None:
    await started(AIOKafkaProducer(bootstrap_servers=names.bootstrap))


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("begin", [by_call, that_stays, consumer, producer])
async def test_a_start_that_is_cut_short_leaves_no_connection_open(
    begin: Callable[[Names], Awaitable[None]], times: int, kafka_url: str, asked: asyncio.Event
) -> None:
    before = left_open()
    task = asyncio.ensure_future(begin(Names(bootstrap(kafka_url), "")))
    await asyncio.wait_for(asked.wait(), 60)
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [each for each in left_open() if each not in before] == []


class Client:
    """Starts when it is let, and fails then."""

    def __init__(self) -> None:
        self.began, self.let = asyncio.Event(), asyncio.Event()
        self.cut_short = self.ended = False

    async def start(self) -> None:
        self.began.set()
        try:
            await self.let.wait()
        except asyncio.CancelledError:
            self.cut_short = True
            raise
        raise KafkaConnectionError("nobody is there")

    async def stop(self) -> None:
        self.ended = True


class Lasting(Client):
    """Whose end takes until it is let, and then fails."""

    async def start(self) -> None:
        raise KafkaConnectionError("nobody is there")

    async def stop(self) -> None:
        self.began.set()
        await self.let.wait()
        self.ended = True
        raise KafkaConnectionError("nobody is there any more")


async def test_a_cancellation_while_a_client_ends_waits_for_the_end() -> None:
    client = Lasting()
    task = asyncio.ensure_future(started(client))
    await client.began.wait()
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    client.let.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert client.ended


async def test_what_went_wrong_first_is_told() -> None:
    client = Lasting()
    client.let.set()
    with pytest.raises(KafkaConnectionError, match=r"nobody is there$"):
        await started(client)


async def test_what_does_not_start_is_ended() -> None:
    client = Client()
    client.let.set()
    with pytest.raises(KafkaConnectionError):
        await started(client)
    assert client.ended


async def test_a_failure_after_a_cancellation_is_nobody_s() -> None:
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    client = Client()
    task = asyncio.ensure_future(started(client))
    await client.began.wait()
    task.cancel()
    client.let.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (client.cut_short, client.ended) == (False, True)
    del task, client
    await asyncio.sleep(0)  # the loop lets go of what it has just done
    gc.collect()
    assert reported == []


async def test_a_start_that_takes_too_long_is_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "STARTING_SECONDS", 0.01)
    client = Client()
    task = asyncio.ensure_future(started(client))
    await client.began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (client.cut_short, client.ended) == (True, True)
