"""Walking a test clock from timer to timer."""

import asyncio
from datetime import timedelta

from prog_contracts.payments import PayInvoice
from prog_contracts.tenants import ClockChanged, FinishClockAdvance
from prog_kit.database import Database
from prog_scheduler.clocks import Walk
from tests.component.scheduler.subscribers import PERIOD, START, Subscribers, broken, unavailable


async def stands(subscribers: Subscribers, tenant_id: str) -> timedelta:
    """How far the tenant's clock is from where it started."""
    [row] = await subscribers.platform.fetch("SELECT stands_at FROM bus.tenant_clocks WHERE tenant_id = $1", tenant_id)
    return row["stands_at"] - START  # type: ignore[no-any-return]


async def status(subscribers: Subscribers, message_id: object) -> str:
    [row] = await subscribers.platform.fetch("SELECT status FROM bus.inbox WHERE message_id = $1", message_id)
    return str(row["status"])


async def test_a_year_passes_renewal_by_renewal(subscribers: Subscribers, scheduler: Database) -> None:
    tenant_id = await subscribers.tenant()
    await subscribers.subscribe(tenant_id)
    operation = await subscribers.ask_to_advance(tenant_id, START + timedelta(days=365))
    async with subscribers.working():
        assert await subscribers.walk(scheduler, tenant_id) is Walk.ARRIVED
    await subscribers.platform.settle()
    assert [at for _, _, at in subscribers.renewed] == [START + number * PERIOD for number in range(13)]
    assert [at for _, at in subscribers.paid] == [START + number * PERIOD for number in range(13)]
    assert await status(subscribers, operation.message_id) == "succeeded"
    changes = await subscribers.platform.events(ClockChanged)
    assert [(event.at - START, event.fired_timers) for event in changes] == [
        (timedelta(0), 0),
        (timedelta(days=365), 12),
    ]


async def test_the_completion_is_part_of_the_advances_story(subscribers: Subscribers, scheduler: Database) -> None:
    tenant_id = await subscribers.tenant()
    operation = await subscribers.ask_to_advance(tenant_id, START + PERIOD)
    assert await subscribers.walk(scheduler, tenant_id) is Walk.ARRIVED
    [row] = await subscribers.platform.fetch("SELECT * FROM bus.event_log WHERE type = $1", FinishClockAdvance.TYPE)
    assert row["correlation_id"] == row["causation_id"] == operation.message_id
    assert row["actor"] == "test-process"


async def test_time_waits_until_all_that_was_caused_is_done(subscribers: Subscribers, scheduler: Database) -> None:
    tenant_id = await subscribers.tenant()
    await subscribers.subscribe(tenant_id)
    await subscribers.ask_to_advance(tenant_id, START + 2 * PERIOD)
    assert await subscribers.walk(scheduler, tenant_id, 0.2) is Walk.UNFINISHED
    assert await stands(subscribers, tenant_id) == PERIOD, "the first renewal was fired and nobody has handled it"
    assert await subscribers.walk(scheduler, tenant_id, 0.2) is Walk.UNFINISHED
    assert await stands(subscribers, tenant_id) == PERIOD
    await subscribers.platform.settle()
    assert await subscribers.walk(scheduler, tenant_id, 0.2) is Walk.UNFINISHED
    assert await stands(subscribers, tenant_id) == 2 * PERIOD
    await subscribers.platform.settle()
    assert await subscribers.walk(scheduler, tenant_id) is Walk.ARRIVED
    assert len(subscribers.renewed) == 3


async def test_what_was_said_just_before_the_advance_is_done_first(
    subscribers: Subscribers, scheduler: Database
) -> None:
    tenant_id = await subscribers.tenant()
    subscription_id = await subscribers.subscribe(tenant_id)
    await subscribers.platform.fetch("DELETE FROM bus.inbox WHERE type = $1", PayInvoice.TYPE)
    await subscribers.ask_to_advance(tenant_id, START + PERIOD)
    assert await subscribers.walk(scheduler, tenant_id, 0.2) is Walk.UNFINISHED
    assert await stands(subscribers, tenant_id) == timedelta(0), subscription_id


async def test_the_work_of_other_tenants_holds_nobody_up(subscribers: Subscribers, scheduler: Database) -> None:
    tenant_id, other = await subscribers.tenant(), await subscribers.tenant()
    await subscribers.subscribe(other)
    await subscribers.ask_to_advance(other, START + PERIOD)
    assert await subscribers.walk(scheduler, other, 0.1) is Walk.UNFINISHED
    await subscribers.ask_to_advance(tenant_id, START + PERIOD)
    assert await subscribers.walk(scheduler, tenant_id) is Walk.ARRIVED


async def test_time_waits_for_a_retry_and_not_for_a_dead_letter(subscribers: Subscribers, scheduler: Database) -> None:
    tenant_id = await subscribers.tenant()
    subscribers.fail = unavailable
    await subscribers.subscribe(tenant_id)
    await subscribers.ask_to_advance(tenant_id, START + PERIOD / 2)
    assert await subscribers.walk(scheduler, tenant_id, 0.2) is Walk.UNFINISHED
    await subscribers.platform.fetch("UPDATE bus.retries SET state = 'dead'")
    assert await subscribers.walk(scheduler, tenant_id) is Walk.ARRIVED


async def test_what_waits_behind_a_dead_letter_does_not_stop_time(
    subscribers: Subscribers, scheduler: Database
) -> None:
    """Commands of a tenant share its key: after the first dies, the second is lined up behind it."""
    tenant_id = await subscribers.tenant()
    subscribers.fail = broken
    await subscribers.subscribe(tenant_id)
    await subscribers.ask_to_advance(tenant_id, START + 5 * PERIOD)
    async with subscribers.working():
        assert await subscribers.walk(scheduler, tenant_id) is Walk.ARRIVED
    states = await subscribers.platform.fetch("SELECT state FROM bus.retries ORDER BY position")
    assert [row["state"] for row in states] == ["dead", "waiting"]


async def test_an_advance_goes_on_wherever_it_was_interrupted(subscribers: Subscribers, scheduler: Database) -> None:
    tenant_id = await subscribers.tenant()
    await subscribers.subscribe(tenant_id)
    await subscribers.ask_to_advance(tenant_id, START + timedelta(days=365))
    slices = 0
    async with subscribers.working():
        async with asyncio.timeout(30):
            ended = Walk.UNFINISHED
            while ended is not Walk.ARRIVED:
                slices += 1
                task = asyncio.create_task(subscribers.walk(scheduler, tenant_id))
                await asyncio.wait({task}, timeout=0.001 * (slices % 40))
                task.cancel()
                result = await asyncio.gather(task, return_exceptions=True)
                ended = result[0] if isinstance(result[0], Walk) else Walk.UNFINISHED
    await subscribers.platform.settle()
    assert slices > 3, "it was interrupted"
    assert [at for _, _, at in subscribers.renewed] == [START + number * PERIOD for number in range(13)]
    assert len(await subscribers.platform.events(FinishClockAdvance)) == 1
    assert [event.fired_timers for event in await subscribers.platform.events(ClockChanged)] == [0, 12]


async def test_one_walker_at_a_time(subscribers: Subscribers, scheduler: Database) -> None:
    tenant_id = await subscribers.tenant()
    await subscribers.subscribe(tenant_id)
    await subscribers.ask_to_advance(tenant_id, START + timedelta(days=365))
    async with subscribers.working():
        ends = await asyncio.gather(*(subscribers.walk(scheduler, tenant_id) for _ in range(4)))
    assert sorted(end.value for end in ends) == ["arrived", "elsewhere", "elsewhere", "elsewhere"]
    assert len(subscribers.renewed) == 13


async def test_an_overdue_timer_fires_at_once_and_the_clock_never_goes_back(
    subscribers: Subscribers, scheduler: Database
) -> None:
    tenant_id = await subscribers.tenant()
    await subscribers.subscribe(tenant_id)
    await subscribers.platform.set_clock(tenant_id, START + 10 * PERIOD)
    await subscribers.ask_to_advance(tenant_id, START + 10 * PERIOD)
    async with subscribers.working():
        assert await subscribers.walk(scheduler, tenant_id) is Walk.ARRIVED
    assert [at - START for _, _, at in subscribers.renewed] == [timedelta(0), 10 * PERIOD]


async def test_timers_of_one_instant_fire_together(subscribers: Subscribers, scheduler: Database) -> None:
    tenant_id = await subscribers.tenant()
    for _ in range(3):
        await subscribers.subscribe(tenant_id)
    await subscribers.ask_to_advance(tenant_id, START + PERIOD)
    async with subscribers.working():
        assert await subscribers.walk(scheduler, tenant_id) is Walk.ARRIVED
    assert [at - START for _, _, at in subscribers.renewed[3:]] == [PERIOD] * 3
