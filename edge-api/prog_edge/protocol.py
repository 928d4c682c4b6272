"""uvicorn's HTTP/1.1 with bounds on the head of a request, which it has none of: nobody fills the memory with header
fields without end, or holds a connection with a head that never is complete, or an answer that it never takes. And with
an end that cuts off nobody who has asked.

Bodies are bounded where a problem document can say so: `prog_edge.middleware.body_limit`.
"""

from __future__ import annotations

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MAX_HEAD_BYTES: Final = 64 * 1024
MAX_FIELDS: Final = 200
HEAD_SECONDS: Final = 30.0
PARTING_SECONDS: Final = 0.5
WRITE_SECONDS: Final = 30.0
LEAST_TAKEN_BYTES: Final = 4096
"""A client that takes less than this of an answer in `WRITE_SECONDS`, while there is more of it, is given up."""


class HeadTooLarge(Exception):
    """Told to the parser, which ends the connection with 400."""


class HeadUnclear(Exception):
    """The same of a head that whoever stands before the edge may read in another way."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection. Between requests uvicorn's own limit for idle ones holds."""

    max_head_bytes = MAX_HEAD_BYTES
    head_seconds = HEAD_SECONDS
    parting_seconds = PARTING_SECONDS
    write_seconds = WRITE_SECONDS
    _in_head = False
    _parting = False
    _head_bytes = 0
    _field_bytes = 0
    _timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._timer = self.loop.call_later(self.head_seconds, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._stop_write_timer()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """More waits for the client than it takes."""
        super().pause_writing()
        self._look_again()

    def resume_writing(self) -> None:
        self._stop_write_timer()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Ends an idle connection; what its client has not taken of the last answer yet, it will not take."""
        super().timeout_keep_alive_handler()
        self._look_again()

    def data_received(self, data: bytes) -> None:
        began_before = self._in_head
        super().data_received(data)
        if not self._in_head or self.transport.is_closing():
            return
        # A field that is not complete yet is with the parser, which tells nothing of it.
        self._head_bytes += len(data) if began_before else 0
        if self._head_bytes > self.max_head_bytes:
            self.send_400_response("The head of the request is too large.")
        elif self._timer is None:
            self._timer = self.loop.call_later(self.head_seconds, self.transport.close)

    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes, self._field_bytes = True, 0, 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._field_bytes += len(name) + len(value)
        if self._field_bytes > self.max_head_bytes or len(self.headers) > MAX_FIELDS:
            raise HeadTooLarge

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stop_timer()
        if not self._is_clear():
            raise HeadUnclear
        super().on_headers_complete()
        if self._parting:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """Ends with the answer in flight, or with that to a request which comes within `parting_seconds`.

        uvicorn closes a connection without a request at once, also one that the kernel took a moment ago and whose
        request waits to be read: its client would see a closed connection where an answer was due.
        """
        self._parting = True
        cycle: RequestResponseCycle | None = self.cycle  # None, as long as nothing was asked
        if cycle is None or cycle.response_complete:
            self.loop.call_later(self.parting_seconds, self._part)
        else:
            super().shutdown()

    def _is_clear(self) -> bool:
        """HTTP/1.1 with one Host, or 1.0 without a coding of transfer (RFC 9112, 3.2 and 6.1); all else the parser sees
        to, such as two lengths."""
        version = self.parser.get_http_version()
        names = [name for name, _ in self.headers]
        hosts = names.count(b"host")
        if version == "1.1":
            return hosts == 1
        return version == "1.0" and hosts <= 1 and b"transfer-encoding" not in names

    def _part(self) -> None:
        if not self._in_head:
            super().shutdown()

    def _look_again(self) -> None:
        self._stop_write_timer()
        waiting = self.transport.get_write_buffer_size()
        self._write_timer = self.loop.call_later(self.write_seconds, self._give_up_unless_it_takes, waiting)

    def _give_up_unless_it_takes(self, waited: int) -> None:
        """Ends it at once: to close it would wait until the client has taken what it does not take."""
        if self.transport.get_write_buffer_size() > waited - LEAST_TAKEN_BYTES:
            self.transport.abort()
        else:
            self._look_again()

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
