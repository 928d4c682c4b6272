"""The read side of the users domain. The edge calls these with a connection of its own role.

What a caller sees follows from the connection: `Database.scope(user_id=…)` shows a person the own rows,
`Database.operator()` shows the platform's operators all; nobody is shown a hash or a token's digest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from prog_contracts.profiles import Theme
from prog_contracts.users import PlatformRole, SecondFactor, SignInMethod
from prog_kit.database import Connection
from prog_kit.pages import MAX_LIMIT, Page, Where, bounded, decode_cursor, page_of
from prog_workers.users import rules
from prog_workers.users.rules import amr


@dataclass(frozen=True, slots=True)
class UserRow:
    """A person. `home_tenant_id` is the tenant that sign-in opens, `erase_at` when a deletion's grace period ends."""

    user_id: str
    email: str
    name: str
    status: Literal["active", "disabled"]
    platform_role: PlatformRole | None
    email_verified_at: datetime | None
    verification_mail_sent_at: datetime | None
    home_tenant_id: str | None
    first_paid_at: datetime | None
    created_at: datetime
    updated_at: datetime
    erase_at: datetime | None = None
    locale: str | None = None
    time_zone: str | None = None
    theme: Theme | None = None
    avatar_id: str | None = None

    @property
    def email_verified(self) -> bool:
        return self.email_verified_at is not None


@dataclass(frozen=True, slots=True)
class SessionRow:
    session_id: str
    user_id: str
    method: SignInMethod
    second_factor: SecondFactor | None
    client_address: str | None
    user_agent: str | None
    created_at: datetime
    refreshed_at: datetime
    idle_until: datetime
    expires_at: datetime
    ended_at: datetime | None
    end_reason: str | None
    sign_on_tenant_id: str | None = None
    """The tenant whose provider has vouched for its person."""

    @property
    def amr(self) -> list[str]:
        """How its person was authenticated (RFC 8176)."""
        return amr(self.method, self.second_factor)

    def is_live(self, now: datetime) -> bool:
        return self.ended_at is None and now < min(self.idle_until, self.expires_at)


@dataclass(frozen=True, slots=True)
class SecondFactorRow:
    """What a person has as a second factor, and how many recovery codes are good still.

    `enrolled_at` is when the authenticator app was set up; None where there are passkeys alone.
    """

    enrolled_at: datetime | None
    passkeys: int
    codes_left: int
    codes_made_at: datetime | None


@dataclass(frozen=True, slots=True)
class IdentityRow:
    """An identity that another provider vouches for. `email` is what the provider last told."""

    identity_id: str
    provider: str
    title: str
    issuer: str
    email: str | None
    linked_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class PasskeyRow:
    """`backed_up` is one that is kept beyond its device, where `backup_eligible` ones may be."""

    passkey_id: str
    credential_id: bytes
    name: str
    transports: tuple[str, ...]
    backup_eligible: bool
    backed_up: bool
    created_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The public half of a key that signs access tokens (EdDSA) or ID tokens (RS256)."""

    kid: str
    algorithm: str
    public_key: str
    created_at: datetime
    retired_at: datetime | None

    def jwk(self) -> dict[str, Any]:
        """As a member of `keys` in a JWK Set (RFC 7517, RFC 7518, RFC 8037)."""
        about = {"kid": self.kid, "alg": self.algorithm, "use": "sig"}
        if self.algorithm == "RS256":
            return {"kty": "RSA", "n": self.public_key, "e": "AQAB"} | about
        return {"kty": "OKP", "crv": "Ed25519", "x": self.public_key} | about


_USERS: Final = (
    "SELECT user_id, email, name, status, platform_role, email_verified_at, verification_mail_sent_at, home_tenant_id,"
    " first_paid_at, created_at, updated_at, erase_at, locale, time_zone, theme, avatar_id FROM users.users"
)
_SESSIONS: Final = (
    "SELECT session_id, user_id, method, second_factor, client_address, user_agent, created_at, refreshed_at,"
    " idle_until, expires_at, ended_at, end_reason, sign_on_tenant_id FROM users.sessions"
)


async def signing_keys(connection: Connection) -> Sequence[PublicKey]:
    """The keys whose tokens may still be good, newest first. A retired one stays for an hour."""
    rows = await connection.fetch(
        """
        SELECT kid, algorithm, public_key, created_at, retired_at FROM users.signing_keys
        WHERE retired_at IS NULL OR retired_at > clock_timestamp() - interval '1 hour'
        ORDER BY created_at DESC, kid
        """
    )
    return [PublicKey(**dict(row)) for row in rows]


async def user(connection: Connection, user_id: str) -> UserRow | None:
    """One person; None when there is none, or none that the viewer may see."""
    row = await connection.fetchrow(f"{_USERS} WHERE user_id = $1", user_id)
    return None if row is None else UserRow(**dict(row))


async def session(connection: Connection, session_id: str) -> SessionRow | None:
    """One session; None when there is none, or not the viewer's."""
    row = await connection.fetchrow(f"{_SESSIONS} WHERE session_id = $1", session_id)
    return None if row is None else SessionRow(**dict(row))


async def live_session(connection: Connection, session_id: str, now: datetime) -> SessionRow | None:
    """The session of an access token, if it still goes on."""
    found = await session(connection, session_id)
    return found if found is not None and found.is_live(now) else None


async def is_fresh_sign_in(connection: Connection, session_id: str, now: datetime) -> bool:
    """Whether the session goes on and began with a sign-in a moment ago, as what is dangerous asks for."""
    found = await session(connection, session_id)
    if found is None or not found.is_live(now):
        return False
    has_second_factor = await second_factor(connection, found.user_id) is not None
    proven = rules.Authentication(found.created_at, found.method, found.second_factor)
    return rules.is_fresh(proven, now, has_second_factor=has_second_factor)


async def sessions_of(connection: Connection, user_id: str, now: datetime) -> Sequence[SessionRow]:
    """A person's live sessions, the latest used first, at most 100."""
    rows = await connection.fetch(
        f"{_SESSIONS} WHERE user_id = $1 AND ended_at IS NULL AND least(idle_until, expires_at) > $2"
        " ORDER BY refreshed_at DESC, session_id LIMIT 100",
        user_id,
        now,
    )
    return [SessionRow(**dict(row)) for row in rows]


async def session_history(connection: Connection, user_id: str, *, cursor: str | None = None) -> Page[SessionRow]:
    """All sessions of a person that are kept, those that are over too, newest first.

    Raises Invalid for a cursor of another list.
    """
    where = Where()
    where.add("user_id = {}", user_id)
    if cursor is not None:
        where.add("(created_at, session_id) < ({}, {})", *decode_cursor(cursor, datetime, str))
    query = f"{_SESSIONS} WHERE {where} ORDER BY created_at DESC, session_id DESC LIMIT {where.value(MAX_LIMIT + 1)}"
    rows = [SessionRow(**dict(row)) for row in await connection.fetch(query, *where.values)]
    return page_of(rows, MAX_LIMIT, lambda row: (row.created_at, row.session_id))


async def second_factor(connection: Connection, user_id: str) -> SecondFactorRow | None:
    """What the viewer has as a second factor; None when that is nothing."""
    row = await connection.fetchrow(
        """
        SELECT (SELECT enrolled_at FROM users.totp_factors WHERE user_id = $1) AS enrolled_at,
               (SELECT count(*) FROM users.passkeys WHERE user_id = $1) AS passkeys,
               count(*) FILTER (WHERE spent_at IS NULL) AS codes_left, max(made_at) AS codes_made_at
        FROM users.recovery_codes WHERE user_id = $1
        """,
        user_id,
    )
    if row is None or (row["enrolled_at"] is None and row["passkeys"] == 0):
        return None
    return SecondFactorRow(**dict(row))


async def second_factor_of(connection: Connection, user_id: str) -> tuple[datetime | None, int]:
    """What an operator may know of a person's second factors: since when there is an app, and how many passkeys."""
    enrolled_at = await connection.fetchval("SELECT enrolled_at FROM users.totp_factors WHERE user_id = $1", user_id)
    count = await connection.fetchval("SELECT count(*) FROM users.passkeys WHERE user_id = $1", user_id)
    return enrolled_at, count


async def passkeys(connection: Connection, user_id: str) -> Sequence[PasskeyRow]:
    """The viewer's own, in the order in which they were made; there are few."""
    rows = await connection.fetch(
        "SELECT passkey_id, credential_id, name, transports, backup_eligible, backed_up, created_at, last_used_at"
        " FROM users.passkeys WHERE user_id = $1 ORDER BY created_at, passkey_id",
        user_id,
    )
    return [PasskeyRow(**{**dict(row), "transports": tuple(row["transports"])}) for row in rows]


async def identities(connection: Connection, user_id: str) -> Sequence[IdentityRow]:
    """The identities that are linked to the viewer's account, the first one first."""
    rows = await connection.fetch(
        "SELECT identity_id, provider, title, issuer, email, linked_at, last_used_at FROM users.identities"
        " WHERE user_id = $1 ORDER BY linked_at, identity_id LIMIT 100",
        user_id,
    )
    return [IdentityRow(**dict(row)) for row in rows]


async def signed_on_at(connection: Connection, user_id: str, tenant_id: str) -> datetime | None:
    """When a tenant's own provider has last vouched for the viewer; None where it never has."""
    at: datetime | None = await connection.fetchval(
        "SELECT max(coalesce(last_used_at, linked_at)) FROM users.identities"
        " WHERE user_id = $1 AND sign_on_tenant_id = $2",
        user_id,
        tenant_id,
    )
    return at


async def has_password(connection: Connection, user_id: str) -> bool:
    """Whether the viewer has a password, or comes through other providers alone."""
    query = "SELECT EXISTS (SELECT user_id FROM users.passwords WHERE user_id = $1)"
    return bool(await connection.fetchval(query, user_id))


async def list_users(
    connection: Connection,
    *,
    email_prefix: str = "",
    search: str = "",
    role: PlatformRole | None = None,
    verified: bool | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[UserRow]:
    """People, newest first. `search` is part of an address or a name, or a whole id.

    Raises Invalid for a cursor of another list.
    """
    where = Where()
    if email_prefix:
        where.add("email LIKE {}", f"{_literal(email_prefix.lower())}%")
    if search:
        pattern = f"%{_literal(search.lower())}%"
        where.add("(email LIKE {} OR lower(name) LIKE {} OR user_id = {})", pattern, pattern, search)
    if role is not None:
        where.add("platform_role = {}", role)
    if verified is not None:
        where.add("email_verified_at IS NOT NULL" if verified else "email_verified_at IS NULL")
    if cursor is not None:
        where.add("(created_at, user_id) < ({}, {})", *decode_cursor(cursor, datetime, str))
    size = bounded(limit)
    query = f"{_USERS} WHERE {where} ORDER BY created_at DESC, user_id DESC LIMIT {where.value(size + 1)}"
    rows = [UserRow(**dict(row)) for row in await connection.fetch(query, *where.values)]
    return page_of(rows, size, lambda row: (row.created_at, row.user_id))


async def count(connection: Connection) -> int:
    """How many accounts there are."""
    return int(await connection.fetchval("SELECT count(*) FROM users.users"))


def _literal(text: str) -> str:
    """`text` without meaning to LIKE."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
