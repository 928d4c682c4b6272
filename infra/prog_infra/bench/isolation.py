"""What row-level security costs: the same list query on the same rows, with policies and without.

Ours is the edge's role, whom the policies bind; the reference is the administrator, whom none binds. Both name the
tenant in the query, begin the same transaction, read the same page of a tenant's rows among those of many others, and
take turns, so that whatever the machine does hits both.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import asyncpg
import uvloop

from prog_contracts.ids import new_id
from prog_infra import migrations
from prog_infra.bench import Length, Options, Result, Row, machine
from prog_infra.bench.figures import median, row_of_times
from prog_infra.errors import OperatorError
from prog_infra.servers import Postgres
from prog_kit.database import Connection, Database, begun
from prog_workers.events import queries as log
from prog_workers.tenants import queries as tenants

ROUNDS: Final[dict[Length, tuple[int, int]]] = {"short": (5, 200), "normal": (9, 500), "long": (15, 2000)}
"""Rounds, and pairs of queries in each."""

TENANTS: Final = 100
EVENTS: Final = 500
MEMBERS: Final = 40
WARM_UP: Final = 100
AT_LEAST: Final = 1 / 1.2
"""With policies a list may take 1.2 times what it takes without."""

_TENANTS: Final = """
INSERT INTO tenants.tenants (tenant_id, name, slug, status, member_count, created_at, updated_at)
SELECT id, 'Bench', id, 'active', $2, now(), now() FROM unnest($1::text[]) AS id
"""
_MEMBERS: Final = """
INSERT INTO tenants.members (tenant_id, user_id, email, name, role, joined_at)
SELECT id, 'user_' || n, n || '@bench.example', 'Somebody', 'member', now()
FROM unnest($1::text[]) AS id, generate_series(1, $2) AS n
"""
_EVENTS: Final = """
INSERT INTO bus.event_log (message_id, kind, topic, source_domain, type, schema_version, tenant_id, partition_key,
                           correlation_id, occurred_at, data)
SELECT gen_random_uuid(), 'event', 'prog.tenants.events', 'tenants', 'prognetwork.tenants.tenant_updated', 1, id, id,
       gen_random_uuid(), now(), '{"name": "Bench", "status": "active"}'
FROM generate_series(1, $2) AS n, unnest($1::text[]) AS id
"""

Query: TypeAlias = Callable[[Connection, str], Awaitable[int]]


async def _members(connection: Connection, tenant_id: str) -> int:
    return len(await tenants.members(connection, tenant_id))


async def _events(connection: Connection, tenant_id: str) -> int:
    return len((await log.events(connection, tenant_id=tenant_id, limit=50)).rows)


QUERIES: Final[dict[str, tuple[Query, int]]] = {"list of members": (_members, MEMBERS), "list of events": (_events, 50)}
"""Each with how many rows it must answer."""


def run(options: Options) -> Result:
    """Measures on a server of its own."""
    rounds, pairs = ROUNDS[options.length]
    return Result("isolation", machine(), uvloop.run(_measure(rounds, pairs)))


async def _measure(rounds: int, pairs: int) -> list[Row]:
    async with _filled() as (bound, free, ids):
        found = []
        for path, (query, count) in QUERIES.items():
            await _turns(bound, free, query, count, ids, WARM_UP)
            measured = [await _turns(bound, free, query, count, ids, pairs) for _ in range(rounds)]
            ours, reference = [one for one, _ in measured], [other for _, other in measured]
            found.append(row_of_times(path, ours, reference, unit="ms", at_least=round(AT_LEAST, 3), aim=0.95))
        return found


async def _turns(
    bound: Database, free: Database, query: Query, count: int, ids: Sequence[str], pairs: int
) -> tuple[float, float]:
    """The medians of a round in milliseconds: with policies, and without."""
    ours: list[float] = []
    reference: list[float] = []
    for number in range(pairs):
        tenant_id = ids[number % len(ids)]
        turns = [(bound, ours), (free, reference)]
        for database, times in turns if number % 2 else turns[::-1]:
            times.append(await _timed(database, query, count, tenant_id))
    return median(ours), median(reference)


async def _timed(database: Database, query: Query, count: int, tenant_id: str) -> float:
    async with database.pool.acquire() as connection:
        began = time.perf_counter_ns()
        async with begun(connection, tenant_id=tenant_id):
            found = await query(connection, tenant_id)
        took = (time.perf_counter_ns() - began) / 1e6
    if found != count:
        raise OperatorError(f"the list has {found} rows and not {count}", remedy="this is a defect; please report it")
    return took


@asynccontextmanager
async def _filled() -> AsyncIterator[tuple[Database, Database, list[str]]]:
    """The edge's and the administrator's way to a database with the rows of many tenants."""
    with tempfile.TemporaryDirectory(prefix="prog-bench-", ignore_cleanup_errors=True) as name:
        os.chmod(name, 0o711)  # noqa: PTH101, S103 - root's server runs as another user, who has to pass
        postgres = Postgres(Path(name) / "postgres")
        with postgres.running(Path(name) / "postgres.log"):
            url = postgres.url("prognetwork")
            await migrations.create_database(url)
            await migrations.migrate(url)
            ids = await _fill(url)
            bound = await Database.connect(url, "prog_edge", max_size=1)
            free = Database(await _administrator(url), "administrator")
            try:
                yield bound, free, ids
            finally:
                await bound.close()
                await free.close()


async def _fill(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        ids = [new_id("tenant") for _ in range(TENANTS)]
        await connection.execute(_TENANTS, ids, MEMBERS)
        await connection.execute(_MEMBERS, ids, MEMBERS)
        await connection.execute(_EVENTS, ids, EVENTS)
        await connection.execute("ANALYZE")
        return ids
    finally:
        await connection.close()


async def _administrator(url: str) -> asyncpg.Pool[Any]:
    """One connection as the edge has it, but for the role."""

    async def keep(_: object) -> None: ...

    pool = await asyncpg.create_pool(
        url, min_size=1, max_size=1, reset=keep, server_settings={"timezone": "UTC", "plan_cache_mode": "auto"}
    )
    assert pool is not None
    return pool
