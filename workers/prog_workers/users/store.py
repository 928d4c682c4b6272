"""All SQL that the users domain writes with. People are global: no tenant binds these statements."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from prog_broker.transaction import Transaction
from prog_contracts.users import PlatformRole
from prog_kit.database import Connection
from prog_workers.users.rules import AccountStatus, PresentedToken, SessionTimes, SignUp


@dataclass(frozen=True, slots=True)
class User:
    user_id: str
    email: str
    name: str
    status: AccountStatus
    platform_role: PlatformRole | None
    email_verified_at: datetime | None
    wanted_tenant_name: str | None


@dataclass(frozen=True, slots=True)
class PendingSignUp:
    """A sign-up with an address that has an account nobody has verified: what its own link would make count."""

    name: str
    password_hash: str
    tenant_name: str | None


@dataclass(frozen=True, slots=True)
class Link:
    """A verification link that was mailed, and the later sign-up that it stands for, if any."""

    made_at: datetime
    pending: PendingSignUp | None


@dataclass(frozen=True, slots=True)
class SigningKey:
    kid: str
    sealed_private_key: str


@dataclass(frozen=True, slots=True)
class NewSession:
    session_id: str
    user_id: str
    refresh_digest: str
    times: SessionTimes
    client_address: str | None
    user_agent: str | None


_USER = "user_id, email, name, status, platform_role, email_verified_at, wanted_tenant_name"


# -- accounts ----------------------------------------------------------------------------------------------------------


async def insert_user(
    tx: Transaction,
    user_id: str,
    sign_up: SignUp,
    password_hash: str,
    *,
    platform_role: PlatformRole | None = None,
    verified: bool = False,
) -> bool:
    """Adds an account with its password; False when the address has one."""
    return (
        await tx.fetchval(
            """
        WITH added AS (
            INSERT INTO users.users (user_id, email, name, wanted_tenant_name, platform_role, email_verified_at,
                                     created_at, updated_at)
            VALUES ($1, $2, $3, $4, $5, CASE WHEN $6 THEN $7::timestamptz END, $7, $7)
            ON CONFLICT (email) DO NOTHING
            RETURNING user_id
        )
        INSERT INTO users.passwords (user_id, hash, changed_at) SELECT user_id, $8, $7 FROM added RETURNING true
        """,
            user_id,
            sign_up.email,
            sign_up.name,
            sign_up.tenant_name,
            platform_role,
            verified,
            tx.now,
            password_hash,
        )
        is True
    )


async def user_by_email(tx: Transaction, email: str) -> User | None:
    """The account, locked until the transaction ends."""
    row = await tx.fetchrow(f"SELECT {_USER} FROM users.users WHERE email = $1 FOR UPDATE", email)
    return None if row is None else User(**dict(row))


async def user_by_id(tx: Transaction, user_id: str) -> User | None:
    """The account, locked until the transaction ends."""
    row = await tx.fetchrow(f"SELECT {_USER} FROM users.users WHERE user_id = $1 FOR UPDATE", user_id)
    return None if row is None else User(**dict(row))


async def platform_role(tx: Transaction, user_id: str) -> PlatformRole | None:
    role: PlatformRole | None = await tx.fetchval(
        "SELECT platform_role FROM users.users WHERE user_id = $1 AND status = 'active'", user_id
    )
    return role


async def rename(tx: Transaction, user_id: str, name: str) -> None:
    await tx.execute("UPDATE users.users SET name = $2, updated_at = $3 WHERE user_id = $1", user_id, name, tx.now)


async def password_hash(tx: Transaction, email: str) -> str | None:
    """The stored hash of an address; None when it has no account."""
    stored: str | None = await tx.fetchval(
        "SELECT p.hash FROM users.users AS u JOIN users.passwords AS p USING (user_id) WHERE u.email = $1", email
    )
    return stored


async def replace_password_hash(tx: Transaction, user_id: str, new_hash: str, *, changed: bool) -> None:
    """Stores a hash. `changed` says that the password is another one, not only hashed anew."""
    await tx.execute(
        "UPDATE users.passwords SET hash = $2, changed_at = CASE WHEN $3 THEN $4 ELSE changed_at END"
        " WHERE user_id = $1",
        user_id,
        new_hash,
        changed,
        tx.now,
    )


# -- verification of the address ---------------------------------------------------------------------------------------


async def insert_link_token(
    tx: Transaction,
    digest: str,
    *,
    user_id: str,
    email: str,
    mail_id: str,
    expires_at: datetime,
    pending: PendingSignUp | None = None,
) -> None:
    await tx.execute(
        """
        WITH mailed AS (UPDATE users.users SET verification_mail_id = $4 WHERE user_id = $2)
        INSERT INTO users.link_tokens (digest, purpose, user_id, email, created_at, expires_at, sign_up_name,
                                       sign_up_password_hash, sign_up_tenant_name)
        VALUES ($1, 'verify_email', $2, $3, $5, $6, $7, $8, $9)
        """,
        digest,
        user_id,
        email,
        mail_id,
        tx.now,
        expires_at,
        None if pending is None else pending.name,
        None if pending is None else pending.password_hash,
        None if pending is None else pending.tenant_name,
    )


async def last_link(tx: Transaction, user_id: str) -> Link | None:
    """The latest verification link of an account."""
    row = await tx.fetchrow(
        "SELECT created_at, sign_up_name, sign_up_password_hash, sign_up_tenant_name FROM users.link_tokens"
        " WHERE user_id = $1 AND purpose = 'verify_email' ORDER BY created_at DESC, digest LIMIT 1",
        user_id,
    )
    if row is None:
        return None
    pending = _pending(row["sign_up_name"], row["sign_up_password_hash"], row["sign_up_tenant_name"])
    return Link(row["created_at"], pending)


async def spend_link_token(tx: Transaction, digests: list[str]) -> tuple[str, str, PendingSignUp | None] | None:
    """User, address and sign-up of a verification token that is good now; it is good no more afterwards.

    Here and below, `digests` are those of one token under all secret keys.
    """
    row = await tx.fetchrow(
        """
        UPDATE users.link_tokens SET spent_at = $2
        WHERE digest = ANY ($1::text[]) AND purpose = 'verify_email' AND spent_at IS NULL AND expires_at > $2
        RETURNING user_id, email, sign_up_name, sign_up_password_hash, sign_up_tenant_name
        """,
        digests,
        tx.now,
    )
    if row is None:
        return None
    pending = _pending(row["sign_up_name"], row["sign_up_password_hash"], row["sign_up_tenant_name"])
    return row["user_id"], row["email"], pending


async def was_verified_by(tx: Transaction, digests: list[str]) -> bool:
    """Whether a token was spent before on an address that is verified now."""
    return bool(
        await tx.fetchval(
            "SELECT EXISTS (SELECT FROM users.link_tokens AS t JOIN users.users AS u USING (user_id, email)"
            " WHERE t.digest = ANY ($1::text[]) AND t.purpose = 'verify_email' AND t.spent_at IS NOT NULL"
            " AND u.email_verified_at IS NOT NULL)",
            digests,
        )
    )


async def mark_verified(tx: Transaction, user_id: str, pending: PendingSignUp | None) -> User | None:
    """Marks the address verified, takes over the sign-up that was verified, and makes every other link worthless."""
    row = await tx.fetchrow(
        f"""
        UPDATE users.users
        SET email_verified_at = $2, updated_at = $2, name = coalesce($3, name),
            wanted_tenant_name = CASE WHEN $4 THEN $5 ELSE wanted_tenant_name END
        WHERE user_id = $1 AND email_verified_at IS NULL RETURNING {_USER}
        """,
        user_id,
        tx.now,
        None if pending is None else pending.name,
        pending is not None,
        None if pending is None else pending.tenant_name,
    )
    if row is None:
        return None
    if pending is not None:
        await replace_password_hash(tx, user_id, pending.password_hash, changed=True)
    await tx.execute(
        "DELETE FROM users.link_tokens WHERE user_id = $1 AND purpose = 'verify_email' AND spent_at IS NULL", user_id
    )
    return User(**dict(row))


def _pending(name: str | None, password_hash: str | None, tenant_name: str | None) -> PendingSignUp | None:
    return None if name is None or password_hash is None else PendingSignUp(name, password_hash, tenant_name)


# -- sessions ----------------------------------------------------------------------------------------------------------


async def insert_session(tx: Transaction, session: NewSession) -> None:
    """Opens a session with its first refresh token."""
    await tx.execute(
        """
        WITH opened AS (
            INSERT INTO users.sessions (session_id, user_id, method, client_address, user_agent, created_at,
                                        refreshed_at, idle_until, expires_at)
            VALUES ($1, $2, 'password', $3, $4, $5, $5, $6, $7)
        )
        INSERT INTO users.refresh_tokens (digest, session_id, generation, issued_at) VALUES ($8, $1, 0, $5)
        """,
        session.session_id,
        session.user_id,
        session.client_address,
        session.user_agent,
        tx.now,
        session.times.idle_until,
        session.times.expires_at,
        session.refresh_digest,
    )


async def presented_token(tx: Transaction, session_id: str, digests: list[str]) -> tuple[PresentedToken, User] | None:
    """A refresh token of a session with the session's state, locked until the transaction ends."""
    row = await tx.fetchrow(
        """
        SELECT r.generation, r.replaced_at, s.generation AS current_generation, s.idle_until, s.expires_at,
               s.ended_at IS NOT NULL AS ended, u.user_id, u.email, u.name, u.status, u.platform_role,
               u.email_verified_at, u.wanted_tenant_name
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
    return token, User(**fields)


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
    return _count(
        await tx.execute(
            "UPDATE users.sessions SET ended_at = $2, end_reason = $3"
            " WHERE user_id = $1 AND ended_at IS NULL AND session_id IS DISTINCT FROM $4",
            user_id,
            tx.now,
            reason,
            but,
        )
    )


async def purge_sessions(tx: Transaction, ended_before: datetime, limit: int) -> int:
    """Deletes sessions that were ended or ran out before an instant, with their refresh tokens; returns how many."""
    return _count(
        await tx.execute(
            """
            DELETE FROM users.sessions WHERE session_id IN (
                SELECT session_id FROM users.sessions
                WHERE coalesce(ended_at, least(idle_until, expires_at)) < $1
                ORDER BY coalesce(ended_at, least(idle_until, expires_at)) LIMIT $2)
            """,
            ended_before,
            limit,
        )
    )


async def purge_link_tokens(tx: Transaction, expired_before: datetime, limit: int) -> int:
    """Deletes links, spent or not, that expired before an instant; returns how many."""
    return _count(
        await tx.execute(
            "DELETE FROM users.link_tokens WHERE digest IN"
            " (SELECT digest FROM users.link_tokens WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
            expired_before,
            limit,
        )
    )


def _count(status: str) -> int:
    return int(status.rpartition(" ")[2])


# -- signing keys ------------------------------------------------------------------------------------------------------


async def unretired_keys(connection: Connection) -> list[SigningKey]:
    """The keys that may sign, newest first."""
    rows = await connection.fetch(
        "SELECT kid, sealed_private_key FROM users.signing_keys WHERE retired_at IS NULL ORDER BY created_at DESC, kid"
    )
    return [SigningKey(**dict(row)) for row in rows]


async def lock_keys(connection: Connection) -> None:
    """Lets one process at a time make or re-seal keys; ends with the transaction."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('users.signing_keys', 0))")


async def insert_key(
    connection: Connection, key: SigningKey, *, algorithm: str, public_key: str, created_at: datetime
) -> None:
    await connection.execute(
        "INSERT INTO users.signing_keys (kid, algorithm, public_key, sealed_private_key, created_at)"
        " VALUES ($1, $2, $3, $4, $5)",
        key.kid,
        algorithm,
        public_key,
        key.sealed_private_key,
        created_at,
    )


async def reseal_key(connection: Connection, kid: str, sealed_private_key: str) -> None:
    await connection.execute(
        "UPDATE users.signing_keys SET sealed_private_key = $2 WHERE kid = $1", kid, sealed_private_key
    )


async def withdraw_key(connection: Connection, kid: str) -> None:
    """Retires a key as if long ago: unlike one that is merely replaced, it is published no more from now on."""
    await connection.execute("UPDATE users.signing_keys SET retired_at = 'epoch' WHERE kid = $1", kid)


# -- what other domains say --------------------------------------------------------------------------------------------


async def set_verification_mail_sent(tx: Transaction, mail_id: str, at: datetime) -> None:
    await tx.execute(
        "UPDATE users.users SET verification_mail_sent_at = $2 WHERE verification_mail_id = $1", mail_id, at
    )


async def set_home_tenant(tx: Transaction, user_id: str, tenant_id: str) -> None:
    await tx.execute(
        "UPDATE users.users SET home_tenant_id = $2 WHERE user_id = $1 AND home_tenant_id IS NULL", user_id, tenant_id
    )


async def clear_home_tenant(tx: Transaction, tenant_id: str) -> None:
    await tx.execute("UPDATE users.users SET home_tenant_id = NULL WHERE home_tenant_id = $1", tenant_id)


async def set_first_paid(tx: Transaction, tenant_id: str, at: datetime) -> None:
    await tx.execute(
        "UPDATE users.users SET first_paid_at = $2 WHERE home_tenant_id = $1 AND first_paid_at IS NULL", tenant_id, at
    )
