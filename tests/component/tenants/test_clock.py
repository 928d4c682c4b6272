"""A tenant's test clock: setting it, asking it to move, and what happens when it has arrived."""

from datetime import UTC, datetime, timedelta

import pytest

from prog_contracts.ids import PLATFORM_TENANT_ID, new_id, new_message_id
from prog_contracts.tenants import ClockChanged, FinishClockAdvance, RenameTenant, SetClock, TenantUpdated
from prog_kit.database import Database
from prog_workers.tenants import queries
from tests.component.harness import Harness
from tests.component.tenants.company import START, Company, code, staff


async def test_a_tenant_with_a_test_clock_lives_by_it(platform: Harness, acme: Company, edge: Database) -> None:
    assert (await acme.set_clock()).status == "succeeded"
    async with edge.scope(tenant_id=acme.tenant_id) as connection:
        clock = await queries.clock(connection, acme.tenant_id)
    assert clock is not None
    assert (clock.stands_at, clock.advancing_to) == (START, None)
    await acme.send(RenameTenant(tenant_id=acme.tenant_id, name="Later"))
    [row] = await platform.fetch("SELECT updated_at FROM tenants.tenants WHERE tenant_id = $1", acme.tenant_id)
    assert row["updated_at"] == START
    times = await platform.fetch("SELECT max(occurred_at) AS at FROM bus.event_log WHERE type = $1", TenantUpdated.TYPE)
    assert times[0]["at"] == START


async def test_setting_the_same_clock_again_changes_nothing_and_another_is_refused(acme: Company) -> None:
    await acme.set_clock()
    assert (await acme.set_clock()).status == "succeeded"
    assert code(await acme.set_clock(START + timedelta(days=1))) == "clock_exists"


async def test_the_platforms_clock_cannot_be_moved(platform: Harness) -> None:
    operator = await staff(platform)
    answer = await platform.request(
        SetClock(tenant_id=PLATFORM_TENANT_ID, at=START), tenant_id=PLATFORM_TENANT_ID, actor=operator
    )
    assert code(answer) == "platform_clock"


async def test_only_who_runs_the_tenant_moves_its_clock(acme: Company) -> None:
    billing = await acme.take_in("joe@example.com", "billing")
    assert code(await acme.set_clock(actor=billing)) == "not_permitted"
    assert code(await acme.set_clock(actor=new_id("user"))) == "tenant_not_found"


@pytest.mark.parametrize(
    ("at", "told"),
    [
        (datetime(2027, 1, 31), "no_offset"),  # noqa: DTZ001 - that is the point
        (datetime(1999, 12, 31, tzinfo=UTC), "out_of_range"),
        (datetime(2100, 1, 2, tzinfo=UTC), "out_of_range"),
    ],
)
async def test_a_clock_starts_at_a_sensible_instant(acme: Company, at: datetime, told: str) -> None:
    assert code(await acme.set_clock(at)) == told


async def test_a_clock_moves_forward_only_and_one_advance_at_a_time(acme: Company) -> None:
    assert code(await acme.advance(START)) == "clock_missing"
    await acme.set_clock()
    assert code(await acme.advance(START - timedelta(seconds=1))) == "backwards"
    assert code(await acme.advance(START + timedelta(days=4000))) == "too_far"
    assert (await acme.advance(START + timedelta(days=31))).status == "pending"
    assert code(await acme.advance(START + timedelta(days=32))) == "clock_advancing"


async def test_an_advance_stays_open_until_the_clock_has_arrived(platform: Harness, acme: Company) -> None:
    await acme.set_clock()
    to = START + timedelta(days=31)
    operation = await acme.advance(to)
    [row] = await platform.fetch("SELECT * FROM bus.tenant_clocks")
    assert (row["advancing_to"], row["operation_id"], row["stands_at"]) == (to, operation.message_id, START)
    finish = FinishClockAdvance(tenant_id=acme.tenant_id, operation_id=str(operation.message_id), at=to, fired_timers=3)
    await acme.send(finish)
    [inbox] = await platform.fetch("SELECT status, result FROM bus.inbox WHERE message_id = $1", operation.message_id)
    assert inbox["status"] == "succeeded"
    assert '"fired_timers": 3' in inbox["result"]
    assert [event.fired_timers for event in await platform.events(ClockChanged)] == [0, 3]
    assert (await acme.advance(to + timedelta(days=1))).status == "pending"


async def test_a_completion_of_another_advance_is_ignored(platform: Harness, acme: Company) -> None:
    await acme.set_clock()
    await acme.advance(START + timedelta(days=31))
    stale = FinishClockAdvance(tenant_id=acme.tenant_id, operation_id=str(new_message_id()), at=START, fired_timers=0)
    assert (await acme.send(stale)).status == "succeeded"
    [row] = await platform.fetch("SELECT operation_id FROM bus.tenant_clocks")
    assert row["operation_id"] is not None
    assert len(await platform.events(ClockChanged)) == 1
