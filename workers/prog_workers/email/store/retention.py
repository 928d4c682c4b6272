"""Letting go of mails that went out long ago, whichever tenant's."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from prog_broker.transaction import Transaction

# The clock of `recorded_at` is the machine's; the order is that of an index, by a clock that a tenant may have moved.
_FORGET: Final = """
WITH old AS MATERIALIZED (
    SELECT mail_id FROM email.mails
    WHERE queued_at < $1 AND recorded_at < $1 AND status IN ('sent', 'failed', 'suppressed')
    ORDER BY queued_at, mail_id LIMIT $2
), steps AS (
    DELETE FROM email.mail_events WHERE mail_id = ANY (ARRAY(SELECT mail_id FROM old))
)
DELETE FROM email.mails WHERE mail_id = ANY (ARRAY(SELECT mail_id FROM old))
"""


async def forget_old_mails(tx: Transaction, recorded_before: datetime, most: int) -> int:
    """Deletes up to so many, with what became of them; returns how many. None is younger than 30 days: the database
    shows no such one here."""
    await tx.execute("SELECT set_config('prog.kept_since', $1, true)", recorded_before.isoformat())
    status = await tx.execute(_FORGET, recorded_before, most)
    # Where that raises, the setting ends with the transaction, which takes no statement any more.
    await tx.execute("SELECT set_config('prog.kept_since', '', true)")
    return int(status.removeprefix("DELETE "))
