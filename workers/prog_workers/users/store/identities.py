"""Identities that other providers vouch for, and accounts that are made for them."""

from __future__ import annotations

from dataclasses import dataclass

from prog_broker.transaction import Transaction
from prog_contracts.identities import ProvenIdentity
from prog_workers.users.store.accounts import User


@dataclass(frozen=True, slots=True)
class Identity:
    identity_id: str
    user_id: str
    issuer: str
    provider: str
    title: str


_IDENTITY = "identity_id, user_id, issuer, provider, title"


async def linked_identity(tx: Transaction, proven: ProvenIdentity) -> Identity | None:
    """The identity, if it belongs to an account. What a tenant's provider vouches for is apart from all others'."""
    row = await tx.fetchrow(
        f"SELECT {_IDENTITY} FROM users.identities"
        " WHERE issuer = $1 AND subject = $2 AND sign_on_tenant_id IS NOT DISTINCT FROM $3",
        proven.issuer,
        proven.subject,
        proven.tenant_id,
    )
    return None if row is None else Identity(**dict(row))


async def own_identity(tx: Transaction, identity_id: str, user_id: str) -> Identity | None:
    row = await tx.fetchrow(
        f"SELECT {_IDENTITY} FROM users.identities WHERE identity_id = $1 AND user_id = $2", identity_id, user_id
    )
    return None if row is None else Identity(**dict(row))


async def insert_identity(
    tx: Transaction, identity_id: str, user_id: str, proven: ProvenIdentity, email: str | None
) -> bool:
    """Links an identity to an account; False when it belongs to one already."""
    added = await tx.fetchval(
        """
        INSERT INTO users.identities (identity_id, user_id, issuer, subject, provider, title, email, linked_at,
                                      sign_on_tenant_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (issuer, subject, sign_on_tenant_id) DO NOTHING RETURNING true
        """,
        identity_id,
        user_id,
        proven.issuer,
        proven.subject,
        proven.provider,
        proven.title,
        email,
        tx.now,
        proven.tenant_id,
    )
    return added is True


async def note_identity_use(tx: Transaction, identity_id: str, email: str | None) -> None:
    await tx.execute(
        "UPDATE users.identities SET last_used_at = $2, email = coalesce($3, email) WHERE identity_id = $1",
        identity_id,
        tx.now,
        email,
    )


async def delete_identity(tx: Transaction, identity_id: str) -> None:
    await tx.execute("DELETE FROM users.identities WHERE identity_id = $1", identity_id)


async def count_identities(tx: Transaction, user_id: str) -> int:
    return int(await tx.fetchval("SELECT count(*) FROM users.identities WHERE user_id = $1", user_id))


async def has_password(tx: Transaction, user_id: str) -> bool:
    return bool(await tx.fetchval("SELECT EXISTS (SELECT FROM users.passwords WHERE user_id = $1)", user_id))


async def insert_user_without_password(tx: Transaction, user_id: str, email: str, name: str) -> bool:
    """Adds an account whose address counts as verified; False when the address has one."""
    added = await tx.fetchval(
        """
        INSERT INTO users.users (user_id, email, name, email_verified_at, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $4, $4)
        ON CONFLICT (email) DO NOTHING RETURNING true
        """,
        user_id,
        email,
        name,
        tx.now,
    )
    return added is True


async def take_over_unverified(tx: Transaction, user: User, name: str) -> User:
    """Makes an account that nobody has verified that of whoever holds its mailbox: nothing of the sign-up stays good.

    The caller has locked the account.
    """
    for table in ("passwords", "link_tokens", "pending_sign_ins"):
        await tx.execute(f"DELETE FROM users.{table} WHERE user_id = $1", user.user_id)
    await tx.execute(
        "UPDATE users.users SET email_verified_at = $2, updated_at = $2, name = $3, wanted_tenant_name = NULL"
        " WHERE user_id = $1",
        user.user_id,
        tx.now,
        name,
    )
    return User(user.user_id, user.email, name, user.status, user.platform_role, tx.now, None)
