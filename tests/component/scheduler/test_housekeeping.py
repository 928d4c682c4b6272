"""Clearing away: what is old enough goes, and the database lets nothing else go."""

import asyncpg
import pytest

from prog_contracts.email import ForgetOldMails
from prog_contracts.ids import PLATFORM_TENANT_ID, new_message_id
from prog_contracts.users import PurgeCredentials
from prog_kit.database import Database
from prog_kit.settings import Settings
from prog_scheduler import housekeeping
from tests.component.harness import SECRET_KEYS
from tests.component.scheduler.subscribers import Subscribers

INBOX = (
    "INSERT INTO bus.inbox (consumer_group, message_id, tenant_id, partition_key, type, correlation_id, sent_at,"
    " status, handled_at) SELECT 'users', gen_random_uuid(), 't', 'k', 'x', gen_random_uuid(), clock_timestamp(), $1,"
    " clock_timestamp() - make_interval(days => $2) FROM generate_series(1, $3)"
)


async def count(subscribers: Subscribers, table: str) -> int:
    [row] = await subscribers.platform.fetch(f"SELECT count(*) AS n FROM {table}")
    return int(row["n"])


async def test_handled_messages_stay_thirty_days(
    subscribers: Subscribers, scheduler: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "BATCH", 10)
    await subscribers.platform.fetch(INBOX, "succeeded", 31, 25)
    await subscribers.platform.fetch(INBOX, "succeeded", 29, 3)
    await subscribers.platform.fetch(INBOX, "pending", 31, 1)
    assert await housekeeping.purge(scheduler, "purge_inbox") == 25
    assert await count(subscribers, "bus.inbox") == 4


async def test_idempotency_keys_stay_a_day(subscribers: Subscribers, scheduler: Database) -> None:
    for hours in (23, 25):
        await subscribers.platform.fetch(
            "INSERT INTO bus.idempotency_keys (tenant_id, actor, route, key, body_digest, message_id, recorded_at)"
            " VALUES ('t', 'a', 'r', $1::text, 'd', $2, clock_timestamp() - make_interval(hours => $3))",
            str(hours),
            new_message_id(),
            hours,
        )
    assert await housekeeping.purge(scheduler, "purge_idempotency_keys") == 1
    [left] = await subscribers.platform.fetch("SELECT key FROM bus.idempotency_keys")
    assert left["key"] == "23"


async def test_commands_that_were_not_published_are_never_cleared_away(
    subscribers: Subscribers, scheduler: Database
) -> None:
    for days in (8, 6, None):
        await subscribers.platform.fetch(
            "INSERT INTO bus.command_outbox (message_id, tenant_id, topic, partition_key, attributes, data,"
            " recorded_at, published_at) VALUES ($1, 't', 'x', 'k', '', '', clock_timestamp() - interval '90 days',"
            " clock_timestamp() - make_interval(days => $2))",
            new_message_id(),
            days,
        )
    assert await housekeeping.purge(scheduler, "purge_published_commands") == 1
    assert await count(subscribers, "bus.command_outbox") == 2


async def test_processes_that_were_not_seen_for_a_day_are_forgotten(
    subscribers: Subscribers, scheduler: Database
) -> None:
    for hours in (-1, 23, 25):
        await subscribers.platform.fetch(
            "INSERT INTO bus.members VALUES ('users', $1::text, clock_timestamp() - make_interval(hours => $2))",
            str(hours),
            hours,
        )
    assert await housekeeping.purge(scheduler, "purge_members") == 1
    assert await count(subscribers, "bus.members") == 2


async def test_dead_letters_stay_ninety_days_after_the_decision_and_for_ever_without_one(
    subscribers: Subscribers, scheduler: Database
) -> None:
    for state, days in (("open", None), ("dropped", 89), ("dropped", 91), ("redriven", 91)):
        await subscribers.platform.fetch(
            "INSERT INTO bus.dead_letters (id, consumer_group, tenant_id, topic, partition, attempts, code, reason,"
            " fingerprint, attributes, data, recorded_at, state, decided_at) VALUES ($1, 'users', 't', 'x', 0, 1, 'c',"
            " 'r', 'f', '', '', clock_timestamp() - interval '200 days', $2,"
            " clock_timestamp() - make_interval(days => $3))",
            new_message_id(),
            state,
            days,
        )
    assert await housekeeping.purge(scheduler, "purge_dead_letters") == 2
    assert await count(subscribers, "bus.dead_letters") == 2
    assert await scheduler.pool.execute("DELETE FROM bus.dead_letters") == "DELETE 0"


async def test_the_users_domain_is_told_to_clear_away_credentials(
    subscribers: Subscribers, scheduler: Database
) -> None:
    usual = Settings(database_url=subscribers.platform.url, redis_url="redis://x", secret_keys=SECRET_KEYS)
    await housekeeping.tell(scheduler, "purge_credentials", usual)
    await housekeeping.tell(scheduler, "forget_old_mails", usual.model_copy(update={"mail_days": 0}))
    [row] = await subscribers.platform.fetch(
        "SELECT topic, tenant_id, actor FROM bus.event_log WHERE type IN ($1, $2)",
        PurgeCredentials.TYPE,
        ForgetOldMails.TYPE,
    )
    assert tuple(row) == ("prog.users.commands", PLATFORM_TENANT_ID, "prog-scheduler")


SUBJECT = (
    "INSERT INTO events.subjects (object_id, message_id, tenant_id, correlation_id, occurred_at)"
    " SELECT 'user_' || n, uuidv7(- make_interval(days => $1)), 't', gen_random_uuid(),"
    " clock_timestamp() - make_interval(days => $2) FROM generate_series(1, $3) AS n"
)


async def test_what_finds_messages_goes_a_month_after_the_log_by_the_time_of_the_machine(
    subscribers: Subscribers, scheduler: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "BATCH", 10)
    old, young, of_a_test_clock = (432, 432, 25), (430, 430, 3), (1, 4000, 2)
    for rows in (old, young, of_a_test_clock):
        await subscribers.platform.fetch(SUBJECT, *rows)
    assert await housekeeping.forget_subjects(scheduler, 0) == 0, "0 keeps for ever"
    assert await housekeeping.forget_subjects(scheduler, 400) == 25
    assert await count(subscribers, "events.subjects") == 5
    assert await scheduler.pool.execute("DELETE FROM events.subjects") == "DELETE 3", "older than 62 days"


async def test_the_database_refuses_to_clear_away_what_is_young(subscribers: Subscribers, scheduler: Database) -> None:
    await subscribers.platform.fetch(INBOX, "succeeded", 1, 3)
    assert await scheduler.pool.execute("DELETE FROM bus.inbox") == "DELETE 0"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await scheduler.pool.execute("DELETE FROM bus.event_log")
