"""What the edge may read of tenants."""

import asyncpg
import pytest

from prog_contracts.errors import Invalid
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_kit.database import Database
from prog_workers.tenants import queries
from tests.component.harness import Harness
from tests.component.tenants.company import Company

TABLES = ("tenants", "members", "invitations", "limits", "configs", "config_versions", "logos", "provisioning_steps")


async def test_one_tenant_sees_nothing_of_another(platform: Harness, acme: Company, edge: Database) -> None:
    other = Company(platform, name="Other")
    await other.open()
    await other.invite("secret@example.com")
    now = platform.clock.at
    async with edge.scope(tenant_id=acme.tenant_id) as connection:
        assert await queries.tenant(connection, other.tenant_id) is None
        assert await queries.role_of(connection, other.tenant_id, other.owner_id) is None
        assert not await queries.members(connection, other.tenant_id)
        assert not await queries.open_invitations(connection, other.tenant_id, now)
        assert not await queries.limits(connection, other.tenant_id)
        assert await queries.config(connection, other.tenant_id) is None
        assert not (await queries.tenants_of(connection, other.owner_id)).rows
        page = await queries.list_tenants(connection)
        assert [row.tenant_id for row in page.rows] == [acme.tenant_id]
        assert await queries.names_of(connection, [acme.tenant_id, other.tenant_id]) == {acme.tenant_id: acme.name}


@pytest.mark.parametrize("role", ["prog_edge", "prog_tenants"])
async def test_without_a_tenant_no_row_is_visible(platform: Harness, acme: Company, role: str) -> None:
    await acme.invite("joe@example.com")
    database = await Database.connect(platform.url, role)
    async with database.scope() as connection:
        for table in TABLES:
            assert await connection.fetchval(f"SELECT count(tenant_id) FROM tenants.{table}") == 0, table
    await database.close()


async def test_a_person_sees_the_own_tenants_and_no_other_members(
    platform: Harness, acme: Company, edge: Database
) -> None:
    joe = await acme.take_in("joe@example.com", "viewer")
    await Company(platform, name="Other").open()
    async with edge.scope(user_id=joe) as connection:
        [membership] = (await queries.tenants_of(connection, joe)).rows
        assert (membership.name, membership.role, membership.member_count) == ("Acme Ltd", "viewer", 2)
        assert [row.user_id for row in await queries.members(connection, acme.tenant_id)] == [joe]
        assert await queries.role_of(connection, acme.tenant_id, joe) == "viewer"
        assert not (await queries.tenants_of(connection, acme.owner_id)).rows


async def test_whoever_is_a_member_of_very_many_tenants_reaches_all_of_them(
    platform: Harness, acme: Company, edge: Database
) -> None:
    await platform.fetch(
        "WITH t AS (INSERT INTO tenants.tenants (tenant_id, name, slug, status, created_at, updated_at)"
        " SELECT 'tenant_' || lpad(n::text, 26, '0'), 'Customer ' || n, 'customer-' || n, 'active', $2, $2"
        " FROM generate_series(1000, 1599) AS n RETURNING tenant_id)"
        " INSERT INTO tenants.members (tenant_id, user_id, email, name, role, joined_at)"
        " SELECT tenant_id, $1, 'owner@example.com', 'Olga Owner', 'admin', $2 FROM t",
        acme.owner_id,
        platform.clock.at,
    )
    async with edge.scope(user_id=acme.owner_id) as connection:
        roles = await queries.roles_of(connection, acme.owner_id)
        assert (len(roles), roles[acme.tenant_id]) == (601, "owner")
        seen: list[str] = []
        cursor: str | None = None
        while cursor is not None or not seen:
            page = await queries.tenants_of(connection, acme.owner_id, limit=250, cursor=cursor)
            seen, cursor = [*seen, *(row.tenant_id for row in page.rows)], page.next_cursor
        assert sorted(seen) == sorted(roles)
        found = await queries.tenants_of(connection, acme.owner_id, search="MER-1234", status="active")
        assert [row.slug for row in found.rows] == ["customer-1234"]
        assert not (await queries.tenants_of(connection, acme.owner_id, status="suspended")).rows


async def test_members_of_a_large_tenant_are_told_in_pages(platform: Harness, acme: Company, edge: Database) -> None:
    for number in range(3):
        await acme.take_in(f"joe{number}@example.com", "viewer")  # at one instant, as from a directory
    async with edge.scope(tenant_id=acme.tenant_id) as connection:
        everybody = [row.user_id for row in await queries.members(connection, acme.tenant_id)]
        seen: list[str] = []
        cursor = None
        while True:
            page = await queries.members_page(connection, acme.tenant_id, limit=2, cursor=cursor)
            seen += [row.user_id for row in page.rows]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert (len(seen), seen) == (4, everybody)
        with pytest.raises(Invalid):
            await queries.members_page(connection, acme.tenant_id, cursor="W10")


async def test_the_edge_writes_nothing_and_sees_no_digest(acme: Company, edge: Database) -> None:
    for query in (
        "UPDATE tenants.members SET role = 'owner'",
        "INSERT INTO tenants.staff VALUES ('user_x', 'operator')",
        "SELECT token_digest FROM tenants.invitations",
        "SELECT role FROM tenants.staff",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with edge.scope(tenant_id=acme.tenant_id, user_id=acme.owner_id) as connection:
                await connection.execute(query)


async def test_operators_list_all_tenants_in_pages(platform: Harness, edge: Database) -> None:
    companies = [Company(platform, name=f"Company {number}", owner_email=f"o{number}@x.org") for number in range(4)]
    for company in companies:
        await company.open()
    async with edge.operator() as connection:
        seen: list[str] = []
        cursor = None
        while True:
            page = await queries.list_tenants(connection, limit=2, cursor=cursor)
            seen += [row.tenant_id for row in page.rows]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert sorted(seen) == sorted([*(company.tenant_id for company in companies), PLATFORM_TENANT_ID])
        assert await queries.count(connection) == 5
        found = await queries.list_tenants(connection, search="O2@x")
        assert [row.name for row in found.rows] == ["Company 2"]
        assert not (await queries.list_tenants(connection, status="suspended")).rows
        names = await queries.names_of(connection, [companies[0].tenant_id, new_id("tenant")])
        assert names == {companies[0].tenant_id: "Company 0"}
