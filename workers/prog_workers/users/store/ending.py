"""What a person takes along, and the end of an account: its grace period, and the row that goes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from prog_broker.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Deletion:
    """A deletion under way. Once the person is `leaving`, there is no way back but for one who has to stay."""

    erase_at: datetime
    leaving: bool


async def deletion(tx: Transaction, user_id: str) -> Deletion | None:
    """The deletion of an account, whose row the caller has locked; None when it is not to be deleted."""
    row = await tx.fetchrow(
        "SELECT erase_at, status_before IS NOT NULL AS leaving FROM users.users"
        " WHERE user_id = $1 AND erase_at IS NOT NULL",
        user_id,
    )
    return None if row is None else Deletion(**dict(row))


async def begin_deletion(tx: Transaction, user_id: str, erase_at: datetime) -> None:
    await tx.execute(
        "UPDATE users.users SET erase_at = $2, updated_at = $3 WHERE user_id = $1", user_id, erase_at, tx.now
    )


async def begin_leaving(tx: Transaction, user_id: str) -> None:
    """From now on nobody gets in."""
    await tx.execute(
        "UPDATE users.users SET status_before = status, status = 'disabled', updated_at = $2 WHERE user_id = $1",
        user_id,
        tx.now,
    )


async def stop_deletion(tx: Transaction, user_id: str) -> None:
    """The account stays, as it was."""
    await tx.execute(
        "UPDATE users.users SET erase_at = NULL, status = coalesce(status_before, status), status_before = NULL,"
        " updated_at = $2 WHERE user_id = $1",
        user_id,
        tx.now,
    )


async def note_export(tx: Transaction, user_id: str, *, apart: timedelta) -> bool:
    """Notes that the data are taken along now; False where that was done a moment ago."""
    return (
        await tx.fetchval(
            "UPDATE users.users SET exported_at = $2 WHERE user_id = $1"
            " AND (exported_at IS NULL OR exported_at <= $2::timestamptz - $3::interval) RETURNING true",
            user_id,
            tx.now,
            apart,
        )
        is True
    )


async def erase_user(tx: Transaction, user_id: str) -> None:
    """Deletes the account, and all that refers to it."""
    await tx.execute("SELECT set_config('prog.erased_person', $1, true)", user_id)
    await tx.execute("DELETE FROM users.users WHERE user_id = $1", user_id)
    await tx.execute("SELECT set_config('prog.erased_person', '', true)")
