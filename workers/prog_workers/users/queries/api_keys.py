"""What the edge reads of API keys. They are a tenant's (`Database.scope(tenant_id=…)`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

import asyncpg

from prog_kit.database import Connection
from prog_kit.pages import Page, Where, bounded, decode_cursor, page_of

ApiKeyStatus = Literal["active", "expired", "revoked"]


@dataclass(frozen=True, slots=True)
class ApiKeyRow:
    """A key of a tenant's program. `hint` are the first characters of its secret; times are by the wall clock."""

    key_id: str
    tenant_id: str
    name: str
    hint: str
    scopes: frozenset[str]
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    last_used_address: str | None
    revoked_at: datetime | None
    revoked_by: str | None
    replaces: str | None
    replaced_by: str | None
    first_made_at: datetime | None = None
    """When the first of the keys was made that follow one another up to this one; told of a key found by its digest."""

    def status(self, now: datetime) -> ApiKeyStatus:
        if self.revoked_at is not None:
            return "revoked"
        return "active" if self.expires_at is None or now < self.expires_at else "expired"


_API_KEYS: Final = (
    "SELECT key_id, tenant_id, name, hint, scopes, created_by, created_at, expires_at, last_used_at,"
    " last_used_address, revoked_at, revoked_by, replaces, replaced_by FROM users.api_keys"
)
_FIRST_MADE: Final = """
WITH RECURSIVE line AS (
    SELECT replaces, created_at FROM users.api_keys WHERE key_id = $1
    UNION SELECT k.replaces, k.created_at FROM users.api_keys AS k JOIN line ON k.key_id = line.replaces
)
SELECT min(created_at) FROM line
"""


async def api_key_of_digest(connection: Connection, tenant_id: str, digest: str) -> ApiKeyRow | None:
    """The key of a tenant that has this SHA-256; whether it is good is to be seen."""
    row = await connection.fetchrow(f"{_API_KEYS} WHERE tenant_id = $1 AND digest = $2", tenant_id, digest)
    if row is None:
        return None
    made_at = row["created_at"] if row["replaces"] is None else await connection.fetchval(_FIRST_MADE, row["replaces"])
    return replace(_api_key(row), first_made_at=made_at or row["created_at"])


async def api_key(connection: Connection, tenant_id: str, key_id: str) -> ApiKeyRow | None:
    """One key of a tenant."""
    row = await connection.fetchrow(f"{_API_KEYS} WHERE tenant_id = $1 AND key_id = $2", tenant_id, key_id)
    return None if row is None else _api_key(row)


async def api_keys(
    connection: Connection,
    tenant_id: str,
    *,
    good_at: datetime | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[ApiKeyRow]:
    """The keys of a tenant, newest first: also those that are over, or only those that are good at an instant.

    Raises Invalid for a cursor of another list.
    """
    where = Where()
    where.add("tenant_id = {}", tenant_id)
    if good_at is not None:
        where.add("revoked_at IS NULL AND (expires_at IS NULL OR expires_at > {})", good_at)
    if cursor is not None:
        where.add("(created_at, key_id) < ({}, {})", *decode_cursor(cursor, datetime, str))
    size = bounded(limit)
    query = f"{_API_KEYS} WHERE {where} ORDER BY created_at DESC, key_id DESC LIMIT {where.value(size + 1)}"
    rows = [_api_key(row) for row in await connection.fetch(query, *where.values)]
    return page_of(rows, size, lambda row: (row.created_at, row.key_id))


async def api_keys_made_by(connection: Connection, user_id: str) -> Sequence[ApiKeyRow]:
    """The keys that a person made, newest first, at most 10,000.

    Asks with the rights of `Database.operator`, for they are of many tenants.
    """
    query = f"{_API_KEYS} WHERE created_by = $1 ORDER BY created_at DESC, key_id DESC LIMIT 10000"
    return [_api_key(row) for row in await connection.fetch(query, user_id)]


async def count_api_keys(connection: Connection, tenant_id: str, now: datetime) -> int:
    """How many keys of a tenant are good."""
    return int(
        await connection.fetchval(
            "SELECT count(*) FROM users.api_keys"
            " WHERE tenant_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)",
            tenant_id,
            now,
        )
    )


def _api_key(row: asyncpg.Record) -> ApiKeyRow:
    return ApiKeyRow(**{**dict(row), "scopes": frozenset(row["scopes"])})
