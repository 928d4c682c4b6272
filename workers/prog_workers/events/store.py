"""What the events domain writes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, TypeAlias
from uuid import UUID

from prog_broker.transaction import Transaction
from prog_kit.database import Connection

Mention: TypeAlias = tuple[str, UUID, str, UUID, datetime]
"""Object id, message id, tenant id, correlation id, time on the tenant's clock."""

# Without a conflict target the insert needs no right to read; sorted rows let two indexers meet without a deadlock.
_INDEX: Final = """
INSERT INTO events.subjects (object_id, message_id, tenant_id, correlation_id, occurred_at)
SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::uuid[], $5::timestamptz[]) AS u (o, m, t, c, at)
ORDER BY o, m
ON CONFLICT DO NOTHING
"""


async def index(tx: Transaction, mentions: Sequence[Mention]) -> None:
    """Remembers which objects the messages of a batch name; what is there already stays as it is."""
    if mentions:
        await tx.execute(_INDEX, *(list(column) for column in zip(*mentions, strict=True)))


async def empty_index(connection: Connection, tenant_id: str | None) -> None:
    """Forgets which messages name which objects, of one tenant or of all; a replay finds them again."""
    if tenant_id is None:
        await connection.execute("TRUNCATE events.subjects")
    else:
        await connection.execute("DELETE FROM events.subjects WHERE tenant_id = $1", tenant_id, timeout=600.0)
