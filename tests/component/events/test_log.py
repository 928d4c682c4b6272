"""The read side of the log on a real database: what happened is found, in order, and only by whom it concerns."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import pytest

from prog_broker.domain import Domain
from prog_broker.transaction import Transaction
from prog_contracts.email import EmailSent
from prog_contracts.envelope import wrap
from prog_contracts.errors import Conflict, Invalid, Unavailable
from prog_contracts.events import EventPublished, PublishEvent
from prog_contracts.ids import encode_id, new_id, new_message_id
from prog_contracts.tenants import ProvisionTenant, RenameTenant, TenantUpdated
from prog_kit.database import Connection, Database
from prog_workers.events import queries
from prog_workers.events.app import domain as events
from tests.component.harness import Harness
from tests.lasting import kept

OURS, THEIRS = new_id("tenant"), new_id("tenant")

tenants = Domain("tenants")
email = Domain("email")


@tenants.handles(RenameTenant)
async def rename(command: RenameTenant, tx: Transaction) -> TenantUpdated:
    """A stand-in whose behaviour hangs on the name."""
    if command.name == "taken":
        raise Conflict("The name is taken.", code="name_taken")
    if command.name == "away":
        raise Unavailable("try again")
    if command.name == "broken":
        raise RuntimeError("a defect")
    return TenantUpdated(tenant_id=command.tenant_id, name=command.name, status="active")


@tenants.handles(ProvisionTenant)
async def provision(command: ProvisionTenant, tx: Transaction) -> None:
    return None


@email.handles(TenantUpdated)
async def tell_the_owner(event: TenantUpdated, tx: Transaction) -> EmailSent:
    return EmailSent(
        mail_id=new_id("mail"), template="t", to="a@b.c", subject_line="s", provider="p", occurred_at=tx.now
    )


@pytest.fixture
async def platform(postgres: str) -> AsyncIterator[Harness]:
    async with Harness(postgres, tenants, email, events) as platform:
        yield platform


@pytest.fixture
async def edge(platform: Harness) -> AsyncIterator[Database]:
    async with kept().database(platform.url, "prog_edge") as database:
        yield database


@asynccontextmanager
async def viewer(edge: Database, tenant_id: str | None) -> AsyncIterator[Connection]:
    """A connection that sees one tenant's rows, or as the operator those of all."""
    async with edge.operator() if tenant_id is None else edge.scope(tenant_id=tenant_id) as connection:
        yield connection


async def rename_to(platform: Harness, name: str, tenant_id: str = OURS) -> UUID:
    """Sends the command, lets all that follows happen, and returns the command's id."""
    message_id = new_message_id()
    command = RenameTenant(tenant_id=tenant_id, name=name)
    await platform.request(command, tenant_id=tenant_id, message_id=message_id, actor="user_somebody")
    await platform.settle()
    return message_id


async def publish_all(platform: Harness) -> None:
    """Moves the relay's cursor to the end, as if all were published."""
    await platform.admin.execute(
        "UPDATE bus.relay_cursors SET (txid, position) ="
        " (SELECT txid, position FROM bus.event_log ORDER BY txid DESC, position DESC LIMIT 1)"
    )


async def test_events_come_newest_first_page_by_page(platform: Harness, edge: Database) -> None:
    for number in range(3):
        await rename_to(platform, f"name {number}")
    async with viewer(edge, OURS) as connection:
        first = await queries.events(connection, limit=4)
        rest = await queries.events(connection, limit=4, cursor=first.next_cursor)
        positions = [row.position for row in (*first.rows, *rest.rows)]
    assert len(positions) == 6
    assert positions == sorted(positions, reverse=True)
    assert rest.next_cursor is None
    assert {row.type for row in first.rows} == {TenantUpdated.TYPE, EmailSent.TYPE}
    assert first.rows[1].body["name"] == "name 2"


async def test_events_are_filtered_by_type_domain_subject_and_tenant(platform: Harness, edge: Database) -> None:
    ours, theirs = await rename_to(platform, "a"), await rename_to(platform, "b", THEIRS)
    async with viewer(edge, None) as connection:
        by_type = await queries.events(connection, types=[EmailSent.TYPE])
        by_domain = await queries.events(connection, domain="tenants")
        by_subject = await queries.events(connection, subject=THEIRS)
        by_both = await queries.events(connection, subject=THEIRS, types=[EmailSent.TYPE])
        by_tenant = await queries.events(connection, tenant_id=OURS)
        by_story = await queries.events(connection, correlation_id=ours)
        nothing = await queries.events(connection, types=["prognetwork.no.such"])
    assert [row.type for row in by_type.rows] == [EmailSent.TYPE] * 2
    assert [row.type for row in by_domain.rows] == [TenantUpdated.TYPE] * 2
    assert [row.correlation_id for row in by_subject.rows] == [theirs]
    assert not by_both.rows
    assert {row.tenant_id for row in by_tenant.rows} == {OURS}
    assert [row.correlation_id for row in by_story.rows] == [ours, ours]
    assert not nothing.rows


async def test_a_filtered_list_has_pages_too(platform: Harness, edge: Database) -> None:
    for number in range(3):
        await rename_to(platform, str(number))
    async with viewer(edge, OURS) as connection:
        first = await queries.events(connection, domain="tenants", limit=2)
        rest = await queries.events(connection, domain="tenants", limit=2, cursor=first.next_cursor)
    assert [row.body["name"] for row in (*first.rows, *rest.rows)] == ["2", "1", "0"]


async def test_a_foreign_cursor_is_refused(edge: Database) -> None:
    async with viewer(edge, OURS) as connection:
        for listing in (queries.events, queries.messages, queries.dead_letters):
            with pytest.raises(Invalid):
                await listing(connection, cursor="nonsense")


async def test_one_event_is_found_by_its_id(platform: Harness, edge: Database) -> None:
    await rename_to(platform, "a")
    async with viewer(edge, OURS) as connection:
        newest = (await queries.events(connection)).rows[0]
        assert await queries.event(connection, newest.message_id) == newest
    async with viewer(edge, THEIRS) as connection:
        assert await queries.event(connection, newest.message_id) is None


async def test_a_customers_event_is_published_and_found_by_each_object_in_it(platform: Harness, edge: Database) -> None:
    order, person = new_id("order"), new_id("person")
    command = PublishEvent(name="order.placed", subject_id=order, payload={"by": person, "total": 3})
    await platform.request(command, tenant_id=OURS)
    [published] = await platform.events(EventPublished)
    assert published.payload == {"by": person, "total": 3}
    async with viewer(edge, OURS) as connection:
        assert [row.subject for row in (await queries.events(connection, subject=order)).rows] == [order]
        for object_id in (order, person):
            story = await queries.story(connection, object_id)
            assert story is not None
            assert [node.type for node in story.walk()] == [PublishEvent.TYPE, EventPublished.TYPE]


async def test_a_story_is_the_tree_of_causes_with_who_handled_what(platform: Harness, edge: Database) -> None:
    command_id = await rename_to(platform, "a")
    async with viewer(edge, OURS) as connection:
        story = await queries.story(connection, str(command_id))
    assert story is not None
    [command] = story.roots
    assert (command.kind, command.type, command.actor, command.body) == (
        "command",
        RenameTenant.TYPE,
        "user_somebody",
        None,
    )
    assert [(item.group, item.status) for item in command.handled] == [("tenants", "succeeded")]
    [updated] = command.children
    assert (updated.kind, updated.type, updated.subject) == ("event", TenantUpdated.TYPE, OURS)
    assert updated.body is not None
    assert updated.body["name"] == "a"
    assert sorted(item.group for item in updated.handled) == ["email", "events"]
    assert command.handled[0].microseconds is not None
    [sent] = updated.children
    assert sent.type == EmailSent.TYPE
    assert not story.truncated


async def test_every_id_in_a_story_opens_it(platform: Harness, edge: Database) -> None:
    command_id = await rename_to(platform, "a")
    [mail] = await platform.events(EmailSent)
    async with viewer(edge, OURS) as connection:
        whole = await queries.story(connection, str(command_id))
        assert whole is not None
        ids = [str(node.message_id) for node in whole.walk()]
        ids += [mail.mail_id, OURS, encode_id("operation", command_id)]
        for any_id in ids:
            story = await queries.story(connection, any_id)
            assert story is not None, any_id
            assert story.roots == whole.roots, any_id


async def test_a_long_lived_object_has_a_tree_for_each_beginning(platform: Harness, edge: Database) -> None:
    started = [await rename_to(platform, name) for name in "abc"]
    async with viewer(edge, OURS) as connection:
        story = await queries.story(connection, OURS)
        cut = await queries.story(connection, OURS, limit=4)
    assert story is not None
    assert [root.message_id for root in story.roots] == started
    assert cut is not None
    assert cut.truncated
    assert sum(1 for _ in cut.walk()) == 4


async def test_a_refused_command_tells_why(platform: Harness, edge: Database) -> None:
    command_id = await rename_to(platform, "taken")
    async with viewer(edge, OURS) as connection:
        story = await queries.story(connection, str(command_id))
        operation = await queries.operation(connection, command_id)
        [row] = (await queries.messages(connection)).rows
    assert story is not None
    [handling] = story.roots[0].handled
    assert handling.status == "failed"
    assert handling.error is not None
    assert handling.error["code"] == "name_taken"
    assert operation is not None
    assert operation.status == "failed"
    assert operation.error == handling.error
    assert (row.status, row.error) == ("failed", handling.error)


async def test_a_command_that_waits_for_another_try_is_pending_and_listed(platform: Harness, edge: Database) -> None:
    command_id = await rename_to(platform, "away")
    behind = await rename_to(platform, "behind")
    async with viewer(edge, OURS) as connection:
        operation = await queries.operation(connection, command_id)
        listed = await queries.messages(connection, status="retrying")
        filtered = await queries.messages(connection, status="retrying", domain="users")
    assert operation is not None
    assert operation.status == "pending"
    assert {row.message_id for row in listed.rows} == {command_id, behind}
    assert {row.type for row in listed.rows} == {RenameTenant.TYPE}
    assert not filtered.rows


async def test_an_operation_succeeds_with_its_result(platform: Harness, edge: Database) -> None:
    command_id = await rename_to(platform, "a")
    async with viewer(edge, OURS) as connection:
        operation = await queries.operation(connection, command_id)
        unknown = await queries.operation(connection, new_message_id())
    assert operation is not None
    assert operation.status == "succeeded"
    assert operation.result is not None
    assert operation.result["name"] == "a"
    assert unknown is None


async def test_a_command_that_only_the_outbox_holds_is_pending(platform: Harness, edge: Database) -> None:
    command = wrap(RenameTenant(tenant_id=OURS, name="a"), tenant_id=OURS, source="/prognetwork/edge")
    await platform.admin.execute(
        "INSERT INTO bus.command_outbox (message_id, tenant_id, topic, partition_key, attributes, data)"
        " VALUES ($1, $2, 'prog.tenants.commands', $2, '{}', '{}')",
        command.id,
        OURS,
    )
    async with viewer(edge, OURS) as connection:
        operation = await queries.operation(connection, command.id)
    assert operation is not None
    assert operation.status == "pending"


async def test_messages_are_commands_alone_newest_first(platform: Harness, edge: Database) -> None:
    sent = [await rename_to(platform, name) for name in "abc"]
    async with viewer(edge, OURS) as connection:
        first = await queries.messages(connection, limit=2)
        rest = await queries.messages(connection, limit=2, cursor=first.next_cursor)
        of_email = await queries.messages(connection, domain="email")
        failed = await queries.messages(connection, status="failed")
    assert [row.message_id for row in (*first.rows, *rest.rows)] == sent[::-1]
    assert rest.next_cursor is None
    assert not of_email.rows
    assert not failed.rows


async def test_dead_letters_are_grouped_by_cause(platform: Harness, edge: Database) -> None:
    for tenant_id in (OURS, THEIRS):
        await rename_to(platform, "broken", tenant_id)
    async with viewer(edge, None) as connection:
        [group] = await queries.dead_letter_groups(connection)
        letters = await queries.dead_letters(connection, group="tenants", fingerprint=group.fingerprint, limit=1)
        rest = await queries.dead_letters(connection, limit=1, cursor=letters.next_cursor)
        nobody = await queries.dead_letters(connection, group="users")
        one = await queries.dead_letter(connection, letters.rows[0].id)
    assert (group.count, group.tenants, group.consumer_group, group.type) == (2, 2, "tenants", RenameTenant.TYPE)
    assert group.latest_id == letters.rows[0].id
    assert [row.tenant_id for row in (*letters.rows, *rest.rows)] == [THEIRS, OURS]
    assert rest.next_cursor is None
    assert not nobody.rows
    assert one == letters.rows[0]
    assert one is not None
    assert "a defect" in (one.traceback or "")
    assert isinstance(one.body, dict)
    assert one.body["name"] == "broken"


async def test_the_dead_are_told_in_story_and_operation(platform: Harness, edge: Database) -> None:
    command_id = await rename_to(platform, "broken")
    async with viewer(edge, OURS) as connection:
        story = await queries.story(connection, str(command_id))
        operation = await queries.operation(connection, command_id)
        [dead] = (await queries.messages(connection, status="dead")).rows
    assert story is not None
    assert [(item.group, item.status) for item in story.roots[0].handled] == [("tenants", "dead")]
    assert operation is not None
    assert operation.status == "failed"
    assert dead.message_id == command_id


async def test_a_tail_shows_what_is_published_and_nothing_else(platform: Harness, edge: Database) -> None:
    await rename_to(platform, "a")
    async with viewer(edge, OURS) as connection:
        start = await queries.tail_end(connection)
        assert not (await queries.tail_since(connection, start.txid, start.position)).rows
    await publish_all(platform)
    await rename_to(platform, "not yet published")
    async with viewer(edge, OURS) as connection:
        tail = await queries.tail_since(connection, start.txid, start.position)
        end = await queries.tail_end(connection)
    assert [row.type for row in tail.rows] == [TenantUpdated.TYPE, EmailSent.TYPE]
    assert tail.cursor == end


async def test_a_tail_goes_on_where_it_stopped(platform: Harness, edge: Database) -> None:
    for name in "abc":
        await rename_to(platform, name)
    await publish_all(platform)
    seen: list[queries.EventRow] = []
    cursor = queries.Cursor(0, 0)
    async with viewer(edge, OURS) as connection:
        while (tail := await queries.tail_since(connection, cursor.txid, cursor.position, limit=2)).rows:
            seen += tail.rows
            cursor = tail.cursor
        assert await queries.cursor_of(connection, seen[0].position) == queries.Cursor(seen[0].txid, seen[0].position)
    assert len(seen) == 6
    assert [(row.txid, row.position) for row in seen] == sorted((row.txid, row.position) for row in seen)


async def test_a_tail_moves_on_past_what_does_not_match(platform: Harness, edge: Database) -> None:
    await rename_to(platform, "a")
    await publish_all(platform)
    async with viewer(edge, THEIRS) as connection:
        nothing = await queries.tail_since(connection, 0, 0)
    async with viewer(edge, None) as connection:
        mails = await queries.tail_since(connection, 0, 0, types=[EmailSent.TYPE])
        ours = await queries.tail_since(connection, 0, 0, subject=OURS, tenant_id=OURS)
        end = await queries.tail_end(connection)
    assert not nothing.rows
    assert [row.type for row in mails.rows] == [EmailSent.TYPE]
    assert [row.type for row in ours.rows] == [TenantUpdated.TYPE]
    assert nothing.cursor == mails.cursor == ours.cursor == end


async def test_another_tenant_sees_none_of_it(platform: Harness, edge: Database) -> None:
    command_id = await rename_to(platform, "a")
    broken = await rename_to(platform, "broken")
    await publish_all(platform)
    async with viewer(edge, THEIRS) as connection:
        assert not (await queries.events(connection)).rows
        assert not (await queries.events(connection, tenant_id=OURS, domain="tenants")).rows
        assert not (await queries.messages(connection)).rows
        assert not (await queries.dead_letters(connection)).rows
        assert not await queries.dead_letter_groups(connection)
        assert not (await queries.tail_since(connection, 0, 0)).rows
        for any_id in (str(command_id), str(broken), OURS):
            assert await queries.story(connection, any_id) is None
        assert await queries.operation(connection, command_id) is None


@pytest.mark.parametrize(
    "any_id", ["", "nonsense", "user_x", "operation_x", "'; --", str(UUID(int=0)), encode_id("user", UUID(int=5))]
)
async def test_an_id_that_nobody_knows_has_no_story(edge: Database, any_id: str) -> None:
    async with viewer(edge, None) as connection:
        assert await queries.story(connection, any_id) is None


async def test_the_indexer_can_append_and_read_nothing_back(platform: Harness) -> None:
    await rename_to(platform, "a")
    database = await Database.connect(platform.url, "prog_events")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with database.scope(tenant_id=OURS) as connection:
            await connection.fetch("SELECT * FROM events.subjects")
    await database.close()
    assert await platform.fetch("SELECT FROM events.subjects WHERE object_id = $1", OURS)
