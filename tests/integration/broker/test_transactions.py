"""The transaction of a batch: what it leaves behind is committed with its last statement, or none of it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg
import orjson
import pytest
import pytest_asyncio

from prog_broker import carrier, settlement, sql
from prog_broker.decoding import Incoming
from prog_broker.ports import Delivery, Shard
from prog_broker.replies import StoredAnswer
from prog_broker.settlement import Failure, RetryPolicy
from prog_contracts.envelope import Envelope, wrap
from prog_contracts.errors import ErrorBody
from prog_contracts.ids import new_id, new_message_id
from prog_contracts.tenants import RenameTenant, TenantUpdated
from prog_contracts.topics import topic_of
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


@dataclass
class Shop:
    """Commands of one tenant for one shard, and what `admit` says of some of them."""

    database: Database
    shard: Shard
    tenant_id: str

    def command(self) -> Incoming:
        message = RenameTenant(tenant_id=self.tenant_id, name="Acme")
        envelope = wrap(message, tenant_id=self.tenant_id, source="/test", actor="user_1")
        return Incoming(Delivery(b"1-0", envelope.attributes(), envelope.data), envelope, message, None)

    async def admit(self, items: list[Incoming], *, token: int = 7, retrying: bool = False) -> carrier.Admission:
        async with self.database.begin() as begun:
            admission = await carrier.admit(begun.connection, self.shard, token, items, retrying=retrying)
            assert await begun.connection.fetchval("SELECT bus.current_tenant()") == self.tenant_id
            return admission


@pytest_asyncio.fixture
async def shop(database: Database, postgres: str) -> AsyncIterator[Shop]:
    shop = Shop(database, Shard("tenants", topic_of(RenameTenant), 0), new_id("tenant"))
    owner = await asyncpg.connect(postgres)
    await owner.execute(
        "INSERT INTO bus.shard_leases (consumer_group, topic, partition, owner, token, expires_at)"
        " VALUES ('tenants', $1, 0, 'me', 7, 'infinity')",
        shop.shard.topic.name,
    )
    await owner.close()
    yield shop


@pytest.mark.parametrize("count", [1, 2])
async def test_a_single_command_is_admitted_as_several_are(shop: Shop, postgres: str, count: int) -> None:
    commands = [shop.command() for _ in range(count)]
    ids = {item.envelope.id for item in commands}
    with pytest.raises(carrier.Fenced):
        await shop.admit(commands, token=6)
    assert await shop.admit(commands) == carrier.Admission(ids, set(), {})
    assert await shop.admit(commands) == carrier.Admission(set(), set(), {}), "handled before"
    owner = await asyncpg.connect(postgres)
    for row in await owner.fetch("SELECT * FROM bus.inbox"):
        [kept] = [item.envelope for item in commands if item.envelope.id == row["message_id"]]
        assert (row["consumer_group"], row["tenant_id"], row["partition_key"]) == (
            "tenants",
            shop.tenant_id,
            kept.partition_key,
        )
        assert (row["type"], row["subject"], row["actor"]) == (kept.type, kept.subject, "user_1")
        assert (row["correlation_id"], row["causation_id"], row["sent_at"]) == (kept.correlation_id, None, kept.time)
    stands_at = datetime(2027, 1, 31, 12, tzinfo=UTC)
    await owner.execute(
        "INSERT INTO bus.tenant_clocks (tenant_id, stands_at) VALUES ($1, $2)", shop.tenant_id, stands_at
    )
    later = [shop.command() for _ in range(count)]
    assert (await shop.admit(later)).clocks == {shop.tenant_id: stands_at}
    failed = shop.command()
    async with shop.database.begin() as begun:
        failure = Failure("busy", "busy", ErrorBody(kind="unavailable", code="busy", message="busy"))
        await settlement.put_off(begun.connection, shop.shard, failed, failure, RetryPolicy())
    behind = [shop.command() for _ in range(count)]
    parked = await shop.admit(behind)
    assert (parked.admitted, parked.parked) == (set(), {failed.envelope.partition_key})
    retried = await shop.admit(behind, retrying=True)
    assert (retried.admitted, retried.parked) == ({item.envelope.id for item in behind}, set())
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
