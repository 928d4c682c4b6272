"""The keys that sign access and ID tokens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from prog_kit.database import Connection


@dataclass(frozen=True, slots=True)
class SigningKey:
    kid: str
    sealed_private_key: str


async def unretired_keys(connection: Connection, algorithm: str) -> list[SigningKey]:
    """The keys of an algorithm that may sign, newest first."""
    rows = await connection.fetch(
        "SELECT kid, sealed_private_key FROM users.signing_keys WHERE retired_at IS NULL AND algorithm = $1"
        " ORDER BY created_at DESC, kid",
        algorithm,
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


async def retire_keys(connection: Connection, algorithm: str, *, withdraw: bool) -> list[str]:
    """Retires every key of an algorithm that may sign, and tells their ids. With `withdraw`, those from before too that
    are still published."""
    rows = await connection.fetch(
        """
        UPDATE users.signing_keys SET retired_at = CASE WHEN $2 THEN 'epoch' ELSE clock_timestamp() END
        WHERE algorithm = $1 AND (retired_at IS NULL OR ($2 AND retired_at > 'epoch'))
        RETURNING kid
        """,
        algorithm,
        withdraw,
    )
    return sorted(row["kid"] for row in rows)
