"""One consumer for all that a group reads in this process.

aiokafka fetches from all partitions in one request a node, so one consumer serves all shards of a group: those whose
lease is not ours are paused. `take` waits for one partition; a single watcher asks for all that wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from prog_broker.kafka.connection import OUTAGES, REQUEST_TIMEOUT_MILLISECONDS, Names, started
from prog_broker.redis.connection import reconnect_delay_seconds
from prog_kit import logging
from prog_kit.tasks import cancelled

FETCH_MAX_WAIT_MILLISECONDS: Final = 100
"""A partition that was just emptied waits for the fetch of the others to come back: so long at most."""

WATCH_SECONDS: Final = 5.0
log = logging.get("prog_broker.kafka.consuming")


class GroupConsumer:
    """Reads and commits for one group. `start` and `stop` belong to the transport, the rest to the shards' readers."""

    def __init__(self, names: Names, group: str, partitions: list[TopicPartition]) -> None:
        self._names = names
        self._group = group
        self._partitions = partitions
        self._consumer: Any = None
        self._connecting: asyncio.Task[Any] | None = None
        self._parked: dict[TopicPartition, asyncio.Future[list[Any]]] = {}
        self._early: dict[TopicPartition, list[Any]] = {}
        self._watcher: asyncio.Task[None] | None = None
        self._to_commit: dict[TopicPartition, int] = {}
        self._tokens: dict[TopicPartition, int] = {}
        self._flushing = asyncio.Lock()
        self._committer: asyncio.Task[None] | None = None
        self._committing = asyncio.Event()

    async def begin(self, partition: TopicPartition, token: int) -> None:
        """Goes to where the group has committed, or to the beginning, and lets the partition be fetched.

        What is still to be committed under the same lease (`token`) counts as committed.
        """
        consumer = await self._connected()
        if self._tokens.get(partition) != token:
            self._to_commit.pop(partition, None)
            self._tokens[partition] = token
        committed = self._to_commit.get(partition)
        if committed is None:
            committed = await consumer.committed(partition)
        if committed is None:
            beginnings: Mapping[TopicPartition, int] = await consumer.beginning_offsets([partition])
            committed = beginnings[partition]
        self._early.pop(partition, None)
        consumer.seek(partition, committed)
        consumer.resume(partition)

    def end(self, partition: TopicPartition, *, lost: bool) -> None:
        """Has the partition fetched no more. What a `lost` one has to commit is another's to say by now."""
        if lost:
            self._to_commit.pop(partition, None)
        if self._consumer is not None:
            self._consumer.pause(partition)

    async def take(self, partition: TopicPartition, count: int, wait_seconds: float) -> list[Any]:
        """Up to `count` records; waits for the first one."""
        consumer = await self._connected()
        early = self._early.pop(partition, None)
        if early:
            return early
        taken: Mapping[TopicPartition, list[Any]] = await consumer.getmany(partition, timeout_ms=0, max_records=count)
        if taken or wait_seconds <= 0:
            return taken.get(partition, [])
        parked: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._parked[partition] = parked
        self._watch()
        try:
            return await asyncio.wait_for(asyncio.shield(parked), wait_seconds)
        except TimeoutError:
            return parked.result() if parked.done() else []
        finally:
            if self._parked.get(partition) is parked:
                del self._parked[partition]

    def commit(self, partition: TopicPartition, offset: int) -> None:
        """Has everything below `offset` committed, with whatever else is to be committed then."""
        self._to_commit[partition] = offset
        self._committing.set()
        if self._committer is None or self._committer.done():
            self._committer = asyncio.create_task(self._commit())

    async def flush(self) -> None:
        """Commits what is noted, one flush after the other. Raises one of OUTAGES."""
        async with self._flushing:
            noted = dict(self._to_commit)
            if not noted or self._consumer is None:
                return
            await self._consumer.commit({place: OffsetAndMetadata(offset, "") for place, offset in noted.items()})
            for place, offset in noted.items():
                if self._to_commit.get(place) == offset:
                    del self._to_commit[place]

    async def stop(self) -> None:
        """Commits what is noted, for as long as the broker answers, and closes."""
        await cancelled(task for task in (self._watcher, self._committer) if task is not None)
        with suppress(TimeoutError, *OUTAGES):
            await asyncio.wait_for(self.flush(), 5)
        if self._connecting is not None:
            await asyncio.gather(self._connecting, return_exceptions=True)
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with suppress(*OUTAGES):
                await consumer.stop()

    async def _connected(self) -> Any:
        if self._consumer is not None:
            return self._consumer
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._connect())
        # A reader that is cancelled must not cut the connecting short: others wait for it.
        return await asyncio.shield(self._connecting)

    async def _connect(self) -> Any:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._names.bootstrap,
            group_id=self._names.group(self._group),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            request_timeout_ms=REQUEST_TIMEOUT_MILLISECONDS,
            fetch_max_wait_ms=FETCH_MAX_WAIT_MILLISECONDS,
        )
        consumer.assign(self._partitions)
        consumer.pause(*self._partitions)
        self._consumer = await started(consumer)
        return consumer

    def _watch(self) -> None:
        """Has the watcher ask for the partition that was just parked too."""
        if self._watcher is not None:
            self._watcher.cancel()  # it is waiting, and holds no records then
        self._watcher = asyncio.create_task(self._hand_out())

    async def _hand_out(self) -> None:
        """Gives records to whoever is parked, until nobody is."""
        while self._parked:
            try:
                taken: Mapping[TopicPartition, list[Any]] = await self._consumer.getmany(
                    *self._parked, timeout_ms=int(WATCH_SECONDS * 1000), max_records=500
                )
            except OUTAGES as error:
                waiting, self._parked = self._parked, {}
                for parked in waiting.values():
                    if not parked.done():
                        parked.set_exception(error)
                return
            for partition, records in taken.items():
                taker = self._parked.pop(partition, None)
                if taker is None or taker.done():
                    self._early[partition] = records  # who waited for them has given up a moment ago
                else:
                    taker.set_result(records)

    async def _commit(self) -> None:
        failures = 0
        while True:
            await self._committing.wait()
            self._committing.clear()
            try:
                await self.flush()
                failures = 0
            except OUTAGES as error:
                failures += 1
                if failures == 1:
                    log.warning("positions not kept", group=self._group, error=str(error))
                await asyncio.sleep(reconnect_delay_seconds(failures))
                self._committing.set()
