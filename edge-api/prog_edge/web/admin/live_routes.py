"""Server-Sent Events of the console: rows of the event log, and ticks that tell other pages to look again."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from fastapi import Depends, Request
from starlette.responses import Response, StreamingResponse

from prog_contracts.monitoring import MetricsUpdated
from prog_edge.sse import position_of
from prog_edge.web.admin.routes import asked
from prog_edge.web.ports import EventRow
from prog_edge.web.ui.rendering import render_part
from prog_edge.web.ui.routing import page_router
from prog_edge.web.ui.sessions import Operator, Services, operator

router = page_router("/admin", dependencies=[Depends(operator)])

_STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_RETRY = b"retry: 2000\n\n"
_BEAT = b": still here\n\n"


def sse(event: str, data: str, event_id: str | None = None) -> bytes:
    """One event of the stream (WHATWG HTML, section 9.2)."""
    head = f"id: {event_id}\n" if event_id else ""
    body = "".join(f"data: {line}\n" for line in data.splitlines() or [""])
    return f"{head}event: {event}\n{body}\n".encode()


def _resume_after(request: Request) -> int | None:
    by_header = position_of(request.headers.get("last-event-id"))
    return position_of(request.query_params.get("after")) if by_header is None else by_header


@router.get("/events/live")
async def live_rows(request: Request, web: Services, viewer: Operator) -> Response:
    """New events as table rows, filtered like the page, resumed after the last one that the browser has."""
    filters = asked(request, "events").filters
    feed = web.admin.follow_events(viewer, filters, _resume_after(request))

    async def rows() -> AsyncIterator[bytes]:
        yield _RETRY
        async for event in feed:
            if event is None:
                yield _BEAT
            elif filters or event.type != MetricsUpdated.TYPE:  # as the page leaves them out: they come all the time
                yield _row(event)

    return StreamingResponse(rows(), media_type="text/event-stream", headers=_STREAM_HEADERS)


def _row(event: EventRow) -> bytes:
    html = render_part("admin/event_row.html", event=event, fresh=True)
    return sse("row", str(html), str(event.position))


@router.get("/live")
async def live_ticks(request: Request, web: Services, viewer: Operator) -> Response:
    """For every event its domain and type, so that a page that shows such things fetches itself again."""
    feed = web.admin.follow_events(viewer, {}, _resume_after(request))

    async def ticks() -> AsyncIterator[bytes]:
        yield _RETRY
        async for event in feed:
            if event is None:
                yield _BEAT
            else:
                domain = event.type.removeprefix("prognetwork.").partition(".")[0]
                yield sse("tick", json.dumps({"domain": domain, "type": event.type}), str(event.position))

    return StreamingResponse(ticks(), media_type="text/event-stream", headers=_STREAM_HEADERS)
