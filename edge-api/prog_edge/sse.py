"""Server-Sent Events (WHATWG HTML, section 9.2): events of the log as a stream that a client can resume.

The id of an event is its position in the log. A client that comes back with `Last-Event-ID` first gets from the log
what it missed, through its own scope, and then follows the tail. A stream ends when the caller's credential does, when
the caller is no longer let in (signed out, another role), and when this process drains; clients come back on their own.

Two events of the stream are no events of the log and have no id, so that a client resumes where it was:
`stream.dropped` is the last one of a client that did not keep up; `stream.gap` comes first where the log does not know
the id that a client resumes after, as when that month has been archived.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from time import monotonic, time
from typing import Final, TypeVar
from uuid import UUID

import orjson
from starlette.responses import StreamingResponse
from starlette.types import Send

from prog_contracts.events import PLATFORM_PREFIX, PLATFORM_SOURCE
from prog_edge.tail import EventTail, FellBehind, Interest
from prog_kit.clock import rfc3339
from prog_kit.database import Connection
from prog_kit.logging import get
from prog_workers.events.queries import Cursor, EventRow, cursor_of, tail_since

HEARTBEAT_SECONDS: Final = 10.0
"""With what is remembered of a person for five seconds, a stream outlives a sign-out by 15 seconds at most."""
RETRY_MILLISECONDS: Final = 2000
WRITE_SECONDS: Final = 30.0
"""A client that takes nothing for this long is gone, whatever its connection says."""
CHUNK_BYTES: Final = 64 * 1024
_CATCH_UP_BATCH: Final = 200
_POSITION_DIGITS: Final = 18
_FRAMES_BYTES: Final = 4 * 1024 * 1024

Scope = Callable[[], AbstractAsyncContextManager[Connection]]
Item = TypeVar("Item", "EventRow | None", "Sequence[EventRow] | Gap")
_log = get("prog_edge.sse")


def position_of(last_event_id: str | None) -> int | None:
    """The position that a client resumes after; an id that is none of ours starts from now."""
    if last_event_id is None or not (last_event_id.isascii() and last_event_id.isdecimal()):
        return None
    return int(last_event_id) if len(last_event_id) <= _POSITION_DIGITS else None


class Gap:
    """Stands in a stream for what the log no longer has."""


async def follow_batches(
    tail: EventTail,
    scope: Scope,
    interest: Interest,
    *,
    after: int | None,
    heartbeat_seconds: float = HEARTBEAT_SECONDS,
) -> AsyncGenerator[Sequence[EventRow] | Gap, None]:
    """Events from after position `after` on (None: from now), then as they come, all that are there at once.

    An empty batch is a heartbeat, or says that from here on nothing is missed. `scope` must read the primary: a replica
    may not have yet what the tail has told. Raises FellBehind.
    """
    seen: Cursor | None = None
    if after is not None:
        async with scope() as connection:
            seen = await cursor_of(connection, after)
        if seen is None:
            yield Gap()
        else:
            # Most of it before anybody queues for this client, so that a long absence does not fill its queue.
            async for batch, place in _missed(scope, interest, seen):
                seen = place
                if batch:
                    yield batch
    listener = await tail.listen(interest)
    with tail.listening(listener):
        yield ()
        if seen is not None:
            async for batch, place in _missed(scope, interest, seen, until=listener.start):
                seen = place
                if batch:
                    yield batch
        start = listener.start if seen is None else max(seen, listener.start)
        async for batch in listener.batches(heartbeat_seconds):
            fresh = [event for event in batch if Cursor(event.txid, event.position) > start]
            if fresh or not batch:
                yield fresh


async def follow(
    tail: EventTail,
    scope: Scope,
    interest: Interest,
    *,
    after: int | None,
    heartbeat_seconds: float = HEARTBEAT_SECONDS,
) -> AsyncGenerator[EventRow | None, None]:
    """The same one by one, None as a heartbeat; it ends where the client fell behind."""
    batches = follow_batches(tail, scope, interest, after=after, heartbeat_seconds=heartbeat_seconds)
    try:
        async with aclosing(batches):
            async for batch in batches:
                if isinstance(batch, Gap):
                    continue
                if not batch:
                    yield None
                for event in batch:
                    yield event
    except FellBehind:
        return


async def guarded(
    items: AsyncGenerator[Item, None],
    *,
    until: float,
    still_allowed: Callable[[], Awaitable[bool]],
    heartbeat_seconds: float = HEARTBEAT_SECONDS,
) -> AsyncGenerator[Item, None]:
    """The items as long as they may be seen: up to `until` (epoch seconds), and while `still_allowed` says yes, which
    is asked on every heartbeat, and as often when events leave no time for one."""
    checked_at = monotonic()
    async with aclosing(items):
        async for item in items:
            if time() >= until:
                return
            if not item or monotonic() - checked_at >= heartbeat_seconds:
                if not await still_allowed():
                    return
                checked_at = monotonic()
            yield item


async def stream(batches: AsyncGenerator[Sequence[EventRow] | Gap, None]) -> AsyncIterator[bytes]:
    """The bytes of the stream. It begins when the first batch is there: from then on nothing is missed."""
    yield f"retry: {RETRY_MILLISECONDS}\n".encode()
    beginning = b": connected\n\n"
    try:
        async with aclosing(batches):
            async for batch in batches:
                if beginning:
                    yield beginning
                if isinstance(batch, Gap):
                    yield _told("gap", "The log no longer has the event of this id; what came after it is left out.")
                elif not batch and not beginning:
                    yield b": heartbeat\n\n"
                beginning = b""
                if not isinstance(batch, Gap):
                    for chunk in _chunks(batch):
                        yield chunk
    except FellBehind:
        yield _told("dropped", "You did not keep up. Come back with the id of the last event that you have seen.")


def _chunks(batch: Sequence[EventRow]) -> Iterator[bytes]:
    """The frames of a batch, several together as long as they are short: what is written at once waits in memory."""
    waiting: list[bytes] = []
    size = 0
    for event in batch:
        frame = _frames.of(event)
        if waiting and size + len(frame) > CHUNK_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
        waiting.append(frame)
        size += len(frame)
    if waiting:
        yield b"".join(waiting)


def encode(event: EventRow) -> bytes:
    """One event in the stream's format; `data` is the event in CloudEvents structured mode."""
    data = orjson.dumps(cloud_event(event))
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (event.position, event.type.encode(), data)


def cloud_event(event: EventRow) -> dict[str, object]:
    """An event as the API shows it: CloudEvents 1.0 attributes with ours, and the body as `data`.

    What a tenant has published keeps the id and source that it came with; `messageid` is the platform's id of it.
    """
    own = event.source is not None
    attributes: dict[str, object] = {
        "specversion": "1.0",
        "id": event.source_id if own else str(event.message_id),
        "source": event.source if own else f"{PLATFORM_SOURCE}/{_domain(event.type)}",
        "type": event.type,
        "subject": event.subject,
        "time": rfc3339(event.occurred_at),
        "datacontenttype": "application/json",
        "tenantid": event.tenant_id,
        "messageid": str(event.message_id),
        "correlationid": str(event.correlation_id),
        "causationid": str(event.causation_id) if event.causation_id else None,
        "actor": event.actor,
        "traceparent": event.traceparent,
        "schemaversion": event.schema_version or None,
        "stream": event.stream,
        "streamversion": event.stream_version,
        "position": event.position,
        "recordedat": rfc3339(event.recorded_at),
        "data": event.body,
    }
    return {**(event.extensions or {}), **attributes}


class EventStreamResponse(StreamingResponse):
    """A stream whose client is given up when it takes nothing for WRITE_SECONDS."""

    media_type = "text/event-stream"

    def __init__(self, content: AsyncIterator[bytes], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(content, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no", **(headers or {})})

    async def stream_response(self, send: Send) -> None:
        async def send_in_time(message: object) -> None:
            async with asyncio.timeout(WRITE_SECONDS):
                await send(message)  # type: ignore[arg-type]  # a message of ASGI

        try:
            await super().stream_response(send_in_time)
        except TimeoutError:
            _log.info("a client of a stream takes nothing any more")


class _Frames:
    """Frames of the newest events: each is made once, and not once for every client.

    By message id: a restored database gives positions to other events, perhaps of other tenants.
    """

    def __init__(self, limit_bytes: int = _FRAMES_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._size = 0
        self._frames: OrderedDict[UUID, bytes] = OrderedDict()

    def of(self, event: EventRow) -> bytes:
        frame = self._frames.get(event.message_id)
        if frame is None:
            frame = self._frames[event.message_id] = encode(event)
            self._size += len(frame)
            while self._size > self._limit_bytes:
                self._size -= len(self._frames.popitem(last=False)[1])
        return frame


_frames: Final = _Frames()


async def _missed(
    scope: Scope, interest: Interest, place: Cursor, *, until: Cursor | None = None
) -> AsyncIterator[tuple[Sequence[EventRow], Cursor]]:
    """Pages of what was published after `place`, each with the place where it ends: up to `until`, or the present."""
    while until is None or place < until:
        async with scope() as connection:
            found = await tail_since(
                connection,
                place.txid,
                place.position,
                _CATCH_UP_BATCH,
                types=sorted(interest.types),
                beginnings=interest.beginnings,
                subject=interest.subject,
                tenant_id=interest.tenant_id,
            )
        yield [event for event in found.rows if interest.wants(event)], found.cursor
        if found.cursor == place or (until is None and len(found.rows) < _CATCH_UP_BATCH):
            return
        place = found.cursor


def _domain(type_name: str) -> str:
    return type_name.removeprefix(PLATFORM_PREFIX).partition(".")[0]


def _told(name: str, message: str) -> bytes:
    data = orjson.dumps({"code": name, "message": message})
    return b"event: stream.%b\ndata: %b\n\n" % (name.encode(), data)
