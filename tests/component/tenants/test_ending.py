"""A tenant's end: suspended and resumed, deleted and restored, and purged when its grace period is over."""

from __future__ import annotations

from datetime import timedelta

import pytest

from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_contracts.tenants import (
    DeleteTenant,
    PurgeTenant,
    RenameTenant,
    SuspendTenant,
    TenantDeleted,
    TenantDeletionRequested,
    TenantRestored,
    TenantResumed,
    TenantRole,
    TenantSuspended,
)
from prog_kit.database import Database
from prog_workers.tenants import queries, rules
from tests.component.harness import Harness
from tests.component.tenants.company import START, Company, code, staff

GRACE = timedelta(days=30)


async def test_a_suspended_tenant_changes_nothing_and_can_still_be_left(platform: Harness, acme: Company) -> None:
    joe = await acme.take_in("joe@example.com", "admin")
    operator = await staff(platform)
    assert (await acme.suspend(operator, " Unpaid   invoices ")).status == "succeeded"
    [suspended] = await platform.events(TenantSuspended)
    assert suspended.reason == "Unpaid invoices"
    assert await acme.mailed() == [("tenant_suspended", acme.owner_email)], "owners alone are told"
    assert code(await acme.send(RenameTenant(tenant_id=acme.tenant_id, name="Other"))) == "tenant_closed"
    assert code(await acme.send(RenameTenant(tenant_id=acme.tenant_id, name="Other"), operator)) == "tenant_closed"
    assert code(await acme.invite("new@example.com")) == "tenant_closed"
    assert code(await acme.change_role(joe, "viewer")) == "tenant_closed"
    assert code(await acme.remove(joe)) == "tenant_closed"
    assert (await acme.remove(joe, joe)).status == "succeeded", "whoever wants to go may go"
    assert (await acme.resume(operator)).status == "succeeded"
    assert len(await platform.events(TenantResumed)) == 1
    assert (await acme.send(RenameTenant(tenant_id=acme.tenant_id, name="Other"))).status == "succeeded"


async def test_operators_alone_suspend_and_resume(platform: Harness, acme: Company) -> None:
    support, operator = await staff(platform, "support"), await staff(platform)
    assert code(await acme.suspend(acme.owner_id)) == "not_permitted"
    assert code(await acme.suspend(support)) == "not_permitted"
    assert code(await acme.suspend(new_id("user"))) == "tenant_not_found"
    assert code(await acme.suspend(operator, " ")) == "required"
    assert code(await acme.suspend(operator, "x" * 501)) == "too_long"
    assert code(await acme.resume(operator)) == "wrong_status"
    await acme.suspend(operator)
    assert code(await acme.suspend(operator)) == "wrong_status"
    assert code(await acme.resume(acme.owner_id)) == "not_permitted"
    assert await acme.status() == "suspended"


async def test_the_platform_itself_is_neither_suspended_nor_deleted(platform: Harness) -> None:
    operator = await staff(platform)
    for command in (
        SuspendTenant(tenant_id=PLATFORM_TENANT_ID, reason="no"),
        DeleteTenant(tenant_id=PLATFORM_TENANT_ID),
    ):
        assert code(await platform.request(command, actor=operator)) == "platform_tenant"


@pytest.mark.parametrize("role", ["admin", "billing", "member", "viewer"])
async def test_owners_alone_delete_and_restore(platform: Harness, acme: Company, role: TenantRole) -> None:
    joe = await acme.take_in("joe@example.com", role)
    assert code(await acme.delete(joe)) == "not_permitted"
    assert (await acme.delete()).status == "succeeded"
    assert code(await acme.restore(joe)) == "not_permitted"
    assert code(await acme.delete()) == "wrong_status", "it is being deleted already"


async def test_a_deletion_is_taken_back_in_the_grace_period(platform: Harness, acme: Company) -> None:
    second = await acme.take_in("second@example.com", "owner")
    answer = await acme.delete()
    assert answer.result is not None
    [requested] = await platform.events(TenantDeletionRequested)
    assert requested.purge_at == platform.clock.at + GRACE
    assert code(await acme.send(RenameTenant(tenant_id=acme.tenant_id, name="Other"))) == "tenant_closed"
    assert (await acme.restore(second)).status == "succeeded"
    [restored] = await platform.events(TenantRestored)
    assert restored.status == "active"
    assert not await platform.fetch("SELECT FROM bus.timers WHERE tenant_id = $1", acme.tenant_id)
    both = [acme.owner_email, "second@example.com"]
    assert await acme.mailed() == [("tenant_deletion_requested", to) for to in both] + [
        ("tenant_restored", to) for to in both
    ]
    assert code(await acme.restore()) == "wrong_status"


async def test_a_suspended_tenant_that_is_restored_is_suspended_still(platform: Harness, acme: Company) -> None:
    operator = await staff(platform)
    await acme.suspend(operator)
    assert (await acme.delete()).status == "succeeded"
    assert (await acme.restore()).status == "succeeded"
    assert await acme.status() == "suspended"
    assert (await acme.resume(operator)).status == "succeeded"


async def test_a_purge_leaves_a_row_without_a_name(platform: Harness, acme: Company, edge: Database) -> None:
    await acme.take_in("joe@example.com", "admin")
    await acme.invite("open@example.com")
    await acme.set_clock(START)
    assert (await acme.delete()).status == "succeeded"
    await platform.settle()
    assert await platform.fire_timers(acme.tenant_id, START + GRACE - timedelta(seconds=1)) == 0
    assert await acme.status() == "deleting"
    assert await platform.fire_timers(acme.tenant_id, START + GRACE) == 1
    assert await acme.status() == "deleted"
    assert [event.tenant_id for event in await platform.events(TenantDeleted)] == [acme.tenant_id]
    assert (await acme.mailed())[-1] == ("tenant_deleted", acme.owner_email)
    mail = await platform.fetch(
        "SELECT tenant_id FROM bus.event_log WHERE convert_from(data, 'utf8') LIKE '%tenant_deleted%'"
    )
    assert PLATFORM_TENANT_ID in {row["tenant_id"] for row in mail}, "the last mail is the platform's"
    for table in ("members", "invitations", "limits", "configs", "provisioning_steps"):
        assert not await platform.fetch(f"SELECT FROM tenants.{table} WHERE tenant_id = $1", acme.tenant_id), table
    dump = str(await platform.fetch("SELECT * FROM tenants.tenants WHERE tenant_id = $1", acme.tenant_id))
    assert "Acme" not in dump
    assert "example.com" not in dump
    assert acme.owner_id not in dump
    async with edge.scope(user_id=acme.owner_id) as connection:
        assert not (await queries.tenants_of(connection, acme.owner_id)).rows
    assert code(await acme.restore()) == "tenant_not_found"


async def test_a_purge_that_comes_early_twice_or_too_late_does_nothing(platform: Harness, acme: Company) -> None:
    purge = PurgeTenant(tenant_id=acme.tenant_id)
    assert (await acme.send(purge, "scheduler")).status == "succeeded"
    assert await acme.status() == "active", "nobody asked for it"
    await acme.delete()
    await acme.send(purge, "scheduler")
    assert await acme.status() == "deleting", "the grace period is not over"
    [timer] = await platform.fetch("SELECT due_at FROM bus.timers WHERE tenant_id = $1", acme.tenant_id)
    assert timer["due_at"] == platform.clock.at + GRACE, "it comes again"
    platform.clock.at += GRACE
    await acme.send(purge, "scheduler")
    await acme.send(purge, "scheduler")
    assert len(await platform.events(TenantDeleted)) == 1


async def test_nothing_of_a_living_tenant_can_be_purged_by_mistake(platform: Harness, acme: Company) -> None:
    """The database refuses a DELETE outside of a purge, whatever the domain's code says."""
    await acme.invite("open@example.com")
    database = await Database.connect(platform.url, "prog_tenants")
    try:
        for table in ("invitations", "limits", "configs", "provisioning_steps"):
            async with database.scope(tenant_id=acme.tenant_id) as connection:
                assert await connection.execute(f"DELETE FROM tenants.{table}") == "DELETE 0"
                assert await connection.fetch(f"SELECT FROM tenants.{table}"), table
    finally:
        await database.close()


def test_the_grace_period_is_told_where_it_is_promised() -> None:
    assert rules.DELETION_GRACE == GRACE
