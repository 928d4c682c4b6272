"""The event log of a platform that has been running becomes the first of its monthly partitions, rights and all."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from prog_contracts.ids import new_id, new_message_id
from prog_infra import migrations
from prog_kit.database import Database

OURS, THEIRS = new_id("tenant"), new_id("tenant")

LAST_BEFORE = {"bus": 3, "email": 1, "events": 1, "monitoring": 2, "payments": 4, "tenants": 1, "users": 2}
"""The migrations of each room when the event store came."""
APPEND = """
INSERT INTO bus.event_log (message_id, kind, topic, source_domain, type, schema_version, tenant_id, partition_key,
                           correlation_id, occurred_at, data)
VALUES ($1, 'event', 'prog.tenants.events', 'tenants', 'x', 1, $2, 'k', $1, now(), '{}') RETURNING position
"""
HANDLED = """
INSERT INTO bus.inbox (consumer_group, message_id, tenant_id, partition_key, type, correlation_id, sent_at)
VALUES ('users', $1, $2, 'k', 'x', $1, now())
"""
LATER = ("replay_reads", "auditor_reads", "erasure", "tenant_export")
POLICIES = """
SELECT policyname, roles, cmd, qual, with_check FROM pg_policies
WHERE schemaname = 'bus' AND tablename = 'event_log' ORDER BY policyname
"""
RIGHTS = """
SELECT grantee, privilege_type, column_name FROM information_schema.column_privileges
WHERE table_schema = 'bus' AND table_name = 'event_log' AND grantee LIKE 'prog\\_%'
  AND column_name NOT IN ('stream', 'stream_version', 'source', 'source_id', 'extensions')
ORDER BY 1, 2, 3
"""


@pytest.fixture
async def running(empty_postgres: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A database as it was before the event store, with a past."""
    every = migrations.known()
    before = tuple(m for m in every if m.number <= LAST_BEFORE[m.owner])
    monkeypatch.setattr(migrations, "known", lambda: before)
    await migrations.migrate(empty_postgres)
    monkeypatch.setattr(migrations, "known", lambda: every)
    admin = await asyncpg.connect(empty_postgres)
    yield admin, empty_postgres
    await admin.close()


async def test_the_past_stays_readable_by_the_same_people(running: Any) -> None:
    admin, url = running
    old = [await admin.fetchval(APPEND, new_message_id(), tenant) for tenant in (OURS, THEIRS, OURS)]
    await admin.execute(HANDLED, new_message_id(), OURS)
    policies, rights = await admin.fetch(POLICIES), await admin.fetch(RIGHTS)
    await migrations.migrate(url)
    kept_policies, kept_rights = await admin.fetch(POLICIES), await admin.fetch(RIGHTS)
    assert [row for row in kept_policies if row["policyname"] not in LATER] == policies
    assert [row for row in kept_rights if row in rights] == rights
    assert {row["grantee"] for row in kept_rights if row not in rights} <= {
        "prog_worker",
        "prog_auditor",
        "prog_eraser",
        "prog_exporter",
    }, "replays, audit and exports"
    new = await admin.fetchval(APPEND, new_message_id(), OURS)
    assert new > max(old), "positions go on where they were"
    edge = await Database.connect(url, "prog_edge", max_size=1)
    try:
        async with edge.scope(tenant_id=OURS) as connection:
            found = await connection.fetch("SELECT position FROM bus.event_log ORDER BY position")
            handled = await connection.fetchval("SELECT count(*) FROM bus.inbox")
    finally:
        await edge.close()
    assert [row["position"] for row in found] == [old[0], old[2], new]
    assert handled == 1


async def test_old_and_fresh_databases_get_the_same_indexes(running: Any, postgres: str) -> None:
    admin, url = running
    await migrations.migrate(url)
    fresh = await asyncpg.connect(postgres)
    try:
        query = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'bus' AND tablename IN ('event_log', 'inbox')"
        assert {row[0] for row in await admin.fetch(query)} == {row[0] for row in await fresh.fetch(query)}
    finally:
        await fresh.close()


async def test_an_event_s_row_in_the_inbox_is_in_the_primary_key_alone(postgres: str) -> None:
    """What makes the inbox fast: every other index leaves events out, but for one that holds ranges of ages."""
    admin = await asyncpg.connect(postgres)
    try:
        await admin.execute("INSERT INTO bus.inbox (consumer_group, message_id, tenant_id) "
                            "SELECT 'users', gen_random_uuid(), 't' FROM generate_series(1, 1000)")  # fmt: skip
        await admin.execute("ANALYZE bus.inbox")
        rows = await admin.fetch(
            "SELECT c.relname, c.reltuples FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a"
            " ON a.oid = c.relam WHERE i.indrelid = 'bus.inbox'::regclass AND a.amname = 'btree'"
        )
    finally:
        await admin.close()
    assert len(rows) > 5
    assert [row["relname"] for row in rows if row["reltuples"] > 0] == ["inbox_pkey"]
