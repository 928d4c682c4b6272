"""What a batch leaves behind costs by its own size, in a database without statistics too, as a new one is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from prog_broker import carrier, sql
from prog_broker.replies import StoredAnswer
from prog_contracts.ids import new_id, new_message_id

ROWS = 3_000
GROUP = "tenants"
TOUCHED = """
SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables
WHERE schemaname = 'bus' AND relname = 'inbox'
"""


@pytest.fixture
async def inbox(postgres: str) -> AsyncIterator[tuple[asyncpg.Connection[asyncpg.Record], list[UUID]]]:
    """Ids of commands that wait for their answers, in a database that has never been analysed."""
    connection = await asyncpg.connect(postgres, server_settings={"plan_cache_mode": "force_generic_plan"})
    ids = [new_message_id() for _ in range(ROWS)]
    await connection.execute(
        "INSERT INTO bus.inbox (consumer_group, message_id, tenant_id, type)"
        " SELECT $1, unnest($2::uuid[]), $3, 'prognetwork.tenants.rename_tenant'",
        GROUP,
        ids,
        new_id("tenant"),
    )
    yield connection, ids
    await connection.close()


@pytest.mark.parametrize("count", [1, 20])
async def test_keeping_a_few_answers_touches_their_rows_alone(
    inbox: tuple[asyncpg.Connection[asyncpg.Record], list[UUID]], count: int
) -> None:
    connection, ids = inbox
    async with connection.transaction():
        before = await connection.fetchval(TOUCHED)
        await connection.execute(sql.FINISH, document(ids[:count]))
        assert await connection.fetchval(TOUCHED) - before == count


@pytest.mark.parametrize("count", [0, 1, 20, 21, 500])
async def test_every_answer_is_kept_however_many_there_are(
    inbox: tuple[asyncpg.Connection[asyncpg.Record], list[UUID]], count: int
) -> None:
    connection, ids = inbox
    await connection.execute("UPDATE bus.inbox SET handler_microseconds = 7 WHERE message_id = ANY ($1)", ids[:3])
    await connection.execute(sql.FINISH, document(ids[:count]))
    kept = await connection.fetch(
        "SELECT message_id, status, result, sealed_result, error, handler_microseconds FROM bus.inbox"
        " WHERE result IS NOT NULL OR error IS NOT NULL OR sealed_result IS NOT NULL ORDER BY message_id"
    )
    assert [dict(row) for row in kept] == [
        {
            "message_id": message_id,
            "status": "succeeded",
            "result": '{"number": 1}',
            "sealed_result": None,
            "error": None,
            "handler_microseconds": 7 if message_id in ids[:3] else None,
        }
        for message_id in sorted(ids[:count])
    ]


def document(ids: list[UUID]) -> bytes:
    """Answers that say nothing of how long they took, as those of operations that are completed later."""
    answers = [StoredAnswer(message_id, "succeeded", '{"number": 1}') for message_id in ids]
    return carrier.finishing(GROUP, [], [], answers)
