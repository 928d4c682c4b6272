"""Pure decisions of the monitoring domain: what is counted, into which window, and when a window is over."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple
from uuid import UUID

import numpy as np

from prog_contracts.errors import Invalid
from prog_contracts.events import PLATFORM_PREFIX, EventPublished
from prog_contracts.messages import find
from prog_contracts.monitoring import CloseWindows, MetricsUpdated, RecordConsumption
from prog_contracts.topics import DOMAINS, TOPICS
from prog_kernels import histograms
from prog_kernels.histograms import Histograms

WINDOW_SECONDS: Final = 10
GRACE_SECONDS: Final = 3
"""Consumers report once a second; a window is over when this much has passed since its end."""

RETENTION_SECONDS: Final = 48 * 3600
"""Older windows are dropped; what is reported later still counts in the oldest one that is kept."""

PERCENTILES: Final = (0.50, 0.95, 0.99)
OUTCOMES: Final = ("succeeded", "refused", "retried", "dead", "duplicate")
OTHER_TYPE: Final = "(other)"
"""Stands for all types that this code does not know, so that strangers cannot make endless series."""

# Monitoring's own messages: were they counted, every report would cause the next one, for ever.
TELEMETRY: Final = frozenset({RecordConsumption.TYPE, CloseWindows.TYPE, MetricsUpdated.TYPE})

OBSERVERS: Final = frozenset({"monitoring", "events"})
"""Groups that read every event, whatever its type."""

Scope = Literal["event", "group", "handler"]

_MEASURED: Final = frozenset({"succeeded", "refused"})
_OUTCOME_NUMBERS: Final[Mapping[str, int]] = {name: number for number, name in enumerate(OUTCOMES)}


class Key(NamedTuple):
    """What a row counts. `group` is empty for scope `event`, `type` for scope `group`."""

    scope: Scope
    group: str
    type: str


class Row(NamedTuple):
    """One key in one window. Times are microseconds; a maximum of -1: nothing measured."""

    key: Key
    window_start: datetime
    messages: int
    outcomes: tuple[int, ...]
    handler_sum: int
    handler_max: int
    latency_sum: int
    latency_max: int


class Tally(NamedTuple):
    """Rows, and in step with them the histograms of handler time and of the time from sending to handled."""

    rows: list[Row]
    handler: Histograms
    latency: Histograms


@dataclass(slots=True)
class _Columns:
    """Observations in columns, each under the numbers of its window and key."""

    numbers: dict[Key, int] = field(default_factory=dict)
    windows: list[int] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    outcomes: list[int] = field(default_factory=list)
    handler: list[int] = field(default_factory=list)
    latency: list[int] = field(default_factory=list)

    def add(
        self, key: Key, windows: Sequence[int], outcome: str, handler: Sequence[int], latency: Sequence[int]
    ) -> None:
        count = len(windows)
        number = self.numbers.setdefault(key, len(self.numbers))
        self.windows += windows
        self.keys += [number] * count
        self.outcomes += [_OUTCOME_NUMBERS[outcome]] * count
        self.handler += handler
        self.latency += latency


def readers(subscriptions: Mapping[str, Collection[str]]) -> dict[str, tuple[str, ...]]:
    """The consumer groups that read each topic, given the types that each group has handlers for.

    The topic table says who may read; a group without a handler for any of a topic's events leaves that topic alone,
    and what it does not read is no lag. A group that has never run is taken to read all it may: nobody does its work.
    """
    found = {}
    for topic in TOPICS.values():
        found[topic.name] = tuple(
            group
            for group in topic.consumers
            if topic.kind == "commands"
            or group in OBSERVERS
            or group not in subscriptions
            or any(name.split(".")[1:2] == [topic.domain] for name in subscriptions[group])
        )
    return found


def window_number(epoch_seconds: float) -> int:
    return math.floor(epoch_seconds / WINDOW_SECONDS)


def window_start(number: int) -> datetime:
    return datetime.fromtimestamp(number * WINDOW_SECONDS, UTC)


def last_closed_window(now: datetime) -> int:
    """The number of the youngest window that is over."""
    return window_number(now.timestamp() - GRACE_SECONDS) - 1


def sent_at_seconds(message_id: UUID) -> float | None:
    """The machine's time at which a message was made: a UUIDv7 begins with it (RFC 9562, section 5.7)."""
    return (message_id.int >> 80) / 1000 if message_id.version == 7 else None


def tally_reports(reports: Iterable[RecordConsumption], now: datetime) -> Tally:
    """Counts what consumers report, by handler and by group.

    Raises Invalid for a report of an unknown group, or whose columns do not run in step.
    """
    columns = _Columns()
    for report in reports:
        if report.group not in DOMAINS:
            raise Invalid.field("group", "unknown_group", f"there is no consumer group {report.group[:64]!r}")
        for sample in report.samples:
            if not len(sample.at_seconds) == len(sample.handler_microseconds) == len(sample.end_to_end_microseconds):
                raise Invalid.field("samples", "out_of_step", "a sample's tuples must have one length")
            windows = [_kept_window(at, now) for at in sample.at_seconds]
            measured = sample.outcome in _MEASURED
            handler = sample.handler_microseconds if measured else [-1] * len(windows)
            latency = sample.end_to_end_microseconds if measured else [-1] * len(windows)
            known = _known(sample.type)
            columns.add(Key("handler", report.group, known), windows, sample.outcome, handler, latency)
            if known not in TELEMETRY:
                columns.add(Key("group", report.group, ""), windows, sample.outcome, handler, latency)
    return _tally(columns)


def is_published(type_name: str) -> bool:
    """Whether an event is of a tenant's own making, and so counts against what its plan allows."""
    return not type_name.startswith(PLATFORM_PREFIX) or type_name == EventPublished.TYPE


def tally_events(arrivals: Iterable[tuple[str, UUID]], now: datetime, *, replaying: bool = False) -> Tally:
    """Counts events, given as type and message id, in the window they were sent in; latency is their age on arrival.

    Replayed ones arrived long ago: nothing is measured then, and what is older than the retention is not counted.
    """
    columns = _Columns()
    here = now.timestamp()
    for type_name, message_id in arrivals:
        sent = sent_at_seconds(message_id)
        if replaying:
            if sent is not None and sent >= here - RETENTION_SECONDS:
                columns.add(Key("event", "", _known(type_name)), [_kept_window(sent, now)], "succeeded", [-1], [-1])
            continue
        age = -1 if sent is None else max(0, round((here - sent) * 1_000_000))
        window = _kept_window(here if sent is None else sent, now)
        columns.add(Key("event", "", _known(type_name)), [window], "succeeded", [-1], [age])
    return _tally(columns)


def _known(type_name: str) -> str:
    return type_name if find(type_name) is not None else OTHER_TYPE


def _kept_window(epoch_seconds: float, now: datetime) -> int:
    """The window of an instant; what lies beyond the retention or in the future counts at the edge."""
    here = now.timestamp()
    return window_number(min(max(epoch_seconds, here - RETENTION_SECONDS), here))


def _tally(columns: _Columns) -> Tally:
    keys = list(columns.numbers)
    windows, numbers = np.array(columns.windows, np.int64), np.array(columns.keys, np.int64)
    handler = histograms.aggregate(windows, numbers, np.array(columns.handler, np.int64))
    latency = histograms.aggregate(windows, numbers, np.array(columns.latency, np.int64))
    width = len(OUTCOMES)
    by_outcome = histograms.aggregate(windows, numbers * width + np.array(columns.outcomes, np.int64), windows * 0 - 1)
    counts = {
        (window, *divmod(number, width)): count
        for window, number, count in zip(
            by_outcome.windows.tolist(), by_outcome.keys.tolist(), by_outcome.counts.tolist(), strict=True
        )
    }
    rows = [
        Row(
            key=keys[number],
            window_start=window_start(window),
            messages=int(handler.counts[place]),
            outcomes=tuple(counts.get((window, number, outcome), 0) for outcome in range(width)),
            handler_sum=int(handler.sums[place]),
            handler_max=int(handler.maxima[place]),
            latency_sum=int(latency.sums[place]),
            latency_max=int(latency.maxima[place]),
        )
        for place, (window, number) in enumerate(zip(handler.windows.tolist(), handler.keys.tolist(), strict=True))
    ]
    return Tally(rows, handler.histograms, latency.histograms)


@dataclass(frozen=True, slots=True)
class Figures:
    """A window, or several merged, in numbers for people. Percentiles are None when nothing was measured."""

    messages: int
    per_second: float
    p50_milliseconds: float | None
    p95_milliseconds: float | None
    p99_milliseconds: float | None


def figures(messages: Sequence[int], stored: Sequence[bytes], maxima: Sequence[int]) -> list[Figures]:
    """The figures of windows, given their counts and their histograms as they are stored."""
    found = histograms.quantiles(histograms.decode(stored), maxima, PERCENTILES).tolist()
    return [
        Figures(count, count / WINDOW_SECONDS, *(None if math.isnan(value) else value / 1000 for value in row))
        for count, row in zip(messages, found, strict=True)
    ]


def metrics_updated(group: str, start: datetime, seen: Figures) -> MetricsUpdated:
    """What is told of a closed window."""
    return MetricsUpdated(
        group=group,
        window_start=start,
        messages=seen.messages,
        per_second=seen.per_second,
        p50_milliseconds=seen.p50_milliseconds or 0.0,
        p95_milliseconds=seen.p95_milliseconds or 0.0,
        p99_milliseconds=seen.p99_milliseconds or 0.0,
    )
