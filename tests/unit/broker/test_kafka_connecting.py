"""Connecting to Kafka belongs to nobody who waits for it: one that gives up takes it from no other."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest
from aiokafka.errors import KafkaConnectionError

from prog_broker.kafka import connection
from prog_broker.kafka import publisher as publishing
from prog_broker.kafka.connection import Names
from prog_broker.kafka.publisher import KafkaPublisher
from prog_contracts.envelope import wrap
from prog_contracts.errors import Unavailable
from prog_contracts.ids import new_id
from prog_contracts.tenants import RenameTenant
from prog_contracts.topics import topic_of
from tests.waiting import wait_until


class Producer:
    """Starts when it is let, and takes whatever it is given."""

    made: ClassVar[list[Producer]]
    failing: ClassVar[bool]

    def __init__(self, **_: object) -> None:
        self.let = asyncio.Event()
        self.stopped = False
        self.sent = 0
        self.made.append(self)

    async def start(self) -> None:
        await self.let.wait()
        if self.failing:
            raise KafkaConnectionError("nobody is there")

    async def stop(self) -> None:
        self.stopped = True

    def create_batch(self) -> Any:
        class Batch:
            def append(self, **_: object) -> object:
                return object()

        return Batch()

    async def send_batch(self, batch: object, topic: str, *, partition: int) -> Any:
        self.sent += 1
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> KafkaPublisher:
    monkeypatch.setattr(Producer, "made", [], raising=False)
    monkeypatch.setattr(Producer, "failing", False, raising=False)
    monkeypatch.setattr(publishing, "AIOKafkaProducer", Producer)
    monkeypatch.setattr(connection, "STARTING_SECONDS", 0.01)
    return KafkaPublisher(Names("kafka://broker.example:9092", ""))


async def send(publisher: KafkaPublisher) -> None:
    command = RenameTenant(tenant_id=new_id("tenant"), name="sent")
    await publisher.send([(topic_of(command), wrap(command, tenant_id=command.tenant_id, source="/test"))])


async def test_who_gives_up_waiting_takes_the_connection_from_nobody(publisher: KafkaPublisher) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(send(publisher), 0.01)
    later = asyncio.create_task(send(publisher))
    [producer] = Producer.made
    assert not producer.stopped
    producer.let.set()
    await asyncio.wait_for(later, 60)
    await send(publisher)
    assert (len(Producer.made), producer.sent, producer.stopped) == (1, 2, False)
    await publisher.close()
    assert producer.stopped


async def test_a_failure_is_told_to_all_who_wait_and_the_next_one_connects_anew(
    publisher: KafkaPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Producer, "failing", True)
    both = [asyncio.create_task(send(publisher)) for _ in range(2)]
    await wait_until(lambda: Producer.made)
    [broken] = Producer.made
    broken.let.set()
    told = await asyncio.wait_for(asyncio.gather(*both, return_exceptions=True), 60)
    assert [type(each) for each in told] == [Unavailable, Unavailable]
    assert broken.stopped
    monkeypatch.setattr(Producer, "failing", False)
    again = asyncio.create_task(send(publisher))
    await wait_until(lambda: len(Producer.made) == 2)
    Producer.made[1].let.set()
    await asyncio.wait_for(again, 60)


async def test_closing_ends_the_connecting(publisher: KafkaPublisher) -> None:
    waiting = asyncio.create_task(send(publisher))
    await wait_until(lambda: Producer.made)
    await asyncio.wait_for(publisher.close(), 60)
    assert Producer.made[0].stopped
    with pytest.raises(Unavailable, match="was closed"):
        await asyncio.wait_for(waiting, 60)
