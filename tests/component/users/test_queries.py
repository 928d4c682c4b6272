"""What the edge may read of people."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from prog_contracts.errors import Invalid
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_contracts.tenants import MemberJoined, MemberRemoved, TenantCreated, TenantDeleted
from prog_contracts.users import EndSession
from prog_kit.database import Database
from prog_workers.users import queries
from tests.component.harness import Harness
from tests.component.users.people import Person, administrator
from tests.lasting import kept


@pytest.fixture
async def edge(platform: Harness) -> AsyncIterator[Database]:
    async with kept().database(platform.url, "prog_edge") as database:
        yield database


async def test_a_person_sees_the_own_account_and_sessions_alone(platform: Harness, ada: Person, edge: Database) -> None:
    bob = Person(platform, email="bob@example.com", name="Bob")
    await ada.become_verified()
    await bob.become_verified()
    mine, theirs = await ada.tokens(), await bob.tokens()
    now = platform.clock.at
    async with edge.scope(user_id=ada.user_id) as connection:
        me = await queries.user(connection, ada.user_id)
        assert me is not None
        assert me.email_verified
        assert await queries.user(connection, bob.user_id) is None
        assert await queries.live_session(connection, mine.session_id, now)
        assert not await queries.live_session(connection, theirs.session_id, now)
        assert [row.session_id for row in await queries.sessions_of(connection, ada.user_id, now)] == [mine.session_id]
        assert not await queries.sessions_of(connection, bob.user_id, now)
        assert await queries.count(connection) == 1
    async with edge.scope(tenant_id=PLATFORM_TENANT_ID) as connection:
        assert await queries.count(connection) == 0


async def test_an_ended_session_is_not_live(platform: Harness, ada: Person, edge: Database) -> None:
    await ada.become_verified()
    tokens = await ada.tokens()
    await platform.request(EndSession(session_id=tokens.session_id), actor=ada.user_id)
    async with edge.scope(user_id=ada.user_id) as connection:
        assert not await queries.live_session(connection, tokens.session_id, platform.clock.at)


async def test_the_edge_reads_no_secret_and_writes_nothing(edge: Database) -> None:
    for query in (
        "SELECT hash FROM users.passwords",
        "SELECT digest FROM users.refresh_tokens",
        "SELECT digest FROM users.link_tokens",
        "SELECT sealed_private_key FROM users.signing_keys",
        "UPDATE users.users SET platform_role = 'operator'",
    ):
        for scope in (edge.scope(), edge.operator()):
            with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.ReadOnlySQLTransactionError)):
                async with scope as connection:
                    await connection.execute(query)


async def test_operators_list_everybody_in_pages(platform: Harness, edge: Database) -> None:
    await administrator(platform)
    for number in range(4):
        await Person(platform, email=f"p{number}@example.com", name=f"Person {number}").sign_up()
    async with edge.operator() as connection:
        first = await queries.list_users(connection, limit=3)
        second = await queries.list_users(connection, limit=3, cursor=first.next_cursor)
        assert second.next_cursor is None
        emails = [row.email for row in (*first.rows, *second.rows)]
        assert sorted(emails) == [
            "p0@example.com",
            "p1@example.com",
            "p2@example.com",
            "p3@example.com",
            "root@example.com",
        ]
        assert [row.email for row in (await queries.list_users(connection, email_prefix="P3")).rows] == [
            "p3@example.com"
        ]
        assert [row.email for row in (await queries.list_users(connection, role="operator")).rows] == [
            "root@example.com"
        ]
        assert len((await queries.list_users(connection, verified=False)).rows) == 4
        assert [row.name for row in (await queries.list_users(connection, search="person 2")).rows] == ["Person 2"]
        assert not (await queries.list_users(connection, search="p%")).rows
        with pytest.raises(Invalid):
            await queries.list_users(connection, cursor="nonsense")


async def test_sign_in_opens_the_first_tenant_that_was_made_or_joined(
    platform: Harness, ada: Person, edge: Database
) -> None:
    await ada.sign_up()
    first, second = new_id("tenant"), new_id("tenant")

    async def home() -> str | None:
        async with edge.scope(user_id=ada.user_id) as connection:
            row = await queries.user(connection, ada.user_id)
        assert row is not None
        return row.home_tenant_id

    created = TenantCreated(
        tenant_id=first, name="First", slug="first", status="active", created_at=platform.clock.at,
        owner_user_id=ada.user_id, owner_email=ada.email, owner_name=ada.name,
    )  # fmt: skip
    await platform.publish(created, tenant_id=first)
    joined = MemberJoined(tenant_id=second, user_id=ada.user_id, email=ada.email, name=ada.name, role="member")
    await platform.publish(joined, tenant_id=second)
    assert await home() == first
    gone = MemberRemoved(
        tenant_id=second, user_id=ada.user_id, email=ada.email, name=ada.name, role="member", reason="removed"
    )
    await platform.publish(gone, tenant_id=second)
    assert await home() == first, "another tenant than the one that sign-in opens"
    await platform.publish(gone.model_copy(update={"tenant_id": first}), tenant_id=first)
    assert await home() is None
    await platform.publish(joined, tenant_id=second)
    await platform.publish(TenantDeleted(tenant_id=first), tenant_id=first)
    assert await home() == second
    await platform.publish(TenantDeleted(tenant_id=second), tenant_id=second)
    assert await home() is None
    await platform.publish(created, tenant_id=first)
    await platform.publish(TenantDeleted(tenant_id=first), tenant_id=first)
    assert await home() is None
