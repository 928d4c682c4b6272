"""PostgreSQL: one pool a role, and scopes that say whose rows may be seen.

A connection by itself sees no tenant's rows: row-level security compares every row with the transaction-local setting
`prog.tenant_id`, which only the scopes below set. `operator()` is the one way to read across tenants; it takes on the
read-only role `prog_operator` for one transaction.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Self, TypeAlias
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
DOMAIN_ROLES: Final = ("users", "tenants", "payments", "email", "monitoring", "events")
ROLES: Final = tuple(f"prog_{name}" for name in (*DOMAIN_ROLES, "edge", "relay", "scheduler"))
"""Login roles, one a domain and one each for edge, relay and scheduler."""

OUTAGES: Final = (
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a statement just after the server has told that it ends the connection
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
"""What asyncpg raises, besides OSError, while the server is away, is going, or has ended the connection."""

FAILURES: Final = (OSError, asyncpg.PostgresError, *OUTAGES)
"""What a statement raises that the server does not take, for whatever reason: for loops that go on regardless."""


def is_open(connection: Connection) -> bool:
    """Whether a connection still stands.

    asyncpg raises InterfaceError for one that does not, and also for a statement that it cannot even send, such as one
    with too many arguments: then the server is there, and the statement is wrong.
    """
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:  # it was cut, and its pool has taken it back
        return False


CLOSE_SECONDS: Final = 10.0
TCP_USER_TIMEOUT_SECONDS: Final = 20
"""The server gives a client up that has not acknowledged anything for so long, and frees its locks."""

_SAFE: Final = re.compile(r"[a-z0-9_]{0,90}")
"""The letters of a TypeID: what may stand in a SET LOCAL, which takes no parameters."""


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


@dataclass(slots=True)
class Begun:
    """An open transaction."""

    connection: Connection
    _last: str = ""

    def commit_with(self, statement: str) -> None:
        """Has a last statement, without parameters, sent together with the COMMIT, which saves its round trip."""
        self._last = f"{statement}; "

    @asynccontextmanager
    async def ended(self) -> AsyncIterator[Self]:
        """Commits at the end, rolls back on any exception.

        Raises asyncpg.InFailedSQLTransactionError when an error inside was swallowed, so that nothing could be
        committed.
        """
        try:
            yield self
            status = await self.connection.execute(f"{self._last}COMMIT")
        except BaseException:
            if not self.connection.is_closed():
                await self.connection.execute("ROLLBACK")
            raise
        if status != "COMMIT":
            raise asyncpg.InFailedSQLTransactionError("the transaction had failed before and was rolled back")


@asynccontextmanager
async def begun(
    connection: Connection, *, tenant_id: str | None = None, user_id: str | None = None
) -> AsyncIterator[Connection]:
    """A transaction whose beginning and whose tenant and person are set in one round trip; ends as `Begun.ended`.

    Raises ValueError for what is no id.
    """
    for value in (tenant_id, user_id):
        if value is not None and not _SAFE.fullmatch(value):
            raise ValueError(f"{value[:64]!r} is no id")
    await connection.execute(
        f"BEGIN; SET LOCAL prog.tenant_id = '{tenant_id or ''}'; SET LOCAL prog.user_id = '{user_id or ''}'"
    )
    async with Begun(connection).ended():
        yield connection


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
        answer_seconds: float | None = None,
        statement_seconds: float = 0,
        plan_once: bool = False,
        lasts_later: bool = False,
    ) -> Self:
        """Opens a pool as `role` (such as `prog_users`).

        A transaction that waits longer than `idle_in_transaction_seconds` for its client is ended by the server. A
        statement that has no answer after `answer_seconds` raises TimeoutError, and a connection on which the
        server does not even take the cancellation is ended: one that a router forgot would keep its user waiting
        for ever. The server itself gives a statement up after `statement_seconds`, whatever has become of its client;
        0 is never.  With `plan_once` the server plans each statement once a connection, for all values: right where
        statements are few and go by keys. With `lasts_later` a commit does not wait for the disk, and a crash of the
        server takes back those of the last second: for notes that can be made again.

        Raises OSError or asyncpg.PostgresError when the server does not answer or refuses the role.
        """
        pool = await asyncpg.create_pool(
            role_url(url, role),
            min_size=min_size,
            max_size=max_size,
            max_inactive_connection_lifetime=300,
            command_timeout=answer_seconds,
            reset=_keep_session,
            server_settings={
                "application_name": role,
                "timezone": "UTC",
                "tcp_user_timeout": str(TCP_USER_TIMEOUT_SECONDS * 1000),
                "tcp_keepalives_idle": str(TCP_USER_TIMEOUT_SECONDS // 2),
                "idle_in_transaction_session_timeout": str(int(idle_in_transaction_seconds * 1000)),
                "plan_cache_mode": "force_generic_plan" if plan_once else "auto",
                **({"synchronous_commit": "off"} if lasts_later else {}),
                **({"statement_timeout": str(int(statement_seconds * 1000))} if statement_seconds else {}),
            },
        )
        assert pool is not None
        return cls(pool, role)

    async def close(self) -> None:
        """Waits a while for borrowed connections and closes all."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.pool.close()
        except TimeoutError:
            self.pool.terminate()

    @asynccontextmanager
    async def scope(self, *, tenant_id: str | None = None, user_id: str | None = None) -> AsyncIterator[Connection]:
        """A transaction that sees the rows of one tenant, of one person, or of both.

        With neither it sees no tenant-owned row at all.
        """
        async with self.pool.acquire() as connection, begun(connection, tenant_id=tenant_id, user_id=user_id):
            yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A transaction that has set nothing yet: whose rows it sees, it says itself."""
        async with self.pool.acquire() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Begun]:
        """The same, for who has a last statement to commit with."""
        async with self.pool.acquire() as connection:
            await connection.execute("BEGIN")
            async with Begun(connection).ended() as begun:
                yield begun

    @asynccontextmanager
    async def operator(self) -> AsyncIterator[Connection]:
        """A read-only transaction across all tenants, as `prog_operator`. The caller has checked the right to it."""
        async with self.pool.acquire() as connection, connection.transaction(readonly=True):
            await connection.execute("SET LOCAL ROLE prog_operator")
            yield connection

    @asynccontextmanager
    async def analyst(self) -> AsyncIterator[Connection]:
        """A read-only transaction that counts tenants, as `prog_analyst`, which reads none of their names or ids."""
        async with self.pool.acquire() as connection, connection.transaction(readonly=True):
            await connection.execute("SET LOCAL ROLE prog_analyst")
            yield connection
