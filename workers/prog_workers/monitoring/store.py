"""All SQL with which the monitoring domain writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from prog_broker.ports import ShardLag
from prog_broker.transaction import Transaction
from prog_kernels import histograms
from prog_kit.database import Connection
from prog_workers.monitoring.rules import Figures, Tally, figures, last_closed_window, window_start

# Rows come sorted, so that two batches that count into the same windows wait for each other and never deadlock. What is
# returned are the histograms as they were before; the counts are added already, and the rows are ours until the commit.
_ADD: Final = """
INSERT INTO monitoring.windows AS w (scope, window_start, consumer_group, type, messages, succeeded, refused, retried,
                                     dead, duplicate, handler_sum, handler_max, handler_histogram, latency_sum,
                                     latency_max, latency_histogram)
SELECT u.scope, u.window_start, u.consumer_group, u.type, u.messages, u.succeeded, u.refused, u.retried, u.dead,
       u.duplicate, u.handler_sum, u.handler_max, '', u.latency_sum, u.latency_max, ''
FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[],
            $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[])
     AS u (scope, window_start, consumer_group, type, messages, succeeded, refused, retried, dead, duplicate,
           handler_sum, handler_max, latency_sum, latency_max)
ORDER BY u.scope, u.window_start, u.consumer_group, u.type
ON CONFLICT (scope, window_start, consumer_group, type) DO UPDATE
SET messages = w.messages + EXCLUDED.messages, succeeded = w.succeeded + EXCLUDED.succeeded,
    refused = w.refused + EXCLUDED.refused, retried = w.retried + EXCLUDED.retried, dead = w.dead + EXCLUDED.dead,
    duplicate = w.duplicate + EXCLUDED.duplicate, handler_sum = w.handler_sum + EXCLUDED.handler_sum,
    handler_max = greatest(w.handler_max, EXCLUDED.handler_max), latency_sum = w.latency_sum + EXCLUDED.latency_sum,
    latency_max = greatest(w.latency_max, EXCLUDED.latency_max)
RETURNING w.scope, w.window_start, w.consumer_group, w.type, w.handler_histogram, w.latency_histogram
"""

_SET_HISTOGRAMS: Final = """
UPDATE monitoring.windows AS w
SET handler_histogram = u.handler_histogram, latency_histogram = u.latency_histogram
FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::bytea[], $6::bytea[])
     AS u (scope, window_start, consumer_group, type, handler_histogram, latency_histogram)
WHERE (w.scope, w.window_start, w.consumer_group, w.type) = (u.scope, u.window_start, u.consumer_group, u.type)
"""

# Whoever locks a window reports it; another worker that comes by at the same moment passes over it.
_CLOSE: Final = """
WITH due AS (
    SELECT scope, window_start, consumer_group, type FROM monitoring.windows
    WHERE scope = 'group' AND reported_at IS NULL AND window_start <= $1
    ORDER BY window_start, consumer_group LIMIT 100 FOR UPDATE SKIP LOCKED
)
UPDATE monitoring.windows AS w SET reported_at = $2
FROM due
WHERE (w.scope, w.window_start, w.consumer_group, w.type)
    = (due.scope, due.window_start, due.consumer_group, due.type)
RETURNING w.consumer_group, w.window_start, w.messages, w.latency_max, w.latency_histogram
"""


async def add(tx: Transaction, tally: Tally) -> None:
    """Adds a tally to the windows that are stored. Costs two statements, whatever its size."""
    if not tally.rows:
        return
    keys = [(row.key.scope, row.window_start, row.key.group, row.key.type) for row in tally.rows]
    counts = [
        (row.messages, *row.outcomes, row.handler_sum, row.handler_max, row.latency_sum, row.latency_max)
        for row in tally.rows
    ]
    key_columns = [list(column) for column in zip(*keys, strict=True)]
    found = await tx.fetch(_ADD, *key_columns, *(list(column) for column in zip(*counts, strict=True)))
    before = {tuple(row)[:4]: (row["handler_histogram"], row["latency_histogram"]) for row in found}
    handler = histograms.merge(histograms.decode([before[key][0] for key in keys]), tally.handler)
    latency = histograms.merge(histograms.decode([before[key][1] for key in keys]), tally.latency)
    await tx.execute(_SET_HISTOGRAMS, *key_columns, histograms.encode(handler), histograms.encode(latency))


async def close(tx: Transaction, now: datetime) -> list[tuple[str, datetime, Figures]]:
    """Marks the windows of groups that are over as reported, and returns those that were not: each comes once, ever."""
    rows = await tx.fetch(_CLOSE, window_start(last_closed_window(now)), now)
    seen = figures(
        [row["messages"] for row in rows],
        [row["latency_histogram"] for row in rows],
        [row["latency_max"] for row in rows],
    )
    closed = [(row["consumer_group"], row["window_start"], item) for row, item in zip(rows, seen, strict=True)]
    return sorted(closed, key=lambda window: (window[1], window[0]))


async def is_any_due(connection: Connection, now: datetime) -> bool:
    """Whether a window is over that nobody has told of."""
    due = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM monitoring.windows"
        " WHERE scope = 'group' AND reported_at IS NULL AND window_start <= $1)",
        window_start(last_closed_window(now)),
    )
    return bool(due)


async def forget(connection: Connection, before: datetime) -> None:
    """Drops windows that began before `before`."""
    await connection.execute(
        "DELETE FROM monitoring.windows WHERE scope IN ('event', 'group', 'handler') AND window_start < $1", before
    )


async def forget_events(connection: Connection, types: Sequence[str]) -> None:
    """Drops the windows that count events, of these types or of all; a replay counts again."""
    await connection.execute(
        "DELETE FROM monitoring.windows WHERE scope = 'event' AND (cardinality($1::text[]) = 0 OR type = ANY ($1))",
        list(types),
    )


async def keep_lag(connection: Connection, lags: Sequence[ShardLag], now: datetime) -> None:
    """Replaces the last sample of each shard."""
    await connection.execute(
        """
        INSERT INTO monitoring.lag_samples (topic, consumer_group, partition, lag, oldest_at, sampled_at)
        SELECT u.*, $6
        FROM unnest($1::text[], $2::text[], $3::smallint[], $4::bigint[], $5::timestamptz[]) AS u
        ON CONFLICT (topic, consumer_group, partition) DO UPDATE
        SET lag = EXCLUDED.lag, oldest_at = EXCLUDED.oldest_at, sampled_at = EXCLUDED.sampled_at
        """,
        [lag.topic for lag in lags],
        [lag.group for lag in lags],
        [lag.partition for lag in lags],
        [lag.lag for lag in lags],
        [lag.oldest_at for lag in lags],
        now,
    )


@dataclass(frozen=True, slots=True)
class Backlog:
    """What the relay has yet to publish from one of its two sources; a count of MAX_COUNTED means that or more."""

    outbox: str
    pending: int
    oldest_at: datetime | None


MAX_COUNTED: Final = 100_000

_BACKLOG: Final = """
SELECT 'event_log' AS outbox, count(*) AS pending, min(recorded_at) AS oldest_at
FROM (
    SELECT e.recorded_at
    FROM bus.event_log AS e, (SELECT txid, position FROM bus.relay_cursors ORDER BY txid, position LIMIT 1) AS c
    WHERE (e.txid, e.position) > (c.txid, c.position) ORDER BY e.txid, e.position LIMIT $1
) AS waiting
UNION ALL
SELECT 'command_outbox', count(*), min(recorded_at)
FROM (
    SELECT recorded_at FROM bus.command_outbox WHERE published_at IS NULL ORDER BY position LIMIT $1
) AS waiting
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """What the carrier's tables tell: the relay's backlog, open dead letters by topic, and who handles which types."""

    backlog: list[Backlog]
    dead_letters: dict[str, int]
    subscriptions: dict[str, list[str]]


async def measure(connection: Connection) -> Measured:
    """Counts rows of the carrier's tables. Takes on the role prog_meter for it."""
    async with connection.transaction(readonly=True):
        await connection.execute("SET LOCAL ROLE prog_meter")
        backlog = [Backlog(**dict(row)) for row in await connection.fetch(_BACKLOG, MAX_COUNTED)]
        letters = await connection.fetch(
            "SELECT topic, count(*) AS open FROM bus.dead_letters WHERE state = 'open' GROUP BY topic"
        )
        groups = await connection.fetch(
            "SELECT consumer_group, array_agg(type) AS types FROM bus.subscriptions GROUP BY consumer_group"
        )
    return Measured(
        backlog,
        dead_letters={row["topic"]: row["open"] for row in letters},
        subscriptions={row["consumer_group"]: row["types"] for row in groups},
    )


async def keep_backlog(connection: Connection, backlog: Sequence[Backlog], now: datetime) -> None:
    """Replaces the last sample of each outbox."""
    await connection.execute(
        """
        INSERT INTO monitoring.outbox_samples (outbox, pending, oldest_at, sampled_at)
        SELECT u.*, $4 FROM unnest($1::text[], $2::bigint[], $3::timestamptz[]) AS u
        ON CONFLICT (outbox) DO UPDATE
        SET pending = EXCLUDED.pending, oldest_at = EXCLUDED.oldest_at, sampled_at = EXCLUDED.sampled_at
        """,
        [item.outbox for item in backlog],
        [item.pending for item in backlog],
        [item.oldest_at for item in backlog],
        now,
    )


async def count_published(tx: Transaction, now: datetime, published: Mapping[str, int]) -> None:
    """Adds to what tenants have published this month. Sorted, so that two batches wait and never deadlock."""
    if not published:
        return
    rows = sorted(published.items())
    await tx.execute(
        """
        INSERT INTO bus.tenant_usage AS u (tenant_id, month, events)
        SELECT n.tenant_id, $1, n.events FROM unnest($2::text[], $3::bigint[]) AS n (tenant_id, events)
        ON CONFLICT (tenant_id, month) DO UPDATE SET events = u.events + EXCLUDED.events
        """,
        now.astimezone(UTC).date().replace(day=1),
        [tenant_id for tenant_id, _ in rows],
        [count for _, count in rows],
    )
