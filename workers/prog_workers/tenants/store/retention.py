"""SQL of letting go of what ended long ago. The policies show of other tenants what is older than the transaction says,
and nothing that is younger than 30 days."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

from prog_broker.transaction import Transaction

_END: Final = "CASE WHEN settled_at IS NULL THEN expires_at ELSE settled_at END"
"""Not coalesce: PostgreSQL holds that for leaky, and asks no index about it behind a policy."""

_INVITATIONS: Final = f"""
DELETE FROM tenants.invitations WHERE invitation_id = ANY (ARRAY(
    SELECT invitation_id FROM tenants.invitations WHERE {_END} < $1 ORDER BY {_END} LIMIT $2))
"""

# A version holds until the next one; the last one holds still. Rolling back to one whose picture is gone is refused.
_LOGOS: Final = """
DELETE FROM tenants.logos WHERE (tenant_id, logo_id) IN (
    SELECT l.tenant_id, l.logo_id FROM tenants.logos AS l
    WHERE l.stored_at < $1 AND NOT EXISTS (
        SELECT FROM tenants.config_versions AS v
        WHERE v.tenant_id = l.tenant_id AND v.settings -> 'branding' ->> 'logo' = l.logo_id
          AND NOT EXISTS (SELECT FROM tenants.config_versions AS n
                          WHERE n.tenant_id = v.tenant_id AND n.version = v.version + 1 AND n.changed_at < $1))
    LIMIT $2)
"""


async def forget_old_invitations(tx: Transaction, ended_before: datetime, most: int) -> int:
    """Deletes up to so many; returns how many."""
    async with _kept_since(tx, ended_before):
        return int((await tx.execute(_INVITATIONS, ended_before, most)).removeprefix("DELETE "))


async def forget_old_logos(tx: Transaction, unused_since: datetime, most: int) -> int:
    """Deletes up to so many that no version of their tenant's configuration has named that held since; how many."""
    async with _kept_since(tx, unused_since):
        return int((await tx.execute(_LOGOS, unused_since, most)).removeprefix("DELETE "))


@asynccontextmanager
async def _kept_since(tx: Transaction, since: datetime) -> AsyncIterator[None]:
    await tx.execute("SELECT set_config('prog.kept_since', $1, true)", since.isoformat())
    yield
    # Where the block raises, the transaction takes no statement any more, and the setting ends with it.
    await tx.execute("SELECT set_config('prog.kept_since', '', true)")
