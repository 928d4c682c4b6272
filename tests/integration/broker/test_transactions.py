"""The transaction of a batch: what it leaves behind is committed with its last statement, or none of it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import orjson
import pytest
import pytest_asyncio

from prog_broker import carrier, sql
from prog_broker.replies import StoredAnswer
from prog_contracts.envelope import Envelope, wrap
from prog_contracts.ids import new_id, new_message_id
from prog_contracts.tenants import TenantUpdated
from prog_kit.ahead import BegunAhead
from prog_kit.database import Database

NAMES = ("Acme", 'O\'Brien "& Sons" \\ $1 $$; DROP TABLE bus.inbox; --', "Zoë 漢字 🦉", "line\nbreak\ttab")
INBOX = """
INSERT INTO bus.inbox (consumer_group, message_id, tenant_id, partition_key, type, correlation_id, sent_at, status)
VALUES ('tenants', $1, $2, $2, 'prognetwork.tenants.rename_tenant', $1, clock_timestamp(), 'pending')
"""


@pytest_asyncio.fixture
async def database(postgres: str) -> AsyncIterator[Database]:
    database = await Database.connect(postgres, "prog_tenants", plan_once=True)
    yield database
    await database.close()


def event(name: str) -> Envelope:
    tenant_id = new_id("tenant")
    message = TenantUpdated(tenant_id=tenant_id, name=name, status="active")
    return wrap(message, tenant_id=tenant_id, source="/test", now=datetime(2026, 5, 1, 12, 30, 0, 123456, UTC))


@pytest.mark.parametrize("with_commit", [True, False])
async def test_what_a_batch_leaves_behind_arrives_as_it_is(
    database: Database, postgres: str, with_commit: bool
) -> None:
    outgoing = [event(name) for name in NAMES]
    waiting, refused = new_message_id(), new_message_id()
    answers = [
        (StoredAnswer(waiting, "succeeded", result='{"name": "it\'s \\u0041"}'), 1234),
        (StoredAnswer(refused, "failed", error='{"kind": "conflict", "code": "name_taken", "detail": "—"}'), 7),
    ]
    document = carrier.finishing("tenants", answers, outgoing, [])
    async with database.begin() as begun:
        for message_id in (waiting, refused):
            await begun.connection.execute(INBOX, message_id, new_id("tenant"))
        if with_commit:
            begun.commit_with(sql.finish(document))
        else:
            await begun.connection.execute(sql.FINISH, document)
    owner = await asyncpg.connect(postgres)
    log = await owner.fetch("SELECT * FROM bus.event_log ORDER BY position")
    assert [row["message_id"] for row in log] == [envelope.id for envelope in outgoing], "in their order"
    assert [row["data"] for row in log] == [envelope.data for envelope in outgoing], "byte for byte"
    assert {row["occurred_at"] for row in log} == {outgoing[0].time}
    assert {(row["kind"], row["topic"], row["source_domain"]) for row in log} == {
        ("event", "prog.tenants.events", "tenants")
    }
    inbox = {row["message_id"]: row for row in await owner.fetch("SELECT * FROM bus.inbox")}
    assert (inbox[waiting]["status"], inbox[waiting]["handler_microseconds"]) == ("succeeded", 1234)
    assert orjson.loads(inbox[waiting]["result"]) == {"name": "it's A"}
    assert orjson.loads(inbox[refused]["error"])["detail"] == "—"
    await owner.close()


async def test_nothing_is_committed_when_the_last_statement_fails(database: Database, postgres: str) -> None:
    twice = event("Acme")

    async def append_twice() -> None:
        async with database.begin() as begun:
            await begun.connection.execute(INBOX, new_message_id(), new_id("tenant"))
            begun.commit_with(sql.finish(carrier.finishing("tenants", [], [twice, twice], [])))

    with pytest.raises(asyncpg.UniqueViolationError):
        await append_twice()
    await nothing_is_kept(postgres)
    async with database.begin() as begun:
        assert await begun.connection.fetchval("SELECT 1") == 1, "the connection is good for the next"


async def test_an_error_that_a_handler_swallowed_is_no_commit(database: Database, postgres: str) -> None:
    ahead = BegunAhead(database)

    async def swallow() -> None:
        async with ahead.transaction() as begun:
            await begun.connection.execute(INBOX, new_message_id(), new_id("tenant"))
            with pytest.raises(asyncpg.DivisionByZeroError):
                await begun.connection.execute("SELECT 1 / 0")

    with pytest.raises(asyncpg.InFailedSQLTransactionError):
        await swallow()
    await nothing_is_kept(postgres)
    async with ahead.transaction() as begun:
        await begun.connection.execute(INBOX, new_message_id(), new_id("tenant"))
    await ahead.close()
    assert database.pool.get_idle_size() == database.pool.get_size(), "all connections are back"
    owner = await asyncpg.connect(postgres)
    assert await owner.fetchval("SELECT count(*) FROM bus.inbox") == 1
    await owner.close()


async def test_no_other_role_may_append(postgres: str) -> None:
    edge = await Database.connect(postgres, "prog_edge")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await edge.pool.execute(sql.FINISH, carrier.finishing("tenants", [], [event("forged")], []))
    await edge.close()


async def test_a_domain_appends_in_its_own_name_alone(database: Database) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await database.pool.execute(sql.FINISH, carrier.finishing("payments", [], [event("forged")], []))


async def nothing_is_kept(postgres: str) -> None:
    owner = await asyncpg.connect(postgres)
    assert await owner.fetchval("SELECT count(*) FROM bus.inbox") == 0
    assert await owner.fetchval("SELECT count(*) FROM bus.event_log") == 0
    await owner.close()
