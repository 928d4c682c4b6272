"""Trace context (W3C Trace Context) and the Prometheus metrics that every process exports.

Metric names are a contract: INTERFACE lists them and dashboards, alerts and autoscaling rely on them.
"""

from __future__ import annotations

import random
import re
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_TRACEPARENT: Final = re.compile(r"^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$")

MESSAGES: Final = Counter("prog_messages_total", "Messages handled", ["topic", "outcome"])
HANDLER_SECONDS: Final = Histogram(
    "prog_handler_seconds",
    "Time in a call of a handler: one message, or the batch that a batch handler takes at once",
    ["type"],
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
)
BATCH_SIZE: Final = Histogram(
    "prog_batch_size", "Messages in a batch", buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
)
RETRIES: Final = Counter("prog_retries_total", "Messages put off for a later try", ["topic"])
DEAD_LETTERS: Final = Gauge("prog_dead_letters", "Dead letters that wait for a decision", ["topic"])
CONSUMER_LAG: Final = Gauge("prog_consumer_lag", "Messages not yet handled", ["topic", "group", "partition"])
CONSUMER_OLDEST_SECONDS: Final = Gauge(
    "prog_consumer_oldest_seconds", "Age of the oldest message not yet handled", ["topic", "group"]
)
BREAKER_OPEN: Final = Gauge(
    "prog_breaker_open", "1 while a subscription pauses because most of its messages fail", ["topic", "group"]
)
OUTBOX_PENDING: Final = Gauge(
    "prog_outbox_pending", "Messages that are committed and not yet published, 100,000 at most"
)
OUTBOX_OLDEST_SECONDS: Final = Gauge("prog_outbox_oldest_seconds", "Age of the oldest message not yet published")
LOGOUT_NOTICES: Final = Counter(
    "prog_logout_notices_total",
    "Attempts to tell an OAuth client of a sign-out: told, again, refused or given_up; after the last two it waits for"
    " an operator",
    ["outcome"],
)


def new_traceparent() -> str:
    """A traceparent that starts a trace, sampled."""
    return f"00-{_hex(128)}-{_hex(64)}-01"


def child_traceparent(parent: str | None) -> str:
    """A traceparent in the same trace with a span id of its own; a new trace where the parent is absent or broken."""
    match = _TRACEPARENT.match(parent or "")
    if match is None or set(match[1]) == {"0"}:
        return new_traceparent()
    return f"00-{match[1]}-{_hex(64)}-{match[3]}"


def trace_id(traceparent: str | None) -> str | None:
    """The 32 hex digits of the trace, or None."""
    match = _TRACEPARENT.match(traceparent or "")
    return match[1] if match else None


def _hex(bits: int) -> str:
    """Random, and no secret: these ids tell requests apart. Forks of one process draw different ones."""
    return f"{random.getrandbits(bits) or 1:0{bits // 4}x}"
