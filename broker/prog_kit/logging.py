"""Structured logs: JSON lines that carry tenant, correlation and trace ids and no secret."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

import orjson
import structlog

FLUSH_SECONDS: Final = 0.1
MOST_WAITING: Final = 50
"""Lines that are written together. A pipe holds 64 KiB, three times as much: whoever reads it may be busy for a moment
without holding up who writes."""
_SECRET_WORDS: Final = ("password", "token", "secret", "authorization", "cookie", "sealed", "api_key")


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replaces the value of any field whose name tells that it is a secret."""
    for name in event:
        if any(word in name.lower() for word in _SECRET_WORDS):
            event[name] = "[redacted]"
    return event


_surroundings: list[Callable[[], Mapping[str, Any]]] = []


def surround(fields: Callable[[], Mapping[str, Any]]) -> None:
    """Has every line carry what `fields` tells when it is written, such as the ids of the request at work."""
    _surroundings.append(fields)


def add_surroundings(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for fields in _surroundings:
        for name, value in fields().items():
            event.setdefault(name, value)
    return event


def configure(level: str = "info", process: str = "process") -> None:
    """Sends structlog and the standard library's loggers to standard error as JSON lines. Call once a process."""
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        add_surroundings,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        redact,
    ]
    structlog.configure(
        processors=[
            *shared,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)
    Lines.process = process
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING) if number > logging.DEBUG else number)


def get(name: str) -> Any:
    """A bound logger, such as `log = get("prog_broker.relay")`."""
    return structlog.get_logger(room=name)


class Lines:
    """Lines of one kind that come by the thousand, such as one a request. They look like all others, and cost a tenth:
    they pass no processor, and are written together, at most `FLUSH_SECONDS` late. Who ends the process calls `flush`.

    Their fields hold no secret, for nobody looks for any. Needs a running loop.
    """

    process: ClassVar[str | None] = None

    def __init__(self, room: str, level: str = "info") -> None:
        self._fixed = {"room": room, "level": level}
        self._waiting: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def write(self, event: str, fields: Mapping[str, Any]) -> None:
        told = {**fields, "event": event, **self._fixed, "process": self.process, "timestamp": datetime.now(UTC)}
        self._waiting.append(orjson.dumps(told, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE))
        loop = asyncio.get_running_loop()
        if len(self._waiting) >= MOST_WAITING:
            self.flush()
        elif self._timer is None or self._loop is not loop:
            self._loop, self._timer = loop, loop.call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Writes what waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, []
        if waiting:
            sys.stderr.write(b"".join(waiting).decode())
            sys.stderr.flush()
