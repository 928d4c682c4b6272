"""A wrong clock for one process: everything in it that tells the time of day is `seconds` off.

No library fakes the clock of a process that is full of native code, so this shifts what the platform's code reads: the
`time` module's clock, `datetime.now` in every module of the platform, and the timestamps inside UUIDv7 ids. Clocks that
measure durations stay as they are, as on a machine whose time of day is wrong.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import uuid_utils


def apply(seconds: float) -> None:
    """From now on this process lives `seconds` in the future, or in the past. Call it after the imports."""
    if not seconds:
        return
    true_time, true_time_ns, true_uuid7 = time.time, time.time_ns, uuid_utils.uuid7

    class Skewed(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) + timedelta(seconds=seconds)

    def uuid7(*_: Any, **__: Any) -> Any:
        return true_uuid7(nanoseconds=true_time_ns() + int(seconds * 1e9))

    time.time = lambda: true_time() + seconds
    time.time_ns = lambda: true_time_ns() + int(seconds * 1e9)
    uuid_utils.uuid7 = uuid7
    for name, module in list(sys.modules.items()):
        if name.startswith("prog_") and getattr(module, "datetime", None) is datetime:
            setattr(module, "datetime", Skewed)  # noqa: B010 - a module has no such attribute for the type checker


def offset_seconds() -> float:
    """How far the clock of this process is off, as the platform's code sees it."""
    from prog_kit.clock import SystemClock

    return (SystemClock().now() - datetime.now(UTC)).total_seconds()
