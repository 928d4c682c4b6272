"""The console's figures: the overview, and what each consumer group does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from prog_contracts.money import Money
from prog_edge.backend.lists import event_row
from prog_edge.platform import Platform
from prog_edge.services import services
from prog_edge.web.ports import AdminOverview, ConsumerRow, EventRow, Series, ServiceHealth
from prog_kit.database import Connection
from prog_workers.events import queries as log
from prog_workers.payments import queries as payments
from prog_workers.tenants import queries as tenants
from prog_workers.users import queries as users
from prog_workers.users.queries.logouts import unheard_sign_outs

if TYPE_CHECKING:
    from prog_workers.monitoring.queries import ConsumerOverview, GroupSeries

WINDOWS: Final = 90
"""Fifteen minutes of windows of ten seconds."""
LATEST: Final = 10
_RATE: Final = "/s"
_TIME: Final = "ms"


async def overview(platform: Platform, now: datetime) -> AdminOverview:
    """The whole platform now."""
    from prog_workers.monitoring import queries as monitoring  # brings NumPy, which starting must not wait for

    async with platform.reader.operator() as connection:
        totals = await monitoring.totals(connection, now)
        series = await monitoring.series(connection, now, windows=WINDOWS)
        revenue = await payments.revenue(connection)
        people = await users.count(connection)
        customers = await tenants.count(connection)
        latest = await _latest(connection)
        unheard = await unheard_sign_outs(connection)
    monthly = next(iter(revenue.monthly), Money(amount=0, currency="USD"))
    return AdminOverview(
        users=people,
        tenants=customers,
        active_subscriptions=revenue.subscriptions.get("active", 0),
        monthly_revenue=monthly,
        messages_per_second=totals.figures.per_second,
        p95_milliseconds=totals.figures.p95_milliseconds,
        lag=totals.lag,
        dead_letters=totals.dead_letters,
        unheard_sign_outs=unheard.count,
        throughput=_throughput(series, list(series.groups)),
        latency=_latency(series, list(series.groups)),
        services=[ServiceHealth(item.name, item.healthy, item.detail) for item in await services(platform)],
        latest=latest,
    )


async def consumers(connection: Connection, now: datetime) -> list[ConsumerRow]:
    """Each consumer group, with its lines of the last fifteen minutes."""
    from prog_workers.monitoring import queries as monitoring  # brings NumPy, which starting must not wait for

    series = await monitoring.series(connection, now, windows=WINDOWS)
    return [_consumer(row, series) for row in await monitoring.consumers(connection, now)]


def _consumer(row: ConsumerOverview, series: GroupSeries) -> ConsumerRow:
    figures = row.figures
    lines = series.groups.get(row.group, ())
    percentiles = {
        "p50": [item.p50_milliseconds for item in lines],
        "p95": [item.p95_milliseconds for item in lines],
        "p99": [item.p99_milliseconds for item in lines],
    }
    return ConsumerRow(
        group=row.group,
        topics=row.topics,
        per_second=figures.per_second,
        lag=row.lag,
        oldest_seconds=row.oldest_seconds,
        p50_milliseconds=figures.p50_milliseconds,
        p95_milliseconds=figures.p95_milliseconds,
        p99_milliseconds=figures.p99_milliseconds,
        handled=row.handled,
        retries=row.retried,
        dead_letters=row.dead_letters,
        throughput=_throughput(series, [row.group]),
        latency=Series(times=series.times, values=percentiles, unit=_TIME),
    )


def _throughput(series: GroupSeries, groups: Sequence[str]) -> Series:
    values = {group: [item.per_second for item in series.groups[group]] for group in groups}
    return Series(times=series.times, values=values, unit=_RATE)


def _latency(series: GroupSeries, groups: Sequence[str]) -> Series:
    values = {group: [item.p95_milliseconds for item in series.groups[group]] for group in groups}
    return Series(times=series.times, values=values, unit=_TIME)


async def _latest(connection: Connection) -> list[EventRow]:
    page = await log.events(connection, limit=LATEST)
    names = await tenants.names_of(connection, [row.tenant_id for row in page.rows])
    return [event_row(row, names) for row in page.rows]
