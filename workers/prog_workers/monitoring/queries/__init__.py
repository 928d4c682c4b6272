"""The read side of monitoring: figures of the whole platform, so the edge calls these inside `Database.operator()`;
but for `events_published`, which is about one tenant.

Every function takes `now`, the machine's time; "the last window" is the youngest that is over at that instant.
"""

from __future__ import annotations

from prog_workers.monitoring.queries.consumers import (
    ConsumerOverview,
    EventTypeFigures,
    GroupSeries,
    HandlerFigures,
    Totals,
    consumers,
    event_types,
    handlers,
    series,
    totals,
)
from prog_workers.monitoring.queries.topics import Reader, ShardState, TopicOverview, shards, topics
from prog_workers.monitoring.queries.usage import events_published
from prog_workers.monitoring.rules import Figures

__all__ = [
    "ConsumerOverview",
    "EventTypeFigures",
    "Figures",
    "GroupSeries",
    "HandlerFigures",
    "Reader",
    "ShardState",
    "TopicOverview",
    "Totals",
    "consumers",
    "event_types",
    "events_published",
    "handlers",
    "series",
    "shards",
    "topics",
    "totals",
]
