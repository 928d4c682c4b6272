"""What consumers report becomes windows, figures and one MetricsUpdated for each group and window."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from prog_contracts.envelope import wrap
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_contracts.messages import Message
from prog_contracts.monitoring import CloseWindows, HandlerSample, MetricsUpdated, RecordConsumption
from prog_contracts.users import UserDeleted
from prog_kit.clock import FixedClock
from prog_kit.database import Connection, Database
from prog_workers.monitoring import handlers, queries, rules
from prog_workers.monitoring.app import domain
from tests.component.harness import Harness
from tests.lasting import kept

START = datetime(2027, 1, 1, 12, 0, tzinfo=UTC)
CREATE = "prognetwork.tenants.create_tenant"
RENAME = "prognetwork.tenants.rename_tenant"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FixedClock:
    clock = FixedClock(START + timedelta(seconds=5))
    monkeypatch.setattr(handlers, "clock", clock)
    return clock


@pytest.fixture
async def platform(postgres: str, clock: FixedClock) -> AsyncIterator[Harness]:
    async with Harness(postgres, domain, at=START) as platform:
        yield platform


@asynccontextmanager
async def operator(platform: Harness) -> AsyncIterator[Connection]:
    async with kept().database(platform.url, "prog_edge") as database, database.operator() as connection:
        yield connection


def report(
    *milliseconds: float,
    at: datetime = START,
    group: str = "tenants",
    type_name: str = CREATE,
    outcome: str = "succeeded",
    process: str = "worker-1",
) -> RecordConsumption:
    """A report of messages that took so long each, half of it in the handler."""
    sample = HandlerSample.model_validate(
        {
            "type": type_name,
            "outcome": outcome,
            "at_seconds": [at.timestamp()] * len(milliseconds),
            "handler_microseconds": [int(value * 500) for value in milliseconds],
            "end_to_end_microseconds": [int(value * 1000) for value in milliseconds],
        }
    )
    return RecordConsumption(process=process, group=group, samples=(sample,))


async def tell(platform: Harness, command: Message) -> None:
    envelope = wrap(command, tenant_id=PLATFORM_TENANT_ID, source="/prognetwork/test", now=platform.clock.now())
    await platform.deliver(envelope, "monitoring")


async def test_reports_of_one_window_add_up(platform: Harness, clock: FixedClock) -> None:
    await tell(platform, report(*range(1, 51)))
    await tell(platform, report(*range(51, 101), process="worker-2"))
    clock.at = START + timedelta(seconds=14)
    async with operator(platform) as connection:
        [tenants] = [item for item in await queries.consumers(connection, clock.at) if item.group == "tenants"]
    assert tenants.figures.messages == 100
    assert tenants.figures.per_second == 10.0
    assert tenants.figures.p50_milliseconds == pytest.approx(50, rel=0.01)
    assert tenants.figures.p95_milliseconds == pytest.approx(95, rel=0.01)
    assert tenants.figures.p99_milliseconds == pytest.approx(99, rel=0.01)
    assert tenants.handled == 100


async def test_a_closed_window_is_told_once(platform: Harness, clock: FixedClock) -> None:
    await tell(platform, report(10, 10, 10))
    assert await platform.events(MetricsUpdated) == []
    clock.at = START + timedelta(seconds=13)
    await tell(platform, report(20, at=START + timedelta(seconds=12)))
    [told] = await platform.events(MetricsUpdated)
    assert told.group == "tenants"
    assert told.window_start == START
    assert told.messages == 3
    assert told.p99_milliseconds == pytest.approx(10, rel=0.01)
    await tell(platform, report(20, at=START + timedelta(seconds=12)))
    await tell(platform, CloseWindows(process="worker-1"))
    assert len(await platform.events(MetricsUpdated)) == 1


async def test_a_late_report_counts_and_is_not_told_again(platform: Harness, clock: FixedClock) -> None:
    await tell(platform, report(10))
    clock.at = START + timedelta(seconds=30)
    await tell(platform, CloseWindows(process="worker-1"))
    await tell(platform, report(30, at=START))
    assert len(await platform.events(MetricsUpdated)) == 1
    async with operator(platform) as connection:
        found = await queries.series(connection, START + timedelta(seconds=13), windows=1)
    assert found.groups["tenants"][0].messages == 2


async def test_a_window_of_silence_after_the_last_report_is_closed_by_command(
    platform: Harness, clock: FixedClock
) -> None:
    await tell(platform, report(10))
    clock.at = START + timedelta(seconds=12)
    await tell(platform, CloseWindows(process="worker-1"))
    assert await platform.events(MetricsUpdated) == []
    clock.at = START + timedelta(seconds=13)
    await tell(platform, CloseWindows(process="worker-1"))
    assert len(await platform.events(MetricsUpdated)) == 1


async def test_metrics_belong_to_the_platform_and_to_no_customer(platform: Harness, clock: FixedClock) -> None:
    await tell(platform, report(10))
    clock.at = START + timedelta(minutes=1)
    await tell(platform, CloseWindows(process="worker-1"))
    [row] = await platform.fetch("SELECT tenant_id FROM bus.event_log")
    assert row["tenant_id"] == PLATFORM_TENANT_ID


async def test_a_report_that_comes_twice_counts_once(platform: Harness, clock: FixedClock) -> None:
    envelope = wrap(report(10), tenant_id=PLATFORM_TENANT_ID, source="/prognetwork/test", now=START)
    await platform.deliver(envelope, "monitoring")
    await platform.deliver(envelope, "monitoring")
    [row] = await platform.fetch("SELECT messages FROM monitoring.windows WHERE scope = 'group'")
    assert row["messages"] == 1


async def test_outcomes_are_counted_and_only_finished_messages_are_timed(platform: Harness, clock: FixedClock) -> None:
    await tell(platform, report(10, 10))
    await tell(platform, report(10, outcome="refused"))
    await tell(platform, report(9_000, outcome="retried"))
    await tell(platform, report(9_000, outcome="dead"))
    clock.at = START + timedelta(seconds=13)
    async with operator(platform) as connection:
        [handler] = await queries.handlers(connection, clock.at, group="tenants", windows=3)
        [tenants] = [item for item in await queries.consumers(connection, clock.at) if item.group == "tenants"]
    assert handler.outcomes == {"succeeded": 2, "refused": 1, "retried": 1, "dead": 1, "duplicate": 0}
    assert handler.latency.p99_milliseconds == pytest.approx(10, rel=0.01)
    assert handler.handler.p99_milliseconds == pytest.approx(5, rel=0.01)
    assert (tenants.refused, tenants.retried, tenants.dead) == (1, 1, 1)


async def test_telemetry_about_telemetry_comes_to_rest(platform: Harness, clock: FixedClock) -> None:
    """The events group handles MetricsUpdated and reports that: it must not cause the next MetricsUpdated."""
    await tell(platform, report(10, group="events", type_name=MetricsUpdated.TYPE))
    await tell(platform, report(10, group="monitoring", type_name=RecordConsumption.TYPE))
    clock.at = START + timedelta(minutes=5)
    await tell(platform, CloseWindows(process="worker-1"))
    assert await platform.events(MetricsUpdated) == []


async def test_a_report_out_of_step_is_refused_and_counts_nothing(platform: Harness) -> None:
    broken = report(1, 2).model_copy(
        update={"samples": (report(1).samples[0].model_copy(update={"at_seconds": (1.0, 2.0)}),)}
    )
    answer = await platform.request(broken)
    assert answer.status == "failed"
    assert answer.error is not None
    assert answer.error.fields[0].code == "out_of_step"
    assert await platform.fetch("SELECT FROM monitoring.windows") == []


async def test_a_group_that_does_not_exist_is_refused(platform: Harness) -> None:
    answer = await platform.request(report(1, group="strangers"))
    assert answer.status == "failed"
    assert answer.error is not None
    assert answer.error.fields[0].code == "unknown_group"


async def test_unknown_types_share_one_series(platform: Harness, clock: FixedClock) -> None:
    await tell(platform, report(1, type_name="prognetwork.tenants.aaa"))
    await tell(platform, report(1, type_name="prognetwork.tenants.bbb"))
    [row] = await platform.fetch("SELECT type, messages FROM monitoring.windows WHERE scope = 'handler'")
    assert tuple(row) == (rules.OTHER_TYPE, 2)


async def test_every_event_is_counted_by_type_with_its_age(platform: Harness, clock: FixedClock) -> None:
    tenant_id = new_id("tenant")
    clock.at = datetime.now(UTC)
    for _ in range(3):
        await platform.publish(UserDeleted(user_id=new_id("user")), tenant_id=tenant_id)
    async with operator(platform) as connection:
        [found] = await queries.event_types(connection, clock.at + timedelta(seconds=20), windows=6)
    assert found.type == UserDeleted.TYPE
    assert found.figures.messages == 3
    assert found.figures.p99_milliseconds is not None
    assert found.figures.p99_milliseconds < 60_000


async def test_a_series_has_every_window_and_every_group(platform: Harness, clock: FixedClock) -> None:
    await tell(platform, report(10, at=START))
    clock.at = START + timedelta(seconds=25)
    await tell(platform, report(10, 10, at=START + timedelta(seconds=20), type_name=RENAME))
    async with operator(platform) as connection:
        found = await queries.series(connection, START + timedelta(seconds=33), windows=4)
    assert found.times == [START.timestamp() + seconds for seconds in (-10, 0, 10, 20)]
    assert [item.messages for item in found.groups["tenants"]] == [0, 1, 0, 2]
    assert found.groups["tenants"][0].p50_milliseconds is None
    assert [item.messages for item in found.groups["email"]] == [0, 0, 0, 0]


async def test_totals_merge_the_groups(platform: Harness, clock: FixedClock) -> None:
    await tell(platform, report(*[10] * 90, group="tenants"))
    await tell(platform, report(*[100] * 10, group="email"))
    async with operator(platform) as connection:
        found = await queries.totals(connection, START + timedelta(seconds=13))
    assert found.figures.messages == 100
    assert found.figures.p50_milliseconds == pytest.approx(10, rel=0.01)
    assert found.figures.p95_milliseconds == pytest.approx(100, rel=0.01)
    assert (found.lag, found.oldest_seconds, found.dead_letters, found.outbox_pending) == (0, None, 0, 0)


async def test_no_tenant_scope_sees_the_platforms_figures(platform: Harness) -> None:
    await tell(platform, report(1))
    database = await Database.connect(platform.url, "prog_edge")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with database.scope(tenant_id=new_id("tenant")) as connection:
            await connection.fetch("SELECT * FROM monitoring.windows")
    await database.close()
