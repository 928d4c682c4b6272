"""To which clients people are signed in, and which of these are still to be told that this is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from prog_broker.transaction import Transaction
from prog_kit.database import Connection
from prog_workers.users.store.authorizations import Authorization


@dataclass(frozen=True, slots=True)
class Notice:
    """What a client is to be told. `attempts` counts the one that begins now."""

    notice_id: str
    client_id: str
    client_tenant: str
    user_id: str
    sid: str
    correlation_id: UUID
    causation_id: UUID
    attempts: int


async def note_sign_in(tx: Transaction, made: Authorization) -> None:
    """Keeps that a person has signed in to a client of this tenant."""
    await tx.execute(
        """
        INSERT INTO users.oauth_sign_ins (client_id, sid, session_id, user_id, client_tenant, signed_in_at)
        VALUES ($1, $2, $2, $3, $4, $5) ON CONFLICT (client_id, sid) DO UPDATE SET signed_in_at = $5
        """,
        made.client_id,
        made.session_id,
        made.user_id,
        tx.tenant_id,
        tx.envelope.time,
    )


async def hand_on(tx: Transaction, session_id: str, successor_id: str) -> None:
    """What hung on one session hangs on the one that has taken its place."""
    await tx.execute("UPDATE users.oauth_sign_ins SET session_id = $2 WHERE session_id = $1", session_id, successor_id)


async def end_sign_ins_of_session(tx: Transaction, session_id: str) -> None:
    """Ends what hangs on a session, and has the clients told.

    Which of them want to hear of it only their tenants' rows say: `prog_workers.users.logout_courier` looks there.
    """
    await _end(tx, "session_id = $4", session_id)


async def end_sign_ins_of_sessions(tx: Transaction, session_ids: Sequence[str]) -> None:
    await _end(tx, "session_id = ANY ($4::text[])", list(session_ids))


async def end_sign_ins_of_person(tx: Transaction, user_id: str, *, but: str | None) -> None:
    """The same of all that a person has, except on one session where it is named."""
    await _end(tx, "user_id = $4 AND session_id IS DISTINCT FROM $5", user_id, but)


async def end_sign_ins_at_client(tx: Transaction, user_id: str, client_id: str) -> None:
    """The same of a person at one client."""
    await _end(tx, "user_id = $4 AND client_id = $5", user_id, client_id)


async def end_sign_ins_at_tenant(tx: Transaction) -> None:
    """The same of everybody at the clients of the transaction's tenant."""
    await _end(
        tx, "client_id = ANY (ARRAY(SELECT client_id FROM users.oauth_clients WHERE tenant_id = $4))", tx.tenant_id
    )


async def _end(tx: Transaction, which: str, *values: str | list[str] | None) -> None:
    await tx.execute(
        f"""
        WITH ended AS (
            DELETE FROM users.oauth_sign_ins WHERE {which} RETURNING client_id, client_tenant, user_id, sid
        )
        INSERT INTO users.logout_notices (client_id, client_tenant, user_id, sid, correlation_id, causation_id,
                                          noted_at, due_at)
        SELECT client_id, client_tenant, user_id, sid, $1, $2, $3, $3 FROM ended
        """,
        tx.correlation_id,
        tx.message_id,
        tx.envelope.time,
        *values,
    )


async def forget_sign_ins(tx: Transaction, client_id: str) -> None:
    """Nobody is signed in to a client that is removed, and it is told nothing any more."""
    await tx.execute("DELETE FROM users.oauth_sign_ins WHERE client_id = $1", client_id)
    await tx.execute("DELETE FROM users.logout_notices WHERE client_id = $1", client_id)


async def resend_failed(tx: Transaction, most: int) -> int:
    """Has notices that failed come due now, as if they were new, the oldest first; how many. Each keeps its `jti`."""
    rows = await tx.fetch(
        """
        UPDATE users.logout_notices SET failed_at = NULL, attempts = 0, due_at = $1
        WHERE failed_at IS NOT NULL AND notice_id IN (
            SELECT notice_id FROM users.logout_notices WHERE failed_at IS NOT NULL ORDER BY failed_at LIMIT $2
        )
        RETURNING notice_id
        """,
        tx.envelope.time,
        most,
    )
    return len(rows)


async def has_failed(tx: Transaction) -> bool:
    """Whether there is a notice that could be sent again."""
    return bool(await tx.fetchval("SELECT EXISTS (SELECT FROM users.logout_notices WHERE failed_at IS NOT NULL)"))


async def drop_failed(tx: Transaction, most: int) -> None:
    """Drops notices that failed and have waited long enough for somebody to send them again, so many at most."""
    await tx.execute(
        """
        DELETE FROM users.logout_notices WHERE notice_id IN (
            SELECT notice_id FROM users.logout_notices WHERE failed_at IS NOT NULL AND due_at <= $1 LIMIT $2
        )
        """,
        tx.envelope.time,
        most,
    )


# -- for the courier ---------------------------------------------------------------------------------------------------


async def take_due(
    connection: Connection, now: datetime, until: datetime, *, of_a_client: int, most: int
) -> list[Notice]:
    """Takes notices that are due, those that wait the longest first, and of no client more than its part.

    They come due again at `until`, for whoever takes them may die; two who ask at once take different ones. What has
    failed waits for an operator instead.
    """
    rows = await connection.fetch(
        """
        UPDATE users.logout_notices AS n SET attempts = n.attempts + 1, due_at = $2
        FROM (
            SELECT notice_id FROM (
                SELECT notice_id, due_at, row_number() OVER (PARTITION BY client_id ORDER BY due_at) AS place
                FROM users.logout_notices WHERE due_at <= $1 AND failed_at IS NULL
            ) AS waiting
            WHERE place <= $3 ORDER BY due_at LIMIT $4
        ) AS chosen
        WHERE n.notice_id = chosen.notice_id AND n.due_at <= $1
        RETURNING n.notice_id, n.client_id, n.client_tenant, n.user_id, n.sid, n.correlation_id, n.causation_id,
                  n.attempts
        """,
        now,
        until,
        of_a_client,
        most,
    )
    of_driver = ("correlation_id", "causation_id")
    return [Notice(**{**dict(row), **{name: UUID(int=row[name].int) for name in of_driver}}) for row in rows]


async def logout_uri(connection: Connection, client_id: str) -> str | None:
    """Where a client of the scope's tenant wants to hear of it; None for one that does not, or was removed."""
    uri: str | None = await connection.fetchval(
        "SELECT backchannel_logout_uri FROM users.oauth_clients WHERE client_id = $1 AND removed_at IS NULL", client_id
    )
    return uri


async def put_off(connection: Connection, notice_id: str, due_at: datetime) -> None:
    """Has a notice come again then, unless somebody else has found meanwhile that it failed."""
    await connection.execute(
        "UPDATE users.logout_notices SET due_at = $2 WHERE notice_id = $1 AND failed_at IS NULL", notice_id, due_at
    )


async def keep_failed(connection: Connection, notice_id: str, failed_at: datetime, until: datetime) -> bool:
    """Has a notice wait for an operator; whether it was there and had not failed yet."""
    kept = await connection.fetchval(
        "UPDATE users.logout_notices SET failed_at = $2, due_at = $3 WHERE notice_id = $1 AND failed_at IS NULL"
        " RETURNING true",
        notice_id,
        failed_at,
        until,
    )
    return kept is True


async def drop_notice(connection: Connection, notice_id: str) -> bool:
    """Whether it was still there: two who were at it tell of it once."""
    dropped = await connection.fetchval(
        "DELETE FROM users.logout_notices WHERE notice_id = $1 RETURNING true", notice_id
    )
    return dropped is True
