"""Which offsets a group's consumer commits, in which order, and whose they are."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from aiokafka import TopicPartition

from prog_broker.kafka.connection import Names
from prog_broker.kafka.consuming import GroupConsumer

PLACE = TopicPartition("prog.tenants.commands", 3)


class Cluster:
    """What a consumer of aiokafka does with offsets. The first commit takes until the gate is open."""

    def __init__(self) -> None:
        self.committed_offset = 5
        self.position = 0
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()

    async def commit(self, offsets: Mapping[TopicPartition, Any]) -> None:
        if not self.begun.is_set():
            self.begun.set()
            await self.gate.wait()
        self.committed_offset = offsets[PLACE].offset

    async def committed(self, place: TopicPartition) -> int:
        return self.committed_offset

    def seek(self, place: TopicPartition, offset: int) -> None:
        self.position = offset

    def resume(self, place: TopicPartition) -> None: ...

    def pause(self, place: TopicPartition) -> None: ...

    async def stop(self) -> None: ...


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def consumer(cluster: Cluster) -> GroupConsumer:
    consumer = GroupConsumer(Names("nowhere:9092", ""), "tenants", [PLACE])
    consumer._consumer = cluster
    return consumer


async def turns() -> None:
    """Lets every task go on that can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_later_offset_is_never_overtaken_by_an_earlier_one(consumer: GroupConsumer, cluster: Cluster) -> None:
    consumer.commit(PLACE, 10)
    await cluster.begun.wait()
    consumer.commit(PLACE, 20)
    flushing = asyncio.create_task(consumer.flush())  # as a stop does, while the first commit is on its way
    await turns()
    cluster.gate.set()
    await flushing
    await turns()
    assert cluster.committed_offset == 20
    await consumer.stop()


async def test_the_same_lease_goes_on_where_it_was_though_nothing_could_be_committed(
    consumer: GroupConsumer, cluster: Cluster
) -> None:
    await consumer.begin(PLACE, token=1)
    consumer._to_commit[PLACE] = 10
    consumer.end(PLACE, lost=False)
    await consumer.begin(PLACE, token=1)
    assert cluster.position == 10


@pytest.mark.parametrize("noticed", [True, False])
async def test_what_was_left_to_commit_under_an_earlier_lease_is_forgotten(
    noticed: bool, consumer: GroupConsumer, cluster: Cluster
) -> None:
    """Another worker has had the shard in between and has moved the position on."""
    await consumer.begin(PLACE, token=1)
    consumer._to_commit[PLACE] = 10
    consumer.end(PLACE, lost=noticed)
    cluster.committed_offset = 50
    await consumer.begin(PLACE, token=3)
    assert cluster.position == 50
    cluster.gate.set()
    await consumer.flush()
    assert cluster.committed_offset == 50
