"""The process: leadership, the tick, and a graceful end, on real PostgreSQL and Valkey."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from prog_contracts.users import PurgeCredentials
from prog_kit.database import Database
from prog_kit.settings import Settings
from prog_scheduler import cron
from prog_scheduler.leader import Leader
from prog_scheduler.process import Scheduler
from tests.component.scheduler.subscribers import PERIOD, START, Subscribers

PATIENCE_SECONDS = 20.0
NAME = "prog_scheduler"
FOLLOWERS = """
SELECT count(*) FROM pg_stat_activity AS a
WHERE application_name = $1 AND datname = current_database() AND state = 'idle' AND query LIKE '%pg_try_advisory_lock%'
  AND NOT EXISTS (SELECT FROM pg_locks AS l WHERE l.pid = a.pid AND l.locktype = 'advisory')
"""
"""Schedulers that have tried to lead and were refused."""


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await condition():  # noqa: ASYNC110 - what is waited for happens in other processes' stead
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running(environment: dict[str, str]) -> AsyncIterator[Scheduler]:
    scheduler = Scheduler(Settings.load(environment, drain_seconds=5.0))
    task = asyncio.create_task(scheduler.run())
    try:
        yield scheduler
    finally:
        scheduler.stopping.set()
        await asyncio.wait_for(task, PATIENCE_SECONDS)


async def test_a_due_timer_is_fired_and_a_clock_is_walked(
    subscribers: Subscribers, scheduler: Database, environment: dict[str, str]
) -> None:
    subscribers.platform.clock.at = datetime.now(UTC) - PERIOD - timedelta(seconds=1)
    on_the_wall, on_a_clock = await subscribers.tenant(clock_at=None), await subscribers.tenant()
    await subscribers.subscribe(on_the_wall)
    await subscribers.subscribe(on_a_clock)
    subscribers.renewed.clear()
    operation = await subscribers.ask_to_advance(on_a_clock, START + timedelta(days=100))
    subscribers.platform.clock.at = datetime.now(UTC)

    async def done() -> bool:
        query = "SELECT status FROM bus.inbox WHERE message_id = $1"
        status = await scheduler.pool.fetchval(query, operation.message_id)
        return status == "succeeded" and len(subscribers.renewed) == 4

    async with running(environment), subscribers.working():
        await until(done)
    assert [tenant for tenant, _, _ in subscribers.renewed].count(on_the_wall) == 1
    renewals = [at for tenant, _, at in subscribers.renewed if tenant == on_a_clock]
    assert renewals == [START + number * PERIOD for number in (1, 2, 3)]


async def test_jobs_of_the_table_run_and_credentials_are_cleared_away_by_their_domain(
    postgres: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cron, "FIRST_RUN", timedelta(0))
    admin = await asyncpg.connect(postgres)

    async def told() -> bool:
        query = "SELECT EXISTS (SELECT FROM bus.event_log WHERE type = $1)"
        return bool(await admin.fetchval(query, PurgeCredentials.TYPE))

    async with running(environment):
        await until(told)
    await admin.close()


async def test_one_of_two_leads_and_the_other_takes_over(postgres: str) -> None:
    def leader() -> tuple[Leader, asyncio.Event]:
        stopping = asyncio.Event()
        return Leader(postgres, lambda _: None, stopping), stopping

    (first, first_stops), (second, second_stops) = leader(), leader()

    async def one_leads() -> bool:
        return first.leads

    async def other_leads() -> bool:
        return second.leads

    admin = await asyncpg.connect(postgres)

    async def other_was_refused() -> bool:
        return bool(await admin.fetchval(FOLLOWERS, NAME) == 1)

    async with asyncio.TaskGroup() as group:
        group.create_task(first.run())
        await until(one_leads)
        group.create_task(second.run())
        await until(other_was_refused)
        assert (first.leads, second.leads) == (True, False)
        first_stops.set()
        await until(other_leads)
        assert not first.leads
        second_stops.set()
    await admin.close()


async def test_a_leader_whose_connection_breaks_leads_again(postgres: str) -> None:
    stopping = asyncio.Event()
    leader = Leader(postgres, lambda _: None, stopping)

    async def leads() -> bool:
        return leader.leads

    async def follows() -> bool:
        return not leader.leads

    async with asyncio.TaskGroup() as group:
        group.create_task(leader.run())
        await until(leads)
        admin = await asyncpg.connect(postgres)
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1", NAME)
        await admin.close()
        await until(follows)
        await until(leads)
        stopping.set()


async def test_it_stops_while_its_servers_are_away(environment: dict[str, str]) -> None:
    tried = asyncio.Event()

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tried.set()
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as broken:
        port = broken.sockets[0].getsockname()[1]
        scheduler = Scheduler(
            Settings.load({**environment, "PROG_DATABASE_URL": f"postgresql://nobody@127.0.0.1:{port}/none"})
        )
        task = asyncio.create_task(scheduler.run())
        await asyncio.wait_for(tried.wait(), PATIENCE_SECONDS)
        assert not task.done(), "it waits for its servers"
        scheduler.stopping.set()
        await asyncio.wait_for(task, PATIENCE_SECONDS)
    assert task.exception() is None
