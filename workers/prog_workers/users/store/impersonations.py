"""Impersonations: operators who act in somebody's name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from prog_broker.transaction import Transaction
from prog_contracts.impersonation import ImpersonationEnd
from prog_kit.pages import Where
from prog_workers.users.store.accounts import row_count


@dataclass(frozen=True, slots=True)
class Impersonation:
    impersonation_id: str
    user_id: str
    operator_id: str
    by_session_id: str
    reason: str
    began_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Ended:
    """One that goes on no more, since `ended_at`."""

    impersonation_id: str
    user_id: str
    operator_id: str
    end: ImpersonationEnd
    ended_at: datetime


async def insert_impersonation(tx: Transaction, impersonation: Impersonation) -> bool:
    """Keeps a new one; False where there is one of this id."""
    return (
        await tx.fetchval(
            """
            INSERT INTO users.impersonations (impersonation_id, user_id, operator_id, by_session_id, reason, began_at,
                                              expires_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (impersonation_id) DO NOTHING RETURNING true
            """,
            impersonation.impersonation_id,
            impersonation.user_id,
            impersonation.operator_id,
            impersonation.by_session_id,
            impersonation.reason,
            impersonation.began_at,
            impersonation.expires_at,
        )
        is True
    )


async def limit_of_impersonation(tx: Transaction, impersonation_id: str) -> datetime | None:
    """Until when one may go on, locked until the transaction ends; None where there is none."""
    expires_at: datetime | None = await tx.fetchval(
        "SELECT expires_at FROM users.impersonations WHERE impersonation_id = $1 FOR UPDATE", impersonation_id
    )
    return expires_at


async def end_impersonations(
    tx: Transaction,
    end: ImpersonationEnd,
    *,
    impersonation_id: str | None = None,
    by_session_id: str | None = None,
    by_session_ids: Sequence[str] | None = None,
    operator_id: str | None = None,
    but_session: str | None = None,
    user_id: str | None = None,
) -> list[Ended]:
    """Ends those that go on and that all of what is given fits; one whose limit was reached ended then.

    `but_session` leaves out those that stand on it.
    """
    if all(given is None for given in (impersonation_id, by_session_id, by_session_ids, operator_id, user_id)):
        raise ValueError("say which ones")
    which = Where()
    now, actor, reason = which.value(tx.now), which.value(tx.actor), which.value(end)
    conditions = {
        "impersonation_id = {}": impersonation_id,
        "by_session_id = {}": by_session_id,
        "by_session_id = ANY ({}::text[])": None if by_session_ids is None else list(by_session_ids),
        "operator_id = {}": operator_id,
        "by_session_id <> {}": but_session,
        "user_id = {}": user_id,
    }
    for condition, value in conditions.items():
        if value is not None:
            which.add(condition, value)
    rows = await tx.fetch(
        f"""
        UPDATE users.impersonations
        SET ended_at = least({now}, expires_at), ended_by = CASE WHEN {now} < expires_at THEN {actor} END,
            end_reason = CASE WHEN {now} < expires_at THEN {reason} ELSE 'time_limit' END
        WHERE ended_at IS NULL AND {which}
        RETURNING impersonation_id, user_id, operator_id, end_reason AS "end", ended_at
        """,
        *which.values,
    )
    return [Ended(**dict(row)) for row in rows]


async def purge_impersonations(tx: Transaction, began_before: datetime, limit: int) -> int:
    """Deletes those that began before an instant; returns how many. The audit trail keeps that they were."""
    return row_count(
        await tx.execute(
            "DELETE FROM users.impersonations WHERE impersonation_id = ANY (ARRAY("
            "SELECT impersonation_id FROM users.impersonations WHERE began_at < $1 ORDER BY began_at LIMIT $2))",
            began_before,
            limit,
        )
    )
