"""The event log as it grows, read once a process and handed to everybody who listens.

One task follows the log behind the relay's cursor, so that what is shown has been published; it runs only while
somebody listens, and looks when the relay says that it has published, or a few times a second where it does not hear.
Every listener has a bounded queue: one that does not keep up is cut off, and resumes from the log by the id of the last
event it saw.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import asyncpg

from prog_broker.redis.connection import OUTAGES, Client, reconnect_delay_seconds
from prog_broker.relay import PUBLISHED_CHANNEL
from prog_contracts.events import PLATFORM_PREFIX
from prog_contracts.permissions import concerns_billing
from prog_edge.drain import Drain
from prog_kit.database import Database
from prog_kit.logging import get
from prog_kit.tasks import cancelled
from prog_workers.events.queries import Cursor, EventRow, tail_end, tail_since

POLL_SECONDS: Final = 0.2
GATHER_SECONDS: Final = 0.01
"""After the relay's word, so that what it publishes in quick succession is read at once."""
BATCH: Final = 500
QUEUE_LIMIT: Final = 1000
_OUTAGE_PAUSE_SECONDS: Final = 1.0
_log = get("prog_edge.tail")


class FellBehind(Exception):
    """The listener did not keep up: events after the last one it got are left out. It resumes from the log."""


@dataclass(frozen=True, slots=True)
class Interest:
    """What a listener wants. None and empty mean: everything (only staff may leave the tenant open).

    `types` are whole names, `beginnings` what names begin with. Without `billing`: nothing of how a tenant pays.
    """

    tenant_id: str | None = None
    types: frozenset[str] = frozenset()
    subject: str | None = None
    domain: str | None = None
    billing: bool = True
    beginnings: tuple[str, ...] = ()

    def wants(self, event: EventRow) -> bool:
        return (
            (self.tenant_id is None or event.tenant_id == self.tenant_id)
            and self._names(event.type)
            and (self.subject is None or event.subject == self.subject)
            and (self.domain is None or event.type.startswith(f"{PLATFORM_PREFIX}{self.domain}."))
            and (self.billing or not concerns_billing(event.type, event.body))
        )

    def _names(self, type_name: str) -> bool:
        if not self.types and not self.beginnings:
            return True
        return type_name in self.types or type_name.startswith(self.beginnings)


@dataclass(eq=False, slots=True)
class Listener:
    """One reader of the tail. `start` is the place in the log from which on its queue is complete."""

    interest: Interest
    start: Cursor
    cut_off: bool = False
    fell_behind: bool = False
    _queue: deque[EventRow] = field(default_factory=deque)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def offer(self, event: EventRow) -> None:
        if self.cut_off or not self.interest.wants(event):
            return
        if len(self._queue) >= QUEUE_LIMIT:
            self.fell_behind = True
            self.end()
            return
        self._queue.append(event)
        self._news.set()

    def end(self) -> None:
        """Nothing more will come; what is in the queue is still read, without a gap."""
        self.cut_off = True
        self._news.set()

    async def batches(self, heartbeat_seconds: float) -> AsyncIterator[Sequence[EventRow]]:
        """Events as they come, all that are there at once; nothing, after every `heartbeat_seconds` of silence.

        Ends when the listener is cut off; raises FellBehind when that is because it did not keep up.
        """
        while True:
            if self._queue:
                batch = list(self._queue)
                self._queue.clear()
                yield batch
                continue
            if self.cut_off:
                break
            self._news.clear()
            try:
                async with asyncio.timeout(heartbeat_seconds):
                    await self._news.wait()
            except TimeoutError:
                yield ()
        if self.fell_behind:
            raise FellBehind


class EventTail:
    """Follows the log for all listeners of this process. Without `redis` it looks every POLL_SECONDS."""

    def __init__(self, database: Database, drain: Drain, redis: Client | None = None) -> None:
        self._database = database
        self._drain = drain
        self._redis = redis
        self._listeners: set[Listener] = set()
        self._by_tenant: dict[str | None, set[Listener]] = defaultdict(set)
        self._cursor = Cursor(0, 0)
        self._follower: asyncio.Task[None] | None = None
        self._following = False
        self._published = asyncio.Event()
        self._lock = asyncio.Lock()
        self._closed = False

    async def listen(self, interest: Interest) -> Listener:
        """A listener from now on. Hand it to `listening`, which ends it."""
        async with self._lock:
            if not self._following:
                async with self._database.operator() as connection:
                    self._cursor = await tail_end(connection)
                self._following = True
                self._follower = asyncio.create_task(self._follow())
            listener = Listener(interest, self._cursor)
            self._listeners.add(listener)
            self._by_tenant[interest.tenant_id].add(listener)
        if self._drain.started:
            listener.end()
        return listener

    @contextmanager
    def listening(self, listener: Listener) -> Iterator[Listener]:
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
            tenant_id = listener.interest.tenant_id
            self._by_tenant[tenant_id].discard(listener)
            if not self._by_tenant[tenant_id]:
                del self._by_tenant[tenant_id]

    def end_all(self) -> None:
        """For draining: every stream ends, and its client comes back elsewhere."""
        for listener in self._listeners:
            listener.end()

    async def close(self) -> None:
        self._closed = True
        self.end_all()
        if self._follower is not None:
            await cancelled([self._follower])

    async def _follow(self) -> None:
        """Ends when nobody listens any more. A cancellation alone may get lost in a driver that was just done."""
        hearing = None if self._redis is None else asyncio.create_task(self._hear(self._redis))
        try:
            while self._listeners and not self._closed:
                self._published.clear()
                try:
                    if await self._read_on():
                        await asyncio.sleep(0)  # there is more; listeners get their turn first
                        continue
                except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                    _log.warning("the log cannot be read", error=str(error))
                    await asyncio.sleep(_OUTAGE_PAUSE_SECONDS)
                    continue
                except Exception:  # noqa: BLE001 - whatever it is, nobody else would hear of it
                    # A defect: end the streams, so that their clients come again, rather than leave them in silence.
                    _log.exception("the log cannot be followed")
                    self.end_all()
                    await asyncio.sleep(_OUTAGE_PAUSE_SECONDS)
                    continue
                await self._news()
        finally:
            # At once: who comes while the rest is put away is not served by this one any more.
            if self._follower is asyncio.current_task():
                self._following = False
            if hearing is not None:
                await cancelled([hearing])

    async def _news(self) -> None:
        """Until the relay has published something, or POLL_SECONDS have gone by."""
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self._published.wait()
            await asyncio.sleep(GATHER_SECONDS)
        except TimeoutError:
            pass

    async def _hear(self, redis: Client) -> None:
        failures = 0
        while True:
            try:
                async with redis.pubsub() as pubsub:
                    await pubsub.subscribe(PUBLISHED_CHANNEL)
                    async for _ in pubsub.listen():
                        failures = 0
                        self._published.set()
            except OUTAGES:
                failures += 1
                await asyncio.sleep(reconnect_delay_seconds(failures))

    async def _read_on(self) -> bool:
        """Hands out what is new; tells whether there may be more at once."""
        async with self._database.operator() as connection:
            tail = await tail_since(connection, self._cursor.txid, self._cursor.position, BATCH)
        self._cursor = tail.cursor
        for event in tail.rows:
            for tenant_id in (event.tenant_id, None):
                for listener in self._by_tenant.get(tenant_id, ()):
                    listener.offer(event)
        return len(tail.rows) >= BATCH
