"""What consumer groups, their handlers and event types do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import asyncpg
import numpy as np

from prog_contracts.topics import DOMAINS, consumed_by
from prog_kernels import histograms
from prog_kit.database import Connection
from prog_workers.monitoring.rules import (
    PERCENTILES,
    WINDOW_SECONDS,
    Figures,
    figures,
    last_closed_window,
    window_number,
    window_start,
)

MAX_WINDOWS: Final = 8640
"""A series covers a day at most."""

STALE_SECONDS: Final = 30.0
"""An older sample of a backlog tells nothing about now."""

_NOTHING: Final = Figures(0, 0.0, None, None, None)


@dataclass(frozen=True, slots=True)
class ConsumerOverview:
    """One consumer group now. Figures are of the last window, percentiles from sending to handled.

    `lag` are messages not yet handled. `handled`, `refused`, `retried` and `dead` count over the last hour.
    `sampled_at` is None when nothing has sampled the backlog lately; then `lag` is 0 for want of knowledge.
    """

    group: str
    topics: tuple[str, ...]
    figures: Figures
    lag: int
    oldest_seconds: float | None
    sampled_at: datetime | None
    handled: int
    refused: int
    retried: int
    dead: int
    dead_letters: int


@dataclass(frozen=True, slots=True)
class GroupSeries:
    """Windows of equal times for every consumer group: `groups[name][i]` began at `times[i]` (epoch seconds)."""

    times: Sequence[float]
    groups: Mapping[str, Sequence[Figures]]


@dataclass(frozen=True, slots=True)
class Totals:
    """The platform now. A message that three groups handle counts three times; percentiles are over all of them."""

    figures: Figures
    lag: int
    oldest_seconds: float | None
    dead_letters: int
    outbox_pending: int
    outbox_oldest_seconds: float | None


@dataclass(frozen=True, slots=True)
class HandlerFigures:
    """One handler over some windows. `latency` is from sending to handled, `handler` the time in it."""

    group: str
    type: str
    outcomes: Mapping[str, int]
    latency: Figures
    handler: Figures


@dataclass(frozen=True, slots=True)
class EventTypeFigures:
    """One event type over some windows; percentiles are its age when it reached monitoring."""

    type: str
    figures: Figures


async def consumers(connection: Connection, now: datetime) -> list[ConsumerOverview]:
    """Every consumer group, also such as did nothing."""
    windows = await _group_windows(connection, last_closed_window(now), 1)
    sums = {
        row["consumer_group"]: row
        for row in await connection.fetch(
            "SELECT consumer_group, sum(messages)::int8 AS handled, sum(refused)::int8 AS refused,"
            " sum(retried)::int8 AS retried, sum(dead)::int8 AS dead"
            " FROM monitoring.windows WHERE scope = 'group' AND window_start >= $1 GROUP BY consumer_group",
            _first_start(now, 3600 // WINDOW_SECONDS),
        )
    }
    lags = {row["consumer_group"]: row for row in await _lags(connection, now)}
    letters = await _dead_letters(connection)
    overviews = []
    for group in DOMAINS:
        counted, lag = sums.get(group), lags.get(group)
        overviews.append(
            ConsumerOverview(
                group=group,
                topics=tuple(topic.name for topic in consumed_by(group)),
                figures=windows.get((group, last_closed_window(now)), _NOTHING),
                lag=lag["lag"] if lag else 0,
                oldest_seconds=age_seconds(lag["oldest_at"], now) if lag else None,
                sampled_at=lag["sampled_at"] if lag else None,
                handled=counted["handled"] if counted else 0,
                refused=counted["refused"] if counted else 0,
                retried=counted["retried"] if counted else 0,
                dead=counted["dead"] if counted else 0,
                dead_letters=letters.get(group, 0),
            )
        )
    return overviews


async def series(connection: Connection, now: datetime, *, windows: int = 90) -> GroupSeries:
    """The last `windows` windows of every consumer group, oldest first; an empty one has no percentiles."""
    count = max(1, min(windows, MAX_WINDOWS))
    last = last_closed_window(now)
    found = await _group_windows(connection, last, count)
    numbers = range(last - count + 1, last + 1)
    return GroupSeries(
        times=[float(number * WINDOW_SECONDS) for number in numbers],
        groups={group: [found.get((group, number), _NOTHING) for number in numbers] for group in DOMAINS},
    )


async def totals(connection: Connection, now: datetime) -> Totals:
    """The platform in the last window, and what waits now."""
    rows = await connection.fetch(
        "SELECT messages, latency_max, latency_histogram FROM monitoring.windows"
        " WHERE scope = 'group' AND window_start = $1",
        window_start(last_closed_window(now)),
    )
    lags = await _lags(connection, now)
    outboxes = await connection.fetch(
        "SELECT pending, oldest_at FROM monitoring.outbox_samples WHERE sampled_at > $1", fresh_since(now)
    )
    letters = await _dead_letters(connection)
    return Totals(
        figures=_merged(rows, "latency"),
        lag=sum(row["lag"] for row in lags),
        oldest_seconds=_oldest((row["oldest_at"] for row in lags), now),
        dead_letters=sum(letters.values()),
        outbox_pending=sum(row["pending"] for row in outboxes),
        outbox_oldest_seconds=_oldest((row["oldest_at"] for row in outboxes), now),
    )


async def handlers(
    connection: Connection, now: datetime, *, group: str | None = None, windows: int = 90
) -> list[HandlerFigures]:
    """Every handler (of one group, or of all) over the last `windows` windows, the busiest first."""
    rows = await connection.fetch(
        "SELECT consumer_group, type, messages, succeeded, refused, retried, dead, duplicate, handler_max,"
        " handler_histogram, latency_max, latency_histogram FROM monitoring.windows"
        " WHERE scope = 'handler' AND window_start >= $1 AND consumer_group = coalesce($2, consumer_group)",
        _first_start(now, windows),
        group,
    )
    by_handler: dict[tuple[str, str], list[asyncpg.Record]] = defaultdict(list)
    for row in rows:
        by_handler[row["consumer_group"], row["type"]].append(row)
    found = [
        HandlerFigures(
            group=name,
            type=type_name,
            outcomes={
                outcome: sum(row[outcome] for row in items)
                for outcome in ("succeeded", "refused", "retried", "dead", "duplicate")
            },
            latency=_merged(items, "latency", windows),
            handler=_merged(items, "handler", windows),
        )
        for (name, type_name), items in by_handler.items()
    ]
    return sorted(found, key=lambda item: (-item.latency.messages, item.group, item.type))


async def event_types(connection: Connection, now: datetime, *, windows: int = 90) -> list[EventTypeFigures]:
    """Every event type of the last `windows` windows, the most frequent first."""
    rows = await connection.fetch(
        "SELECT type, messages, latency_max, latency_histogram FROM monitoring.windows"
        " WHERE scope = 'event' AND window_start >= $1",
        _first_start(now, windows),
    )
    by_type: dict[str, list[asyncpg.Record]] = defaultdict(list)
    for row in rows:
        by_type[row["type"]].append(row)
    found = [EventTypeFigures(name, _merged(items, "latency", windows)) for name, items in by_type.items()]
    return sorted(found, key=lambda item: (-item.figures.messages, item.type))


async def _group_windows(connection: Connection, last: int, count: int) -> dict[tuple[str, int], Figures]:
    """The figures of each group's windows, by group and number of the window."""
    rows = await connection.fetch(
        "SELECT consumer_group, window_start, messages, latency_max, latency_histogram FROM monitoring.windows"
        " WHERE scope = 'group' AND window_start BETWEEN $1 AND $2",
        window_start(last - count + 1),
        window_start(last),
    )
    found = figures(
        [row["messages"] for row in rows],
        [row["latency_histogram"] for row in rows],
        [row["latency_max"] for row in rows],
    )
    return {
        (row["consumer_group"], window_number(row["window_start"].timestamp())): item
        for row, item in zip(rows, found, strict=True)
    }


async def _lags(connection: Connection, now: datetime) -> list[asyncpg.Record]:
    rows: list[asyncpg.Record] = await connection.fetch(
        "SELECT consumer_group, sum(lag)::int8 AS lag, min(oldest_at) AS oldest_at,"
        " max(sampled_at) AS sampled_at FROM monitoring.lag_samples WHERE sampled_at > $1 GROUP BY consumer_group",
        fresh_since(now),
    )
    return rows


async def _dead_letters(connection: Connection) -> dict[str, int]:
    """Open dead letters by consumer group."""
    rows = await connection.fetch(
        "SELECT consumer_group, count(*) AS open FROM bus.dead_letters WHERE state = 'open' GROUP BY consumer_group"
    )
    return {row["consumer_group"]: row["open"] for row in rows}


def _merged(rows: Sequence[asyncpg.Record], measure: str, windows: int = 1) -> Figures:
    """Several windows as one; `measure` is `latency` or `handler`."""
    if not rows:
        return _NOTHING
    parts = histograms.decode([row[f"{measure}_histogram"] for row in rows])
    cells, places = np.unique(parts.cells, return_inverse=True)
    counts = np.zeros(cells.size, np.int64)
    np.add.at(counts, places, parts.counts)
    whole = histograms.Histograms(np.array([0, cells.size], np.int64), cells, counts)
    maximum = max(row[f"{measure}_max"] for row in rows)
    found = histograms.quantiles(whole, [maximum], PERCENTILES)[0].tolist()
    messages = sum(row["messages"] for row in rows)
    percentiles = [value / 1000 if cells.size else None for value in found]
    return Figures(messages, messages / (windows * WINDOW_SECONDS), *percentiles)


def _first_start(now: datetime, windows: int) -> datetime:
    return window_start(last_closed_window(now) - max(1, min(windows, MAX_WINDOWS)) + 1)


def fresh_since(now: datetime) -> datetime:
    return now - timedelta(seconds=STALE_SECONDS)


def _oldest(instants: Iterable[datetime | None], now: datetime) -> float | None:
    ages = [age for at in instants if (age := age_seconds(at, now)) is not None]
    return max(ages, default=None)


def age_seconds(at: datetime | None, now: datetime) -> float | None:
    return None if at is None else max(0.0, (now - at).total_seconds())
