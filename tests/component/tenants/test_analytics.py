"""Tenants counted by a role that can read nothing else of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date

import asyncpg
import pytest

from prog_contracts.ids import new_id
from prog_kit.database import Database
from prog_workers.tenants import queries
from tests.component.harness import Harness
from tests.component.tenants.company import Company

TODAY = date(2027, 1, 15)


@pytest.fixture
async def analyst(platform: Harness) -> AsyncIterator[Database]:
    database = await Database.connect(platform.url, "prog_edge", max_size=1)
    yield database
    await database.close()


async def tenants(platform: Harness, count: int, *, plan: str | None, members: int = 2, status: str = "active") -> None:
    for _ in range(count):
        tenant_id = new_id("tenant")
        await platform.admin.execute(
            "INSERT INTO tenants.tenants (tenant_id, name, slug, status, plan, member_count, created_at, updated_at)"
            " VALUES ($1, 'Secret name', $1, $2, $3, $4, '2026-12-31 23:59Z', '2026-12-31 23:59Z')",
            tenant_id,
            status,
            plan,
            members,
        )


async def test_groups_are_counted_and_small_ones_are_not_told(platform: Harness, analyst: Database) -> None:
    await tenants(platform, 7, plan=None)
    await tenants(platform, 5, plan="Growth", members=30)
    await tenants(platform, 4, plan="starter")
    await tenants(platform, 6, plan="growth", status="deleted")
    async with analyst.analyst() as connection:
        total, plans = await queries.tenants_by(connection, "plan", TODAY)
        _, months = await queries.tenants_by(connection, "month", TODAY)
        _, sizes = await queries.tenants_by(connection, "size", TODAY)
    assert (total.tenants, total.mean_members) == (10, 14), "those of the two groups that are told"
    assert {item.group: item.tenants for item in plans} == {
        "free": 5, "starter": None, "growth": 5, "scale": None, "other": None
    }  # fmt: skip
    assert {item.group: item.mean_members for item in plans}["growth"] == 30
    assert {item.group: item.tenants for item in months if item.tenants} == {"2026-12": 15}
    assert {item.group: item.tenants for item in sizes if item.tenants} == {"2-5": 10, "21-100": 5}


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT name FROM tenants.tenants",
        "SELECT tenant_id FROM tenants.tenants",
        "SELECT owner_email FROM tenants.tenants",
        "SELECT * FROM tenants.tenants",
        "SELECT count(*) FROM tenants.members",
        "SELECT count(*) FROM tenants.configs",
        "SELECT count(*) FROM bus.event_log",
        "SELECT count(*) FROM users.users",
        "UPDATE tenants.tenants SET plan = 'scale'",
    ],
)
async def test_the_analyst_reads_nothing_else(
    platform: Harness, acme: Company, analyst: Database, statement: str
) -> None:
    with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.ReadOnlySQLTransactionError)):
        async with analyst.analyst() as connection:
            await connection.execute(statement)


async def test_the_role_ends_with_its_transaction(platform: Harness, acme: Company, analyst: Database) -> None:
    async with analyst.analyst() as connection:
        assert await connection.fetchval("SELECT count(*) FROM tenants.tenants WHERE status = 'active'") == 1
    async with analyst.scope() as connection:
        assert await connection.fetchval("SELECT current_user") == "prog_edge"
        assert await connection.fetchval("SELECT count(tenant_id) FROM tenants.tenants") == 0
