"""PostgreSQL: one pool a role, and scopes that say whose rows may be seen.

A connection by itself sees no tenant's rows: row-level security compares every row with the transaction-local setting
`prog.tenant_id`, which only the scopes below set. `operator()` is the one way to read across tenants; it takes on the
read-only role `prog_operator` for one transaction.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Self, TypeAlias
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
DOMAIN_ROLES: Final = ("users", "tenants", "payments", "email", "monitoring", "events")
ROLES: Final = tuple(f"prog_{name}" for name in (*DOMAIN_ROLES, "edge", "relay", "scheduler"))
"""Login roles, one a domain and one each for edge, relay and scheduler."""

SET_SCOPE: Final = "SELECT set_config('prog.tenant_id', $1, true), set_config('prog.user_id', $2, true)"


def role_url(url: str, role: str) -> str:
    """`url` with the login of `role`.

    Where the given URL has a password (a server that asks for one), the role's password is derived from it, as
    `prog migrate` sets it; a server that trusts its socket needs none.
    """
    parts = urlsplit(url)
    userinfo = role if parts.password is None else f"{role}:{role_password(parts.password, role)}"
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{userinfo}@{host}"))


def role_password(admin_password: str, role: str) -> str:
    """The password of a role: HMAC-SHA-256 of its name under the administrator's password, 40 hex digits."""
    digest = hmac.new(admin_password.encode(), f"prognetwork/{role}".encode(), hashlib.sha256).hexdigest()
    return quote(digest[:40])


async def _keep_session(_: object) -> None:
    """Sends nothing when a connection goes back to the pool, which saves a round trip a transaction.

    Whatever is set here is set for one transaction; who takes a lock for a session gives it back.
    """


class Database:
    """A pool of connections that all have one role."""

    def __init__(self, pool: asyncpg.Pool[Any], role: str) -> None:
        self.pool = pool
        self.role = role

    @classmethod
    async def connect(
        cls,
        url: str,
        role: str,
        *,
        min_size: int = 1,
        max_size: int = 8,
        idle_in_transaction_seconds: float = 60,
        plan_once: bool = False,
    ) -> Self:
        """Opens a pool as `role` (such as `prog_users`).

        A transaction that waits longer than `idle_in_transaction_seconds` for its client is ended by the server. With
        `plan_once` the server plans each statement once a connection, for all values: right where statements are few
        and go by keys.

        Raises OSError or asyncpg.PostgresError when the server does not answer or refuses the role.
        """
        pool = await asyncpg.create_pool(
            role_url(url, role),
            min_size=min_size,
            max_size=max_size,
            max_inactive_connection_lifetime=300,
            reset=_keep_session,
            server_settings={
                "application_name": role,
                "timezone": "UTC",
                "idle_in_transaction_session_timeout": str(int(idle_in_transaction_seconds * 1000)),
                "plan_cache_mode": "force_generic_plan" if plan_once else "auto",
            },
        )
        assert pool is not None
        return cls(pool, role)

    async def close(self) -> None:
        """Waits for borrowed connections and closes all."""
        await self.pool.close()

    @asynccontextmanager
    async def scope(self, *, tenant_id: str | None = None, user_id: str | None = None) -> AsyncIterator[Connection]:
        """A transaction that sees the rows of one tenant, of one person, or of both.

        With neither it sees no tenant-owned row at all.
        """
        async with self.pool.acquire() as connection, connection.transaction():
            await connection.execute(SET_SCOPE, tenant_id or "", user_id or "")
            yield connection

    @asynccontextmanager
    async def operator(self) -> AsyncIterator[Connection]:
        """A read-only transaction across all tenants, as `prog_operator`. The caller has checked the right to it."""
        async with self.pool.acquire() as connection, connection.transaction(readonly=True):
            await connection.execute("SET LOCAL ROLE prog_operator")
            yield connection
