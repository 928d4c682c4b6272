"""The event log as it grows, read once a process and handed to everybody who listens.

One task follows the log behind the relay's cursor, so that what is shown has been published; it runs only while
somebody listens. Every listener has a bounded queue: one that does not keep up is cut off, and resumes from the log by
the id of the last event it saw.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import asyncpg

from prog_contracts.permissions import concerns_billing
from prog_edge.drain import Drain
from prog_kit.database import Database
from prog_kit.logging import get
from prog_workers.events.queries import Cursor, EventRow, tail_end, tail_since

POLL_SECONDS: Final = 0.2
BATCH: Final = 500
QUEUE_LIMIT: Final = 1000
_OUTAGE_PAUSE_SECONDS: Final = 1.0
_log = get("prog_edge.tail")


@dataclass(frozen=True, slots=True)
class Interest:
    """What a listener wants. None and empty mean: everything (only staff may leave the tenant open).

    Without `billing`, nothing that tells how a tenant pays.
    """

    tenant_id: str | None = None
    types: frozenset[str] = frozenset()
    subject: str | None = None
    domain: str | None = None
    billing: bool = True

    def wants(self, event: EventRow) -> bool:
        return (
            (self.tenant_id is None or event.tenant_id == self.tenant_id)
            and (not self.types or event.type in self.types)
            and (self.subject is None or event.subject == self.subject)
            and (self.domain is None or event.type.split(".")[1] == self.domain)
            and (self.billing or not concerns_billing(event.type, event.body))
        )


@dataclass(eq=False, slots=True)
class Listener:
    """One reader of the tail. `start` is the place in the log from which on its queue is complete."""

    interest: Interest
    start: Cursor
    queue: asyncio.Queue[EventRow | None] = field(default_factory=lambda: asyncio.Queue(QUEUE_LIMIT))
    cut_off: bool = False

    def offer(self, event: EventRow) -> None:
        if self.cut_off or not self.interest.wants(event):
            return
        try:
            self.queue.put_nowait(event)
        except asyncio.QueueFull:
            self.end()

    def end(self) -> None:
        """Nothing more will come; what is in the queue is still read, without a gap."""
        self.cut_off = True
        if not self.queue.full():
            self.queue.put_nowait(None)

    async def events(self, heartbeat_seconds: float) -> AsyncIterator[EventRow | None]:
        """Events as they come, None after every `heartbeat_seconds` of silence; ends when the listener is cut off."""
        while not (self.cut_off and self.queue.empty()):
            try:
                event = await asyncio.wait_for(self.queue.get(), heartbeat_seconds)
            except TimeoutError:
                yield None
                continue
            if event is None:
                return
            yield event


class EventTail:
    """Follows the log for all listeners of this process."""

    def __init__(self, database: Database, drain: Drain) -> None:
        self._database = database
        self._drain = drain
        self._listeners: set[Listener] = set()
        self._cursor = Cursor(0, 0)
        self._follower: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self._closed = False

    async def listen(self, interest: Interest) -> Listener:
        """A listener from now on. Hand it to `listening`, which ends it."""
        async with self._lock:
            if self._follower is None or self._follower.done():
                async with self._database.operator() as connection:
                    self._cursor = await tail_end(connection)
                self._follower = asyncio.create_task(self._follow())
            listener = Listener(interest, self._cursor)
            self._listeners.add(listener)
        if self._drain.started:
            listener.end()
        return listener

    @contextmanager
    def listening(self, listener: Listener) -> Iterator[Listener]:
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def end_all(self) -> None:
        """For draining: every stream ends, and its client comes back elsewhere."""
        for listener in self._listeners:
            listener.end()

    async def close(self) -> None:
        self._closed = True
        self.end_all()
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.gather(self._follower, return_exceptions=True)

    async def _follow(self) -> None:
        """Ends when nobody listens any more. A cancellation alone may get lost in a driver that was just done."""
        while self._listeners and not self._closed:
            pause = POLL_SECONDS
            try:
                if await self._read_on():
                    pause = 0.0
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                _log.warning("the log cannot be read", error=str(error))
                pause = _OUTAGE_PAUSE_SECONDS
            await asyncio.sleep(pause)

    async def _read_on(self) -> bool:
        """Hands out what is new; tells whether there may be more at once."""
        async with self._database.operator() as connection:
            tail = await tail_since(connection, self._cursor.txid, self._cursor.position, BATCH)
        self._cursor = tail.cursor
        for event in tail.rows:
            for listener in self._listeners:
                listener.offer(event)
        return len(tail.rows) >= BATCH
