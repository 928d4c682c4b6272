"""Clearing away what is past its time. The database's policies allow no younger row to be deleted."""

from __future__ import annotations

from typing import Final

from prog_kit.database import Database

BATCH: Final = 5000

PURGES: Final = {
    # A message id that comes again after this long would be handled again; streams keep messages for days only.
    "purge_inbox": """
        DELETE FROM bus.inbox WHERE (consumer_group, message_id) IN (
            SELECT consumer_group, message_id FROM bus.inbox
            WHERE handled_at < clock_timestamp() - interval '30 days' AND status <> 'pending'
            ORDER BY handled_at LIMIT $1)
    """,
    "purge_idempotency_keys": """
        DELETE FROM bus.idempotency_keys WHERE (tenant_id, actor, route, key) IN (
            SELECT tenant_id, actor, route, key FROM bus.idempotency_keys
            WHERE recorded_at < clock_timestamp() - interval '24 hours' ORDER BY recorded_at LIMIT $1)
    """,
    "purge_published_commands": """
        DELETE FROM bus.command_outbox WHERE position IN (
            SELECT position FROM bus.command_outbox
            WHERE published_at < clock_timestamp() - interval '7 days' ORDER BY position LIMIT $1)
    """,
}
"""By the job's name. Each statement deletes one batch, so that no transaction is long."""


async def purge(database: Database, job: str) -> int:
    """Deletes all that the job named may delete, in batches; returns how many rows."""
    deleted = 0
    while True:
        status = await database.pool.execute(PURGES[job], BATCH)
        count = int(status.rpartition(" ")[2])
        deleted += count
        if count < BATCH:
            return deleted
