"""The age of what waits on Kafka: all partitions are asked together, and those that do not answer hold up nobody."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiokafka import TopicPartition

from prog_broker.kafka.lag import LOOK_SECONDS, _published_at

PLACES = [TopicPartition("prog.users.events", number) for number in range(30)]


@dataclass
class Record:
    timestamp: int


class Cluster:
    """Partitions as aiokafka reads them. A record is published at as many seconds of 1970 as its offset."""

    def __init__(self, silent: Iterable[TopicPartition] = ()) -> None:
        self._silent = set(silent)
        self._positions: dict[TopicPartition, int] = {}
        self.waited_milliseconds = 0

    def assign(self, places: list[TopicPartition]) -> None:
        self._positions = dict.fromkeys(places, 0)

    def seek(self, place: TopicPartition, offset: int) -> None:
        self._positions[place] = offset

    async def getmany(self, *places: TopicPartition, timeout_ms: int, max_records: int) -> dict[TopicPartition, Any]:
        for place in places:
            if place not in self._silent:
                return {place: [Record(self._positions[place] * 1000)]}
        self.waited_milliseconds += timeout_ms
        return {}


async def test_partitions_that_do_not_answer_are_waited_for_together() -> None:
    cluster: Any = Cluster(silent=PLACES[::2])
    found = await _published_at(cluster, [(place, 7) for place in PLACES])
    assert found == {(place, 7): datetime.fromtimestamp(7, UTC) for place in PLACES[1::2]}
    assert cluster.waited_milliseconds <= LOOK_SECONDS * 1000


async def test_groups_at_different_places_of_a_partition_are_told_each_its_own() -> None:
    cluster: Any = Cluster()
    waiting = [(PLACES[0], 3), (PLACES[0], 9), (PLACES[1], 3)]
    found = await _published_at(cluster, waiting)
    assert found == {(place, offset): datetime.fromtimestamp(offset, UTC) for place, offset in waiting}
