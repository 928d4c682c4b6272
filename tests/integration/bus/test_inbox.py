"""Effects once in a database of the program's own, and what happens when that database or the shard is lost."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from prog_broker.bus import Context, PostgresInbox
from prog_broker.bus.inbox import Fenced
from prog_broker.redis.connection import Client
from prog_contracts.ids import new_id, new_message_id
from prog_contracts.tenants import TenantUpdated
from tests.integration.bus.conftest import Buses, eventually, updated


@pytest.fixture
async def database(empty_postgres: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(empty_postgres)
    await connection.execute("CREATE TABLE names (name text NOT NULL)")
    yield connection
    await connection.close()


@pytest.fixture
async def inbox(empty_postgres: str) -> AsyncIterator[PostgresInbox]:
    inbox = PostgresInbox(empty_postgres)
    await inbox.create()
    await inbox.create()
    yield inbox
    await inbox.close()


async def names(database: asyncpg.Connection[Any]) -> list[str]:
    return [row["name"] for row in await database.fetch("SELECT name FROM names ORDER BY ctid")]


@pytest.mark.parametrize("batch", [False, True])
async def test_a_message_that_comes_again_has_no_second_effect(
    buses: Buses, database: asyncpg.Connection[Any], inbox: PostgresInbox, batch: bool
) -> None:
    bus = buses(inbox=inbox)
    if batch:

        @bus.subscribe_batch(TenantUpdated, group="crm")
        async def hear_all(events: list[TenantUpdated], context: Context) -> None:
            assert len(context.envelopes) == len(events)
            rows = [(event.name,) for event in events]
            await context.connection.executemany("INSERT INTO names VALUES ($1)", rows)

    else:

        @bus.subscribe(TenantUpdated, group="crm")
        async def hear(event: TenantUpdated, context: Context) -> None:
            await context.connection.execute("INSERT INTO names VALUES ($1)", event.name)

    tenant, ids = new_id("tenant"), [new_message_id() for _ in range(5)]
    for _ in range(3):
        for number, message_id in enumerate(ids):
            await bus.publish(updated(f"n{number}", tenant), message_id=message_id)
    await bus.publish(updated("last", tenant))
    await bus.start()
    await eventually(lambda: database.fetchval("SELECT true FROM names WHERE name = 'last'"))
    assert await names(database) == ["n0", "n1", "n2", "n3", "n4", "last"]


async def test_a_handler_that_fails_leaves_neither_effect_nor_id(
    buses: Buses, redis: Client, database: asyncpg.Connection[Any], inbox: PostgresInbox
) -> None:
    tries: list[str] = []
    bus = buses(inbox=inbox, attempts=3)

    @bus.subscribe(TenantUpdated, group="crm")
    async def hear(event: TenantUpdated, context: Context) -> None:
        tries.append(f"{event.name}{context.attempt}")
        await context.connection.execute("INSERT INTO names VALUES ($1)", event.name)
        if event.name == "hopeless" or (event.name == "flaky" and tries.count("flaky1") == 1 and len(tries) < 3):
            raise RuntimeError("after the insert")

    tenant = new_id("tenant")
    await bus.publish_many([updated(name, tenant) for name in ("a", "flaky", "hopeless", "b")])
    await bus.start()
    await eventually(lambda: database.fetchval("SELECT true FROM names WHERE name = 'b'"))
    assert await names(database) == ["a", "flaky", "b"]
    assert await database.fetchval("SELECT count(*) FROM prog_inbox") == 3
    entries: Any = await redis.xrange("prog.crm.dead.0")
    [(_, letter)] = entries
    assert json.loads(letter[b"dead"])["attempts"] == 3


async def test_a_process_that_has_lost_the_shard_cannot_commit(
    database: asyncpg.Connection[Any], inbox: PostgresInbox
) -> None:
    async with inbox.admitted("crm", "prog.tenants.events.0", 8, [new_message_id()]):
        pass
    with pytest.raises(Fenced):
        async with inbox.admitted("crm", "prog.tenants.events.0", 7, [new_message_id()]):
            pass
    async with inbox.admitted("crm", "prog.tenants.events.1", 7, [new_message_id()]):
        pass
    assert await database.fetchval("SELECT count(*) FROM prog_inbox") == 2


async def test_ids_that_no_broker_delivers_any_more_are_forgotten(
    database: asyncpg.Connection[Any], inbox: PostgresInbox
) -> None:
    async with inbox.admitted("crm", "s", 1, [new_message_id(), new_message_id()]):
        pass
    await database.execute("UPDATE prog_inbox SET handled_at = now() - interval '31 days' WHERE ctid = '(0,1)'")
    assert await inbox.forget(older_than_days=30) == 1
    assert await database.fetchval("SELECT count(*) FROM prog_inbox") == 1


@pytest.mark.parametrize("failure", [FileNotFoundError("no such template"), None], ids=["an outage", "a statement"])
async def test_an_outage_or_a_wrong_statement_of_the_handler_is_its_own_failure(
    buses: Buses, redis: Client, database: asyncpg.Connection[Any], inbox: PostgresInbox, failure: Exception | None
) -> None:
    """asyncpg and the system raise for these what they raise for a lost connection; the inbox's own still stands."""
    bus = buses(inbox=inbox, attempts=3)

    @bus.subscribe(TenantUpdated, group="crm")
    async def hear(event: TenantUpdated, context: Context) -> None:
        if event.name == "bad" and failure is not None:
            raise failure
        arguments = (event.name, "one too many") if event.name == "bad" else (event.name,)
        await context.connection.execute("INSERT INTO names VALUES ($1)", *arguments)

    tenant = new_id("tenant")
    await bus.publish_many([updated(name, tenant) for name in ("a", "bad", "b")])
    await bus.start()
    await eventually(lambda: database.fetchval("SELECT true FROM names WHERE name = 'b'"))
    entries: Any = await redis.xrange("prog.crm.dead.0")
    [(_, letter)] = entries
    why = json.loads(letter[b"dead"])
    assert why["attempts"] == 3
    assert why["reason"].startswith("InterfaceError: the server expects 1" if failure is None else "FileNotFoundError")


async def test_an_absent_database_is_no_fault_of_a_message(
    buses: Buses, database: asyncpg.Connection[Any], inbox: PostgresInbox
) -> None:
    bus = buses(inbox=inbox, attempts=1)

    @bus.subscribe(TenantUpdated, group="crm")
    async def hear(event: TenantUpdated, context: Context) -> None:
        await context.connection.execute("INSERT INTO names VALUES ($1)", event.name)

    name = await database.fetchval("SELECT current_database()")
    await bus.start()
    await bus.publish(updated("before"))
    await eventually(lambda: database.fetchval("SELECT true FROM names WHERE name = 'before'"))
    for _ in range(3):  # every connection of the pool is cut, again and again
        await database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()",
            name,
        )
        await bus.publish(updated("after"))
    await eventually(lambda: database.fetchval("SELECT count(*) = 3 FROM names WHERE name = 'after'"))
