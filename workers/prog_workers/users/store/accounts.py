"""People: accounts, passwords, the verification of addresses, and what other domains say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from prog_broker.transaction import Transaction
from prog_contracts.users import PlatformRole
from prog_kit.database import Connection
from prog_workers.users.rules import AccountStatus, SignUp


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


async def password_hash(tx: Transaction | Connection, email: str) -> str | None:
    """The stored hash of an address; None when it has no account."""
    stored: str | None = await tx.fetchval(
        "SELECT p.hash FROM users.users AS u JOIN users.passwords AS p USING (user_id) WHERE u.email = $1", email
    )
    return stored


async def hashes_of_each_strength(connection: Connection) -> list[str]:
    """One hash of every version and parameters that there are."""
    rows = await connection.fetch(
        "SELECT min(hash) AS hash FROM users.passwords GROUP BY split_part(hash, '$', 3), split_part(hash, '$', 4)"
    )
    return [row["hash"] for row in rows]


async def replace_password_hash(tx: Transaction, user_id: str, new_hash: str, *, changed: bool) -> None:
    """Stores a hash, the first one too. `changed` says that the password is another one, not only hashed anew."""
    await tx.execute(
        "INSERT INTO users.passwords AS p (user_id, hash, changed_at) VALUES ($1, $2, $4)"
        " ON CONFLICT (user_id) DO UPDATE"
        " SET hash = excluded.hash, changed_at = CASE WHEN $3 THEN excluded.changed_at ELSE p.changed_at END",
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


async def purge_link_tokens(tx: Transaction, expired_before: datetime, limit: int) -> int:
    """Deletes links, spent or not, that expired before an instant; returns how many."""
    return row_count(
        await tx.execute(
            "DELETE FROM users.link_tokens WHERE digest = ANY (ARRAY("
            "SELECT digest FROM users.link_tokens WHERE expires_at < $1 ORDER BY expires_at LIMIT $2))",
            expired_before,
            limit,
        )
    )


def row_count(status: str) -> int:
    """How many rows a statement changed."""
    return int(status.rpartition(" ")[2])


# -- what other domains say --------------------------------------------------------------------------------------------


async def set_verification_mail_sent(tx: Transaction, mail_id: str, at: datetime) -> None:
    await tx.execute(
        "UPDATE users.users SET verification_mail_sent_at = $2 WHERE verification_mail_id = $1", mail_id, at
    )


async def set_home_tenant(tx: Transaction, user_id: str, tenant_id: str) -> None:
    await tx.execute(
        "UPDATE users.users SET home_tenant_id = $2 WHERE user_id = $1 AND home_tenant_id IS NULL", user_id, tenant_id
    )


async def clear_home_tenant(tx: Transaction, tenant_id: str, user_id: str | None = None) -> None:
    """Sign-in opens that tenant no more: for one person, or for everybody."""
    query = "UPDATE users.users SET home_tenant_id = NULL WHERE home_tenant_id = $1"
    if user_id is None:
        await tx.execute(query, tenant_id)
    else:
        # The person is found by their id, and not among all the tenant's people.
        await tx.execute(f"{query} AND user_id = $2", tenant_id, user_id)


async def set_first_paid(tx: Transaction, tenant_id: str, at: datetime) -> None:
    await tx.execute(
        "UPDATE users.users SET first_paid_at = $2 WHERE home_tenant_id = $1 AND first_paid_at IS NULL", tenant_id, at
    )
