"""Server-Sent Events (WHATWG HTML, section 9.2): events of the log as a stream that a client can resume.

The id of an event is its position in the log. A client that comes back with `Last-Event-ID` first gets from the log
what it missed, through its own scope, and then follows the tail. A stream ends when the caller's credential does, when
the caller is no longer let in (signed out, another role), and when this process drains; clients come back on their own.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from time import monotonic, time
from typing import Final

import orjson

from prog_edge.tail import EventTail, Interest
from prog_kit.clock import rfc3339
from prog_kit.database import Connection
from prog_workers.events.queries import Cursor, EventRow, cursor_of, tail_since

HEARTBEAT_SECONDS: Final = 10.0
"""With what is remembered of a person for five seconds, a stream outlives a sign-out by 15 seconds at most."""
RETRY_MILLISECONDS: Final = 2000
_CATCH_UP_BATCH: Final = 200

Scope = Callable[[], AbstractAsyncContextManager[Connection]]


async def follow(
    tail: EventTail,
    scope: Scope,
    interest: Interest,
    *,
    after: int | None,
    heartbeat_seconds: float = HEARTBEAT_SECONDS,
) -> AsyncGenerator[EventRow | None, None]:
    """Events from after position `after` on (None: from now), then as they come; None in silence, as a heartbeat."""
    listener = await tail.listen(interest)
    with tail.listening(listener):
        seen = listener.start
        if after is not None:
            async for event in _missed(scope, interest, after, listener.start):
                seen = max(seen, Cursor(event.txid, event.position))
                yield event
        async for fresh in listener.events(heartbeat_seconds):
            if fresh is None or Cursor(fresh.txid, fresh.position) > seen:
                yield fresh


async def guarded(
    events: AsyncGenerator[EventRow | None, None],
    *,
    until: float,
    still_allowed: Callable[[], Awaitable[bool]],
    heartbeat_seconds: float = HEARTBEAT_SECONDS,
) -> AsyncGenerator[EventRow | None, None]:
    """The events as long as they may be seen: up to `until` (epoch seconds), and while `still_allowed` says yes, which
    is asked on every heartbeat, and as often when events leave no time for one."""
    checked_at = monotonic()
    async with aclosing(events):
        async for event in events:
            if time() >= until:
                return
            if event is None or monotonic() - checked_at >= heartbeat_seconds:
                if not await still_allowed():
                    return
                checked_at = monotonic()
            yield event


async def stream(events: AsyncGenerator[EventRow | None, None]) -> AsyncIterator[bytes]:
    """The bytes of the stream."""
    yield f"retry: {RETRY_MILLISECONDS}\n: connected\n\n".encode()
    async with aclosing(events):
        async for event in events:
            yield b": heartbeat\n\n" if event is None else encode(event)


def encode(event: EventRow) -> bytes:
    """One event in the stream's format; `data` is the event in CloudEvents structured mode."""
    data = orjson.dumps(cloud_event(event))
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (event.position, event.type.encode(), data)


def cloud_event(event: EventRow) -> dict[str, object]:
    """An event as the API shows it: CloudEvents 1.0 attributes with ours, and the body as `data`."""
    attributes: dict[str, object] = {
        "specversion": "1.0",
        "id": str(event.message_id),
        "source": f"/prognetwork/{event.type.split('.')[1]}",
        "type": event.type,
        "subject": event.subject,
        "time": rfc3339(event.occurred_at),
        "datacontenttype": "application/json",
        "tenantid": event.tenant_id,
        "correlationid": str(event.correlation_id),
        "causationid": str(event.causation_id) if event.causation_id else None,
        "actor": event.actor,
        "traceparent": event.traceparent,
        "schemaversion": event.schema_version,
        "position": event.position,
        "recordedat": rfc3339(event.recorded_at),
        "data": event.body,
    }
    return attributes


async def _missed(scope: Scope, interest: Interest, after: int, end: Cursor) -> AsyncIterator[EventRow]:
    """What was published after position `after` up to `end`. An unknown position has no successors to tell."""
    async with scope() as connection:
        place = await cursor_of(connection, after)
    while place is not None and place < end:
        async with scope() as connection:
            found = await tail_since(
                connection,
                place.txid,
                place.position,
                _CATCH_UP_BATCH,
                types=sorted(interest.types),
                subject=interest.subject,
                tenant_id=interest.tenant_id,
            )
        for event in found.rows:
            if interest.wants(event):
                yield event
        if found.cursor == place:
            return
        place = found.cursor
