"""Keys of tenants' programs. Row-level security binds each statement to the command's tenant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from prog_broker.transaction import Transaction
from prog_contracts.api_keys import ApiKeyUse
from prog_workers.users.rules import ApiKey


@dataclass(frozen=True, slots=True)
class NewApiKey:
    key_id: str
    name: str
    digest: str
    hint: str
    scopes: tuple[str, ...]
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    replaces: str | None = None


_KEY: Final = "key_id, name, scopes, created_at, expires_at, revoked_at, revoked_by, replaced_by"


async def insert_api_key(tx: Transaction, key: NewApiKey) -> bool:
    """Keeps a key; False when this id or this key is there already."""
    inserted = await tx.fetchval(
        """
        INSERT INTO users.api_keys (key_id, tenant_id, name, digest, hint, scopes, created_by, created_at, expires_at,
                                    replaces)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        ON CONFLICT DO NOTHING RETURNING true
        """,
        key.key_id,
        tx.tenant_id,
        key.name,
        key.digest,
        key.hint,
        list(key.scopes),
        key.created_by,
        key.created_at,
        key.expires_at,
        key.replaces,
    )
    return inserted is True


async def api_key(tx: Transaction, key_id: str) -> ApiKey | None:
    """A key of this tenant, locked until the transaction ends."""
    row = await tx.fetchrow(f"SELECT {_KEY} FROM users.api_keys WHERE key_id = $1 FOR UPDATE", key_id)
    return None if row is None else ApiKey(**{**dict(row), "scopes": tuple(row["scopes"])})


async def count_api_keys(tx: Transaction, now: datetime) -> int:
    """How many keys of this tenant are good."""
    return int(
        await tx.fetchval(
            "SELECT count(*) FROM users.api_keys"
            " WHERE tenant_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)",
            tx.tenant_id,
            now,
        )
    )


async def replace_api_key(tx: Transaction, key_id: str, *, by: str, expires_at: datetime) -> None:
    await tx.execute(
        "UPDATE users.api_keys SET replaced_by = $2, expires_at = $3 WHERE key_id = $1", key_id, by, expires_at
    )


async def revoke_api_key(tx: Transaction, key_id: str, *, at: datetime, by: str | None) -> None:
    await tx.execute("UPDATE users.api_keys SET revoked_at = $2, revoked_by = $3 WHERE key_id = $1", key_id, at, by)


async def revoke_api_keys(tx: Transaction, *, at: datetime, maker: str | None = None) -> Sequence[ApiKey]:
    """Revokes all keys of this tenant, or those that `maker` made; returns those that were not before."""
    by = "" if maker is None else " AND created_by = $3"
    rows = await tx.fetch(
        f"UPDATE users.api_keys SET revoked_at = $2 WHERE tenant_id = $1 AND revoked_at IS NULL{by} RETURNING {_KEY}",
        tx.tenant_id,
        at,
        *([] if maker is None else [maker]),
    )
    return [ApiKey(**{**dict(row), "scopes": tuple(row["scopes"])}) for row in rows]


async def note_api_key_uses(tx: Transaction, uses: Sequence[ApiKeyUse], *, apart: timedelta) -> None:
    """Moves the last use of keys of this tenant on, each by `apart` or more."""
    await tx.execute(
        """
        UPDATE users.api_keys AS k SET last_used_at = u.used_at, last_used_address = u.client_address
        FROM unnest($2::text[], $3::timestamptz[], $4::text[]) AS u (key_id, used_at, client_address)
        WHERE k.key_id = u.key_id AND k.tenant_id = $1
              AND (k.last_used_at IS NULL OR k.last_used_at <= u.used_at - $5::interval)
        """,
        tx.tenant_id,
        [use.key_id for use in uses],
        [use.used_at for use in uses],
        [use.client_address for use in uses],
        apart,
    )
