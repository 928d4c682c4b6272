"""Sessions with their refresh tokens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from prog_broker.transaction import Transaction
from prog_workers.users.rules import Authentication, PresentedToken, SessionTimes
from prog_workers.users.store.accounts import User, row_count


@dataclass(frozen=True, slots=True)
class NewSession:
    session_id: str
    user_id: str
    proven: Authentication
    refresh_digest: str
    times: SessionTimes
    client_address: str | None
    user_agent: str | None


async def insert_session(tx: Transaction, session: NewSession) -> None:
    """Opens a session with its first refresh token."""
    await tx.execute(
        """
        WITH opened AS (
            INSERT INTO users.sessions (session_id, user_id, method, client_address, user_agent, second_factor,
                                        created_at, refreshed_at, idle_until, expires_at, sign_on_tenant_id)
            VALUES ($1, $2, $9, $3, $4, $10, $5, $5, $6, $7, $11)
        )
        INSERT INTO users.refresh_tokens (digest, session_id, generation, issued_at) VALUES ($8, $1, 0, $5)
        """,
        session.session_id,
        session.user_id,
        session.client_address,
        session.user_agent,
        session.proven.at,
        session.times.idle_until,
        session.times.expires_at,
        session.refresh_digest,
        session.proven.method,
        session.proven.second_factor,
        session.proven.sign_on_tenant_id,
    )


@dataclass(frozen=True, slots=True)
class Presented:
    """A refresh token that was found, with its session's state and person."""

    token: PresentedToken
    proven: Authentication
    user: User


async def presented_token(tx: Transaction, session_id: str, digests: list[str]) -> Presented | None:
    """A refresh token of a session, locked with the session until the transaction ends."""
    row = await tx.fetchrow(
        """
        SELECT r.generation, r.replaced_at, s.generation AS current_generation, s.idle_until, s.expires_at,
               s.ended_at IS NOT NULL AS ended, s.created_at AS at, s.method, s.second_factor,
               u.user_id, u.email, u.name, u.status, u.platform_role, u.email_verified_at, u.wanted_tenant_name
        FROM users.refresh_tokens AS r JOIN users.sessions AS s USING (session_id) JOIN users.users AS u USING (user_id)
        WHERE r.digest = ANY ($2::text[]) AND r.session_id = $1
        FOR UPDATE OF s, r
        """,
        session_id,
        digests,
    )
    if row is None:
        return None
    fields = dict(row)
    token_fields = ("generation", "replaced_at", "current_generation", "idle_until", "expires_at", "ended")
    token = PresentedToken(**{name: fields.pop(name) for name in token_fields}, status=fields["status"])
    proven = Authentication(**{name: fields.pop(name) for name in ("at", "method", "second_factor")})
    return Presented(token, proven, User(**fields))


async def rotate(tx: Transaction, session_id: str, *, used: list[str], successor: str, idle_until: datetime) -> None:
    """Replaces the session's refresh token: `used` are its digests, `successor` the digest of the new one."""
    await tx.execute(
        """
        WITH replaced AS (UPDATE users.refresh_tokens SET replaced_at = $4 WHERE digest = ANY ($2::text[])), moved AS (
            UPDATE users.sessions SET generation = generation + 1, refreshed_at = $4, idle_until = $5
            WHERE session_id = $1 RETURNING generation
        )
        INSERT INTO users.refresh_tokens (digest, session_id, generation, issued_at)
        SELECT $3, $1, generation, $4 FROM moved
        """,
        session_id,
        used,
        successor,
        tx.now,
        idle_until,
    )


async def session_owner(tx: Transaction, session_id: str) -> str | None:
    """Whose session it is; the session is locked until the transaction ends."""
    owner: str | None = await tx.fetchval(
        "SELECT user_id FROM users.sessions WHERE session_id = $1 FOR UPDATE", session_id
    )
    return owner


async def live_session(tx: Transaction, session_id: str, user_id: str) -> Authentication | None:
    """What opened a session of this person that still goes on; locked until the transaction ends."""
    row = await tx.fetchrow(
        "SELECT created_at AS at, method, second_factor, sign_on_tenant_id FROM users.sessions"
        " WHERE session_id = $1 AND user_id = $2 AND ended_at IS NULL AND least(idle_until, expires_at) > $3"
        " FOR UPDATE",
        session_id,
        user_id,
        tx.now,
    )
    return None if row is None else Authentication(**dict(row))


async def holds_refresh_token(tx: Transaction, session_id: str, digests: list[str]) -> bool:
    query = "SELECT EXISTS (SELECT FROM users.refresh_tokens WHERE session_id = $1 AND digest = ANY ($2::text[]))"
    return bool(await tx.fetchval(query, session_id, digests))


async def end_session(tx: Transaction, session_id: str, reason: str) -> bool:
    """Ends a session; False when it was over already."""
    return (
        await tx.fetchval(
            "UPDATE users.sessions SET ended_at = $2, end_reason = $3 WHERE session_id = $1 AND ended_at IS NULL"
            " RETURNING true",
            session_id,
            tx.now,
            reason,
        )
        is True
    )


async def end_sessions(tx: Transaction, user_id: str, reason: str, *, but: str | None = None) -> int:
    """Ends all sessions of a person, except one where it is named; returns how many it ended."""
    return row_count(
        await tx.execute(
            "UPDATE users.sessions SET ended_at = $2, end_reason = $3"
            " WHERE user_id = $1 AND ended_at IS NULL AND session_id IS DISTINCT FROM $4",
            user_id,
            tx.now,
            reason,
            but,
        )
    )


async def end_expired_sessions(tx: Transaction, limit: int) -> list[tuple[str, str]]:
    """Ends sessions that have run out, those first that ran out first; returns each with whose it was. One that is in
    use at this moment waits for the next time."""
    rows = await tx.fetch(
        """
        UPDATE users.sessions SET ended_at = least(idle_until, expires_at), end_reason = 'expired'
        WHERE session_id = ANY (ARRAY(
            SELECT session_id FROM users.sessions
            WHERE ended_at IS NULL AND least(idle_until, expires_at) <= $1
            ORDER BY least(idle_until, expires_at) LIMIT $2 FOR UPDATE SKIP LOCKED))
        RETURNING session_id, user_id
        """,
        tx.now,
        limit,
    )
    return [(row["session_id"], row["user_id"]) for row in rows]


async def purge_sessions(tx: Transaction, ended_before: datetime, limit: int) -> int:
    """Deletes sessions that were ended or ran out before an instant, with their refresh tokens; returns how many."""
    return row_count(
        await tx.execute(
            """
            DELETE FROM users.sessions WHERE session_id = ANY (ARRAY(
                SELECT session_id FROM users.sessions
                WHERE coalesce(ended_at, least(idle_until, expires_at)) < $1
                ORDER BY coalesce(ended_at, least(idle_until, expires_at)) LIMIT $2))
            """,
            ended_before,
            limit,
        )
    )
