"""The event log by months: made ahead, never refusing, detached when their time is over and archived as files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from prog_contracts.ids import new_message_id
from prog_kit.database import Database
from prog_scheduler import housekeeping
from tests.component.scheduler.subscribers import Subscribers

APPEND = """
INSERT INTO bus.event_log (message_id, kind, topic, source_domain, type, schema_version, tenant_id, partition_key,
                           correlation_id, occurred_at, recorded_at, data)
VALUES ($1, 'event', 'prog.tenants.events', 'tenants', 'x', 1, 'tenant_x', 'k', $1, $2, $2, '{}')
RETURNING tableoid::regclass::text
"""


def month(at: datetime) -> str:
    return f"bus.event_log_{at:%Y_%m}"


async def append(subscribers: Subscribers, at: datetime) -> str:
    [row] = await subscribers.platform.fetch(APPEND, new_message_id(), at)
    return str(row[0])


async def partitions(subscribers: Subscribers) -> dict[str, str]:
    rows = await subscribers.platform.fetch("SELECT name, state FROM bus.event_partitions")
    return {row["name"]: row["state"] for row in rows}


async def age(subscribers: Subscribers, days: int) -> None:
    """Lets the first partition end so many days ago; this month gets one of its own."""
    end = datetime.now(UTC) - timedelta(days=days)
    for statement in (
        "ALTER TABLE bus.event_log DETACH PARTITION bus.event_log_first",
        f"ALTER TABLE bus.event_log ATTACH PARTITION bus.event_log_first FOR VALUES FROM (MINVALUE) TO ('{end}')",
        f"UPDATE bus.event_partitions SET until_at = '{end}' WHERE name = 'event_log_first'",
        "SELECT bus.prepare_event_partitions(3)",
    ):
        await subscribers.platform.fetch(statement)


LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def months_ahead(count: int) -> datetime:
    at = datetime.now(UTC).replace(day=15)
    for _ in range(count):
        at = (at + timedelta(days=30)).replace(day=15)
    return at


async def test_the_coming_months_have_partitions_from_the_start(subscribers: Subscribers) -> None:
    assert await append(subscribers, datetime.now(UTC)) == "bus.event_log_first"
    for ahead in (1, 2, 3):
        assert await append(subscribers, months_ahead(ahead)) == month(months_ahead(ahead))


async def test_what_no_partition_covers_is_stored_all_the_same_and_moves_into_its_month(
    subscribers: Subscribers, scheduler: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = months_ahead(5)
    assert await append(subscribers, at) == "bus.event_log_default"
    monkeypatch.setattr(housekeeping, "MONTHS_AHEAD", 6)
    made, retired = await housekeeping.keep_partitions(scheduler, 400)
    assert [f"bus.{name}" for name in made] == [month(months_ahead(ahead)) for ahead in (4, 5, 6)]
    assert retired == []
    rows = await subscribers.platform.fetch("SELECT tableoid::regclass::text AS place FROM bus.event_log")
    assert [row["place"] for row in rows] == [month(at)]
    assert await housekeeping.keep_partitions(scheduler, 400) == ([], []), "there is nothing left to do"


async def test_a_month_stays_until_its_days_are_over(subscribers: Subscribers, scheduler: Database) -> None:
    await append(subscribers, LONG_AGO)
    await published(subscribers)
    await age(subscribers, 399)
    assert await housekeeping.keep_partitions(scheduler, 400) == ([], [])
    await age(subscribers, 401)
    assert await housekeeping.keep_partitions(scheduler, 0) == ([], []), "0 keeps for ever"
    assert await housekeeping.keep_partitions(scheduler, 400) == ([], ["event_log_first"])
    assert (await partitions(subscribers))["event_log_first"] == "detached"
    assert await subscribers.platform.fetch("SELECT FROM bus.event_log") == []
    assert len(await subscribers.platform.fetch("SELECT FROM bus.event_log_first")) == 1, "kept until it is archived"


async def published(subscribers: Subscribers) -> None:
    await subscribers.platform.fetch(
        "UPDATE bus.relay_cursors SET (txid, position) ="
        " (SELECT txid, position FROM bus.event_log ORDER BY txid DESC, position DESC LIMIT 1)"
    )


async def test_what_was_not_published_is_never_detached(subscribers: Subscribers, scheduler: Database) -> None:
    await append(subscribers, LONG_AGO)
    await age(subscribers, 900)
    assert await housekeeping.keep_partitions(scheduler, 400) == ([], [])
    await published(subscribers)
    assert await housekeeping.keep_partitions(scheduler, 400) == ([], ["event_log_first"])


async def test_nobody_detaches_young_months_or_makes_tables_of_his_own(
    subscribers: Subscribers, scheduler: Database
) -> None:
    with pytest.raises(asyncpg.RaiseError, match="31 days"):
        await housekeeping.keep_partitions(scheduler, 30)
    edge = await Database.connect(subscribers.platform.url, "prog_edge", max_size=1)
    try:
        for call in ("bus.prepare_event_partitions(1)", "bus.retire_event_partitions(400)"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await edge.pool.execute(f"SELECT {call}")
    finally:
        await edge.close()


@pytest.mark.parametrize("role", ["prog_edge", "prog_relay", "prog_operator", "prog_tenants", "prog_scheduler"])
async def test_a_partition_is_read_through_the_whole_alone(subscribers: Subscribers, role: str) -> None:
    right: Any = await subscribers.platform.fetch(
        "SELECT bool_or(has_any_column_privilege($1, i.inhrelid, 'SELECT, INSERT, UPDATE')) AS held"
        " FROM pg_inherits AS i WHERE i.inhparent = 'bus.event_log'::regclass",
        role,
    )
    assert right[0]["held"] is False
