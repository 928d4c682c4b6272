"""Clearing away what is past its time. The database's policies allow no younger row to be deleted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import prog_contracts.catalogue  # noqa: F401 - the registry must be whole
from prog_contracts.email import ForgetOldMails
from prog_contracts.envelope import wrap
from prog_contracts.ids import PLATFORM_TENANT_ID
from prog_contracts.messages import Command
from prog_contracts.sign_on import RecheckDomains
from prog_contracts.tenants import ForgetOldInvitations, ForgetOldLogos, WrapTenantKeys
from prog_contracts.topics import topic_of
from prog_contracts.users import EndExpiredSessions, PurgeCredentials
from prog_kit.database import Database
from prog_kit.settings import Settings
from prog_scheduler import timers

BATCH: Final = 5000

PURGES: Final = {
    # A message id that comes again after this long would be handled again; streams keep messages for days only.
    "purge_inbox": """
        DELETE FROM bus.inbox
        WHERE handled_at < statement_timestamp() - interval '30 days' AND status <> 'pending'
          AND message_id = ANY (ARRAY(
            SELECT message_id FROM bus.inbox
            WHERE handled_at < statement_timestamp() - interval '30 days' AND status <> 'pending' LIMIT $1))
    """,
    "purge_idempotency_keys": """
        DELETE FROM bus.idempotency_keys WHERE recorded_at <= (SELECT max(recorded_at) FROM (
            SELECT recorded_at FROM bus.idempotency_keys
            WHERE recorded_at < statement_timestamp() - interval '24 hours' ORDER BY recorded_at LIMIT $1) AS oldest)
    """,
    "purge_published_commands": """
        DELETE FROM bus.command_outbox WHERE position = ANY (ARRAY(
            SELECT position FROM bus.command_outbox
            WHERE published_at < statement_timestamp() - interval '7 days' LIMIT $1))
    """,
    # An event with the same source and id is a new one after this long.
    "purge_published_events": """
        DELETE FROM bus.published_events WHERE recorded_at <= (SELECT max(recorded_at) FROM (
            SELECT recorded_at FROM bus.published_events
            WHERE recorded_at < statement_timestamp() - interval '30 days' ORDER BY recorded_at LIMIT $1) AS oldest)
    """,
    "purge_members": """
        DELETE FROM bus.members WHERE (consumer_group, member) IN (
            SELECT consumer_group, member FROM bus.members
            WHERE seen_until < statement_timestamp() - interval '1 day' LIMIT $1)
    """,
    "purge_dead_letters": """
        DELETE FROM bus.dead_letters WHERE id = ANY (ARRAY(
            SELECT id FROM bus.dead_letters
            WHERE state <> 'open' AND decided_at < statement_timestamp() - interval '90 days'
            ORDER BY decided_at LIMIT $1))
    """,
}
"""By the job's name. Each statement deletes one batch, so that no transaction is long.

The time is the statement's: an index is not asked about clock_timestamp(), which may be another one for each row. An
array of keys is looked up one by one, where a join would read the table.
"""

COMMANDS: Final[Mapping[str, Callable[[Settings, datetime], Command | None]]] = {
    "purge_credentials": lambda settings, now: PurgeCredentials(),
    "end_expired_sessions": lambda settings, now: EndExpiredSessions(),
    "wrap_tenant_keys": lambda settings, now: WrapTenantKeys(),
    "recheck_domains": lambda settings, now: RecheckDomains(),
    "forget_old_mails": lambda settings, now: (
        ForgetOldMails(recorded_before=now - timedelta(days=settings.mail_days)) if settings.mail_days else None
    ),
    "forget_old_invitations": lambda settings, now: (
        ForgetOldInvitations(ended_before=now - timedelta(days=settings.invitation_days))
        if settings.invitation_days
        else None
    ),
    "forget_old_logos": lambda settings, now: (
        ForgetOldLogos(unused_since=now - timedelta(days=settings.logo_days)) if settings.logo_days else None
    ),
}
"""By the job's name: what a domain clears away itself when it is told to, for its tables are its own. None where the
settings keep everything."""


async def purge(database: Database, job: str) -> int:
    """Deletes all that the job named may delete, in batches; returns how many rows."""
    deleted = 0
    while True:
        status = await database.pool.execute(PURGES[job], BATCH)
        count = int(status.rpartition(" ")[2])
        deleted += count
        if count < BATCH:
            return deleted


async def tell(database: Database, job: str, settings: Settings) -> None:
    """Sends the command of the job named, under the platform's tenant; the relay must be woken afterwards."""
    now = datetime.now(UTC)
    command = COMMANDS[job](settings, now)
    if command is None:
        return
    envelope = wrap(
        command, tenant_id=PLATFORM_TENANT_ID, source="/prognetwork/scheduler", now=now, actor="prog-scheduler"
    )
    async with database.pool.acquire() as connection:
        await timers.append(connection, [timers.Entry(topic_of(command).name, "scheduler", now, envelope)])


OLD_SUBJECTS: Final = """
WITH oldest AS MATERIALIZED (
    SELECT occurred_at FROM events.subjects
    WHERE occurred_at < statement_timestamp() - make_interval(days => $2)
      AND coalesce(uuid_extract_timestamp(message_id), occurred_at) < statement_timestamp() - make_interval(days => $2)
    LIMIT $1
)
DELETE FROM events.subjects
WHERE occurred_at <= (SELECT max(occurred_at) FROM oldest)
  AND coalesce(uuid_extract_timestamp(message_id), occurred_at) < statement_timestamp() - make_interval(days => $2)
"""
"""The first ones in the order in which they lie, which is nearly that of their times, and all that are not younger."""
MONTH_DAYS: Final = 31
MONTHS_AHEAD: Final = 3


async def keep_partitions(database: Database, keep_days: int) -> tuple[list[str], list[str]]:
    """Makes the partitions of the event log for the coming months, and detaches those that are past their time.

    Returns the names of both. `keep_days` 0 keeps all. A detached month waits as a table for `prog events archive`.
    """
    made = await database.pool.fetchval("SELECT bus.prepare_event_partitions($1)", MONTHS_AHEAD)
    if keep_days == 0:
        return made, []
    return made, await database.pool.fetchval("SELECT bus.retire_event_partitions($1)", keep_days)


async def forget_subjects(database: Database, keep_days: int) -> int:
    """Deletes what finds messages by their objects once their month is out of the log; returns how many rows.

    `keep_days` 0 keeps all, as in `keep_partitions`.
    """
    deleted = 0
    while keep_days:
        status = await database.pool.execute(OLD_SUBJECTS, BATCH, keep_days + MONTH_DAYS)
        count = int(status.rpartition(" ")[2])
        deleted += count
        if count < BATCH:
            break
    return deleted
