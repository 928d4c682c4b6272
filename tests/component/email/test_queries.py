"""What the edge may read: a tenant's own mails, for the operator all, and never what a mail hides."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from prog_contracts.email import CaptureLead, SendMail
from prog_contracts.errors import Invalid
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_kit.database import Database
from prog_workers.email import queries
from tests.component.harness import Harness

ONE, OTHER = new_id("tenant"), new_id("tenant")


@pytest.fixture
async def edge(platform: Harness, postgres: str) -> AsyncIterator[Database]:
    database = await Database.connect(postgres, "prog_edge", max_size=1)
    yield database
    await database.close()


async def write(platform: Harness, tenant_id: str, to: str = "ada@example.com") -> str:
    command = SendMail(mail_id=new_id("mail"), template="welcome", to=to, to_name="Ada")
    answer = await platform.request(command, tenant_id=tenant_id)
    assert answer.status == "succeeded"
    return command.mail_id


async def test_a_tenant_sees_its_own_mails_and_the_operator_all(platform: Harness, edge: Database) -> None:
    mine, others = await write(platform, ONE), await write(platform, OTHER)
    async with edge.scope(tenant_id=ONE) as connection:
        assert [mail.mail_id for mail in (await queries.mails(connection)).rows] == [mine]
        assert await queries.mail(connection, others) is None
        assert await queries.timeline(connection, others) == []
    async with edge.scope() as connection:
        assert (await queries.mails(connection)).rows == []
    async with edge.operator() as connection:
        assert {mail.mail_id for mail in (await queries.mails(connection)).rows} == {mine, others}


async def test_a_mail_tells_every_status_that_it_had(platform: Harness, edge: Database) -> None:
    mail_id = await write(platform, ONE)
    await platform.settle()
    async with edge.scope(tenant_id=ONE) as connection:
        mail = await queries.mail(connection, mail_id)
        steps = await queries.timeline(connection, mail_id)
    assert mail is not None
    assert (mail.status, mail.provider, mail.provider_id) == ("sent", "scripted", "taken-1")
    assert [(step.status, step.attempt) for step in steps] == [("queued", 0), ("sending", 1), ("sent", 1)]


async def test_mails_are_filtered_and_paged(platform: Harness, edge: Database) -> None:
    made = [await write(platform, ONE, to=f"{name}@example.com") for name in ("ada", "eve", "ada", "ada")]
    await platform.settle()
    last = await write(platform, ONE)
    async with edge.scope(tenant_id=ONE) as connection:
        first = await queries.mails(connection, recipient="ADA@example.com", status="sent", limit=2)
        second = await queries.mails(
            connection, recipient="ada@example.com", status="sent", limit=2, cursor=first.next_cursor
        )
        waiting = await queries.mails(connection, status="queued")
    assert [mail.mail_id for mail in (*first.rows, *second.rows)] == [made[3], made[2], made[0]]
    assert second.next_cursor is None
    assert [mail.mail_id for mail in waiting.rows] == [last]


@pytest.mark.parametrize("cursor", ["", "nonsense", "WzEsMl0", "W10"])
async def test_a_made_up_cursor_is_refused(platform: Harness, edge: Database, cursor: str) -> None:
    async with edge.scope(tenant_id=ONE) as connection:
        with pytest.raises(Invalid):
            await queries.mails(connection, cursor=cursor)


async def test_the_mails_of_a_story_hang_on_the_message_that_asked_for_them(platform: Harness, edge: Database) -> None:
    await write(platform, ONE)
    (row,) = await platform.fetch("SELECT message_id, correlation_id FROM email.mails")
    async with edge.operator() as connection:
        (mail,) = await queries.mails_of_stories(connection, [row["correlation_id"]])
    assert mail.message_id == row["message_id"]


async def test_leads_are_listed_newest_first(platform: Harness, edge: Database) -> None:
    for name in ("ada", "eve", "grace"):
        await platform.request(CaptureLead(lead_id=new_id("lead"), email=f"{name}@example.com"))
    async with edge.scope(tenant_id=PLATFORM_TENANT_ID) as connection:
        first = await queries.leads(connection, limit=2)
        second = await queries.leads(connection, limit=2, cursor=first.next_cursor)
    assert [lead.address[:3] for lead in (*first.rows, *second.rows)] == ["gra", "eve", "ada"]


@pytest.mark.parametrize("column", ["data", "sealed_data"])
@pytest.mark.parametrize("role", ["edge", "operator"])
async def test_nobody_but_the_domain_reads_what_a_mail_is_made_of(
    platform: Harness, edge: Database, column: str, role: str
) -> None:
    await write(platform, ONE)
    scope = edge.scope(tenant_id=ONE) if role == "edge" else edge.operator()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with scope as connection:
            await connection.fetch(f"SELECT {column} FROM email.mails")


async def test_the_edge_writes_no_mail(platform: Harness, edge: Database) -> None:
    await write(platform, ONE)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with edge.scope(tenant_id=ONE) as connection:
            await connection.execute("UPDATE email.mails SET status = 'sent'")


async def test_a_worker_cannot_touch_another_tenant_s_mail(platform: Harness, postgres: str) -> None:
    await write(platform, OTHER)
    database = await Database.connect(postgres, "prog_email", max_size=1)
    async with database.scope(tenant_id=ONE) as connection:
        assert await connection.execute("UPDATE email.mails SET status = 'sent'") == "UPDATE 0"
        assert await connection.fetch("SELECT FROM email.mails") == []
    await database.close()
