"""What the tasks do: validate, count, and tell when all have come. The time is from the first task to the last."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

from prog_infra.bench.bus import message

URL = os.environ["PROG_BENCH_REDIS_URL"]
AWAITED = int(os.environ["PROG_BENCH_MESSAGES"])
RESULT = Path(os.environ["PROG_BENCH_RESULT"])


class Counter:
    """Counts from several threads. The first task starts the clock and is not counted into the rate."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._messages = 0
        self._checksum = 0
        self._began = 0.0

    def add(self, body: message.Body) -> None:
        with self._lock:
            if self._messages == 0:
                self._began = time.perf_counter()
            self._messages += 1
            self._checksum += body.number
            if self._messages == AWAITED:
                self._tell(time.perf_counter() - self._began)

    def _tell(self, seconds: float) -> None:
        told = {"messages": self._messages, "checksum": self._checksum, "seconds": seconds}
        partial = RESULT.with_suffix(".partial")
        partial.write_text(json.dumps(told), encoding="utf-8")
        partial.replace(RESULT)


counter = Counter()


def numbers() -> range:
    """The numbers of the messages that are put into the queue."""
    return range(message.FIRST, message.FIRST + AWAITED)
