"""Firing: due timers become commands in the event log, each once."""

import asyncio
from datetime import timedelta

from prog_kit.database import Database
from prog_scheduler import timers
from tests.component.scheduler.subscribers import PERIOD, Subscribers


async def fire(scheduler: Database, subscribers: Subscribers, after: timedelta = PERIOD) -> int:
    async with scheduler.pool.acquire() as connection:
        return await timers.fire_on_the_wall(connection, subscribers.platform.clock.at + after)


async def test_a_due_timer_becomes_a_command_of_its_own_story(subscribers: Subscribers, scheduler: Database) -> None:
    tenant_id = await subscribers.tenant(clock_at=None)
    await subscribers.subscribe(tenant_id)
    [timer] = await subscribers.platform.fetch("SELECT * FROM bus.timers")
    [first] = await subscribers.platform.fetch(
        "SELECT * FROM bus.inbox WHERE type = 'prognetwork.payments.renew_subscription'"
    )
    assert await fire(scheduler, subscribers, PERIOD - timedelta(microseconds=1)) == 0
    assert await fire(scheduler, subscribers) == 1
    assert await fire(scheduler, subscribers) == 0
    assert not await subscribers.platform.fetch("SELECT FROM bus.timers")
    [row] = await subscribers.platform.fetch("SELECT * FROM bus.event_log WHERE message_id = $1", timer["message_id"])
    assert (row["kind"], row["topic"], row["source_domain"]) == ("command", "prog.payments.commands", "payments")
    assert (row["correlation_id"], row["causation_id"]) == (first["correlation_id"], first["message_id"])
    assert row["occurred_at"] == timer["due_at"]
    assert (row["tenant_id"], row["data"]) == (tenant_id, timer["data"])


async def test_timers_of_test_clocks_wait_for_their_own_clock(subscribers: Subscribers, scheduler: Database) -> None:
    await subscribers.subscribe(await subscribers.tenant())
    assert await fire(scheduler, subscribers, timedelta(days=3650)) == 0
    assert len(await subscribers.platform.fetch("SELECT FROM bus.timers")) == 1


async def test_two_schedulers_fire_each_timer_once(subscribers: Subscribers, scheduler: Database) -> None:
    tenant_id = await subscribers.tenant(clock_at=None)
    for _ in range(40):
        await subscribers.subscribe(tenant_id)

    async def drain() -> int:
        total = 0
        async with scheduler.pool.acquire() as connection:
            for _ in range(10):
                total += await timers.fire_on_the_wall(connection, subscribers.platform.clock.at + PERIOD, limit=7)
        return total

    assert sum(await asyncio.gather(drain(), drain(), drain())) == 40
    await subscribers.platform.settle()
    assert len(subscribers.renewed) == 80
    assert len({key for _, key, _ in subscribers.renewed}) == 40


async def test_a_timer_that_cannot_be_read_does_not_hold_up_the_others(
    subscribers: Subscribers, scheduler: Database
) -> None:
    tenant_id = await subscribers.tenant(clock_at=None)
    bad = await subscribers.subscribe(tenant_id)
    await subscribers.subscribe(tenant_id)
    await subscribers.platform.fetch("UPDATE bus.timers SET attributes = '{}' WHERE name = $1", f"renew:{bad}")
    assert await fire(scheduler, subscribers) == 1
    assert await fire(scheduler, subscribers, timedelta(days=3650)) == 0
    [left] = await subscribers.platform.fetch("SELECT name, isfinite(due_at) AS finite FROM bus.timers")
    assert (left["name"], left["finite"]) == (f"renew:{bad}", False)


async def test_a_key_that_is_not_ascii_survives(subscribers: Subscribers, scheduler: Database) -> None:
    tenant_id = await subscribers.tenant(clock_at=None)
    await subscribers.subscribe(tenant_id)
    await subscribers.platform.fetch(
        "UPDATE bus.timers SET attributes = jsonb_set(attributes::jsonb, '{partitionkey}', $1::jsonb)::text",
        '"50% Müller"',
    )
    await fire(scheduler, subscribers)
    [row] = await subscribers.platform.fetch("SELECT partition_key FROM bus.event_log ORDER BY position DESC LIMIT 1")
    assert row["partition_key"] == "50% Müller"
