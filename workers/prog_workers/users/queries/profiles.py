"""What the edge reads of the pictures that people are shown by."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from prog_kit.database import Connection


async def avatar(connection: Connection, user_id: str, avatar_id: str) -> bytes | None:
    """The picture of a person, in their scope; None where it is another one by now, or none."""
    content: bytes | None = await connection.fetchval(
        "SELECT content FROM users.avatars WHERE user_id = $1 AND avatar_id = $2", user_id, avatar_id
    )
    return content


async def avatar_ids(connection: Connection, user_ids: Collection[str]) -> Mapping[str, str]:
    """Which pictures people have. Asks with the rights of `Database.operator`, for they are many people's."""
    rows = await connection.fetch(
        "SELECT user_id, avatar_id FROM users.users WHERE user_id = ANY ($1::text[]) AND avatar_id IS NOT NULL",
        list(user_ids),
    )
    return {row["user_id"]: row["avatar_id"] for row in rows}
