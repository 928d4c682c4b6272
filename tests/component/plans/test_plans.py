"""What the product asks of a grown database touches the rows that it is about, and no table from end to end.

One database is grown for the whole module. Statements run as their role and under its policies, so an index that a
policy keeps from being used counts as missing. A sequential scan, a filter behind an index and a sort of everything for
one page all show in the rows that are touched.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest

from prog_broker import sql
from prog_broker.transaction import Transaction
from prog_contracts.envelope import wrap
from prog_contracts.users import PurgeCredentials
from prog_kit.database import DOMAIN_ROLES, Database
from prog_kit.secrets import Sealer
from prog_workers.tenants.store import exporting
from tests.component.harness import SECRET_KEYS
from tests.component.plans import seed
from tests.component.plans.cases import EDGE, NOW, TENANTS, Case
from tests.component.plans.explaining import Explained
from tests.component.plans.workers import WORK, Work
from tests.depth import by_depth
from tests.servers import TestServers

PEOPLE = by_depth(usual=16_000, thorough=20_000)


@pytest.fixture(scope="module")
def grown(servers: TestServers) -> Iterator[str]:
    name = servers.new_database()
    url = servers.postgres.url(name)
    asyncio.run(seed.grow(url, PEOPLE))
    yield url
    servers.drop_database(name)


@pytest.fixture
async def edge(grown: str) -> AsyncIterator[Database]:
    database = await Database.connect(grown, "prog_edge", max_size=1)
    yield database
    await database.close()


@pytest.mark.parametrize("case", EDGE.values(), ids=EDGE)
async def test_what_the_edge_reads_touches_the_rows_that_it_is_about(edge: Database, case: Case) -> None:
    reader = case.reader
    scope = edge.operator() if reader.operator else edge.scope(tenant_id=reader.tenant_id, user_id=reader.user_id)
    async with scope as connection:
        explained = Explained(connection, generic=False)
        await case.ask(explained)
    touched = sum(sum(reading.touched.values()) for reading in explained.readings)
    assert explained.readings
    assert touched <= case.most, "\n".join(str(reading) for reading in explained.readings)


@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
async def test_what_one_message_changes_touches_the_rows_that_it_is_about(grown: str, work: Work) -> None:
    """Planned for all values where the process has it so."""
    database = await Database.connect(grown, work.role, max_size=1)
    try:
        async with database.pool.acquire() as connection:
            await connection.execute("BEGIN")
            await connection.execute(sql.SET_TENANT, TENANTS["large"])
            if work.takes_on is not None:
                await connection.execute(f"SET LOCAL ROLE {work.takes_on}")
            explained = Explained(connection, generic=work.role != "prog_scheduler")
            await work.do(transaction(explained, work.role))
            await connection.execute("ROLLBACK")
    finally:
        await database.close()
    touched = sum(sum(reading.touched.values()) for reading in explained.readings)
    assert explained.readings
    assert touched <= work.most, "\n".join(str(reading) for reading in explained.readings)


async def test_an_export_of_a_small_tenant_reads_past_nobody_else_s_rows(grown: str) -> None:
    tenant_id, rows, most = TENANTS["small"], 0, 0
    database = await Database.connect(grown, "prog_tenants", max_size=1)
    try:
        async with database.pool.acquire() as connection:
            await connection.execute("BEGIN")
            await connection.execute(sql.SET_TENANT, tenant_id)
            explained = Explained(connection, generic=True)
            tx = transaction(explained, "prog_tenants", tenant_id)
            for table in await exporting.exported_tables(tx):
                explained.readings.clear()
                rows += (await exporting.read_lines(tx, table, None, 1 << 20)).rows
                most = max(most, *(sum(reading.touched.values()) for reading in explained.readings))
            await connection.execute("ROLLBACK")
    finally:
        await database.close()
    assert rows > 500
    assert most <= 200


def transaction(connection: Explained, role: str, tenant_id: str = TENANTS["large"]) -> Transaction:
    command = PurgeCredentials()
    envelope = wrap(command, tenant_id=tenant_id, source="/prognetwork/test", now=NOW, actor="prog-scheduler")
    borrowed: Any = connection
    return Transaction(borrowed, role.removeprefix("prog_"), envelope, NOW, Sealer(SECRET_KEYS))


FOREIGN_KEYS = """
SELECT c.conrelid::regclass::text AS name, (
    SELECT array_agg(a.attname::text ORDER BY a.attname) FROM pg_attribute AS a
    WHERE a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)) AS columns
FROM pg_constraint AS c JOIN pg_namespace AS n ON n.oid = c.connamespace
WHERE c.contype = 'f' AND c.conparentid = 0 AND n.nspname = ANY ($1::text[]) ORDER BY 1, 2
"""
TENANTS_TABLES = """
SELECT c.oid::regclass::text AS name, ARRAY['tenant_id'] AS columns
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname = ANY ($1::text[]) ORDER BY 1
"""
IS_FOUND = """
SELECT EXISTS (
    SELECT FROM pg_index AS i CROSS JOIN LATERAL (
        SELECT array_agg(a.attname::text) AS all_of_it,
               array_agg(a.attname::text) FILTER (WHERE k.place <= cardinality($2::text[])) AS beginning
        FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
        JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
        WHERE k.place <= i.indnkeyatts) AS c
    WHERE i.indrelid = to_regclass($1) AND i.indisvalid
      AND coalesce(pg_get_expr(i.indpred, i.indrelid), '') ~ '^(\\(\\w+ IS NOT NULL\\))?$'
      AND ($2::text[] <@ c.beginning OR (i.indisunique AND c.all_of_it <@ $2::text[])))
"""
NEVER_FOLLOWED = {
    (
        "payments.payments",
        "payment_method_id,tenant_id",
    ): "cards of whoever was billed stay; a tenant's payments are few",
    ("payments.invoices", "customer_id,tenant_id"): "customers who were billed stay",
    ("payments.subscriptions", "customer_id,tenant_id"): "a tenant has one customer, and few subscriptions",
    ("payments.subscriptions", "price_id"): "a price never goes",
    ("payments.payment_methods", "customer_id,tenant_id"): "a tenant has one customer and a few cards",
}
READ_WHOLE = {
    "bus.audit_intake": "a queue, which the recorder empties in order",
    "bus.command_outbox": "a queue, of which a tenant's rows are asked for by their message",
    "bus.dead_letters": "a tenant's are not listed by themselves",
    "bus.inbox": "events' rows are in the primary key alone; commands have an index of their own",
    "bus.retries": "a queue",
    "events.audit_notes": "kept for a day, and asked for by message",
    "events.subjects": "asked for by object; emptied for a tenant in a rebuilding that may take long",
    "bus.replays": "what operators asked for",
}


@pytest.mark.parametrize(
    ("query", "excused"), [(FOREIGN_KEYS, NEVER_FOLLOWED), (TENANTS_TABLES, READ_WHOLE)], ids=["keys", "tenants"]
)
async def test_what_a_deletion_follows_has_an_index(module_postgres: str, query: str, excused: dict[Any, str]) -> None:
    """Whose row goes takes with it, or asks for, what refers to it: once for each row."""
    connection = await asyncpg.connect(module_postgres)
    bare = []
    for row in await connection.fetch(query, ["bus", *DOMAIN_ROLES]):
        key = row["name"] if query is TENANTS_TABLES else (row["name"], ",".join(row["columns"]))
        if key not in excused and not await connection.fetchval(IS_FOUND, row["name"], row["columns"]):
            bare.append(key)
    await connection.close()
    assert bare == []
