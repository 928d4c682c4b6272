"""What a person is called, prefers, and is shown by."""

from __future__ import annotations

from prog_broker.transaction import Transaction
from prog_workers.users.rules.profiles import Profile


async def profile_of(tx: Transaction, user_id: str) -> Profile:
    """Of an account that whoever calls has locked."""
    row = await tx.fetchrow(
        "SELECT name, locale, time_zone, theme, avatar_id FROM users.users WHERE user_id = $1", user_id
    )
    assert row is not None
    return Profile(**dict(row))


async def keep_profile(tx: Transaction, user_id: str, profile: Profile) -> None:
    await tx.execute(
        "UPDATE users.users SET name = $2, locale = $3, time_zone = $4, theme = $5, avatar_id = $6, updated_at = $7"
        " WHERE user_id = $1",
        user_id,
        profile.name,
        profile.locale,
        profile.time_zone,
        profile.theme,
        profile.avatar_id,
        tx.now,
    )


async def put_avatar(tx: Transaction, user_id: str, avatar_id: str, content: bytes) -> None:
    """Keeps a person's picture; the one from before is gone."""
    await tx.execute(
        "INSERT INTO users.avatars (user_id, avatar_id, content, stored_at) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (user_id) DO UPDATE"
        " SET avatar_id = excluded.avatar_id, content = excluded.content, stored_at = excluded.stored_at",
        user_id,
        avatar_id,
        content,
        tx.now,
    )


async def drop_avatar(tx: Transaction, user_id: str) -> None:
    await tx.execute("DELETE FROM users.avatars WHERE user_id = $1", user_id)
