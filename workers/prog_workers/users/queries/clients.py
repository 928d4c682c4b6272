"""What the edge reads of OAuth clients, and of what people have let them know.

Clients and their own tokens are a tenant's (`Database.scope(tenant_id=…)`); consents, authorizations and the tokens
that came of them are a person's (`Database.scope(user_id=…)`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from prog_contracts.oauth import Grant, PersonScope
from prog_kit.database import Connection
from prog_kit.pages import Page, Where, bounded, decode_cursor, page_of


@dataclass(frozen=True, slots=True)
class ClientRow:
    """A client that was not removed. `held_by` is within whose rights it calls the API; None for nobody's.

    `previous_held_by` is the same of whoever still comes with the secret before.
    """

    client_id: str
    tenant_id: str
    name: str
    secret_digest: str | None
    secret_hint: str | None
    previous_secret_digest: str | None
    previous_secret_until: datetime | None
    redirect_uris: tuple[str, ...]
    post_logout_redirect_uris: tuple[str, ...]
    backchannel_logout_uri: str | None
    grants: tuple[Grant, ...]
    scopes: tuple[str, ...]
    created_by: str
    held_by: str | None
    previous_held_by: str | None
    created_at: datetime
    updated_at: datetime

    @property
    def confidential(self) -> bool:
        return self.secret_digest is not None

    def holders(self, now: datetime) -> dict[str, str | None]:
        """By the digests of the secrets that are good, within whose rights each calls the API: none of a public client.

        Whoever knows the secret before gains nothing by another one being made.
        """
        found = {} if self.secret_digest is None else {self.secret_digest: self.held_by}
        if self.previous_secret_digest is not None and self.previous_secret_until is not None:
            found |= {self.previous_secret_digest: self.previous_held_by} if now < self.previous_secret_until else {}
        return found


@dataclass(frozen=True, slots=True)
class ClientTokenRow:
    """A token of a client's own that is good until it ends. `held_by` held the secret when it was made."""

    client_id: str
    tenant_id: str
    held_by: str
    scopes: frozenset[str]
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class PersonTokenRow:
    """A token about a person whose authorization goes on: of access, or of refreshing."""

    authorization_id: str
    user_id: str
    client_id: str
    scopes: tuple[PersonScope, ...]
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ConsentRow:
    """What a person has let a client know. `last_used_at` is when it last got something by it."""

    client_id: str
    client_tenant: str
    client_name: str
    scopes: tuple[PersonScope, ...]
    given_at: datetime
    last_used_at: datetime | None


_CLIENTS: Final = (
    "SELECT client_id, tenant_id, name, secret_digest, secret_hint, previous_secret_digest, previous_secret_until,"
    " redirect_uris, post_logout_redirect_uris, backchannel_logout_uri, grants, scopes, created_by, held_by,"
    " previous_held_by, created_at, updated_at FROM users.oauth_clients"
)
_GOES_ON: Final = """
    a.ended_at IS NULL AND least(a.idle_until, a.expires_at) > $3
    AND EXISTS (SELECT FROM users.users AS u WHERE u.user_id = a.user_id AND u.status = 'active')
    AND ('offline_access' = ANY (a.scopes) OR EXISTS (
        SELECT FROM users.sessions AS s WHERE s.session_id = a.session_id AND s.ended_at IS NULL
               AND least(s.idle_until, s.expires_at) > $3))
"""
"""Of an authorization `a` at the instant $3."""


async def client(connection: Connection, tenant_id: str, client_id: str) -> ClientRow | None:
    row = await connection.fetchrow(
        f"{_CLIENTS} WHERE tenant_id = $1 AND client_id = $2 AND removed_at IS NULL", tenant_id, client_id
    )
    return None if row is None else _client(row)


async def clients(
    connection: Connection, tenant_id: str, *, limit: int = 50, cursor: str | None = None
) -> Page[ClientRow]:
    """The clients of a tenant, newest first. Raises Invalid for a cursor of another list."""
    where = Where()
    where.add("tenant_id = {} AND removed_at IS NULL", tenant_id)
    if cursor is not None:
        where.add("(created_at, client_id) < ({}, {})", *decode_cursor(cursor, datetime, str))
    size = bounded(limit)
    query = f"{_CLIENTS} WHERE {where} ORDER BY created_at DESC, client_id DESC LIMIT {where.value(size + 1)}"
    rows = [_client(row) for row in await connection.fetch(query, *where.values)]
    return page_of(rows, size, lambda row: (row.created_at, row.client_id))


async def client_token(connection: Connection, tenant_id: str, digest: str) -> ClientTokenRow | None:
    """The token of a client of this tenant; whether its time is over is to be seen."""
    row = await connection.fetchrow(
        "SELECT t.client_id, t.tenant_id, t.held_by, t.scopes, t.issued_at, t.expires_at"
        " FROM users.oauth_client_tokens AS t JOIN users.oauth_clients AS c USING (client_id)"
        " WHERE t.tenant_id = $1 AND t.digest = $2 AND c.removed_at IS NULL",
        tenant_id,
        digest,
    )
    return None if row is None else ClientTokenRow(**{**dict(row), "scopes": frozenset(row["scopes"])})


async def person_access_token(connection: Connection, user_id: str, digest: str, at: datetime) -> PersonTokenRow | None:
    """A token with which a client asks about a person, if it is good at an instant."""
    row = await connection.fetchrow(
        f"""
        SELECT a.authorization_id, a.user_id, a.client_id, t.scopes, t.issued_at, t.expires_at
        FROM users.oauth_access_tokens AS t JOIN users.oauth_authorizations AS a USING (authorization_id)
        WHERE t.user_id = $1 AND t.digest = $2 AND t.expires_at > $3 AND {_GOES_ON}
        """,
        user_id,
        digest,
        at,
    )
    return None if row is None else PersonTokenRow(**{**dict(row), "scopes": tuple(row["scopes"])})


async def client_refresh_token(
    connection: Connection, user_id: str, digests: list[str], at: datetime
) -> PersonTokenRow | None:
    """A refresh token of a client that was not replaced and is good at an instant."""
    row = await connection.fetchrow(
        f"""
        SELECT a.authorization_id, a.user_id, a.client_id, a.scopes, t.issued_at,
               least(a.idle_until, a.expires_at) AS expires_at
        FROM users.oauth_refresh_tokens AS t JOIN users.oauth_authorizations AS a USING (authorization_id)
        WHERE t.user_id = $1 AND t.digest = ANY ($2::text[]) AND t.replaced_at IS NULL AND {_GOES_ON}
        """,
        user_id,
        digests,
        at,
    )
    return None if row is None else PersonTokenRow(**{**dict(row), "scopes": tuple(row["scopes"])})


async def consent(connection: Connection, user_id: str, client_id: str) -> tuple[str, ...]:
    """The scopes that a person has let a client have; none where they were never asked."""
    scopes = await connection.fetchval(
        "SELECT scopes FROM users.oauth_consents WHERE user_id = $1 AND client_id = $2", user_id, client_id
    )
    return tuple(scopes or ())


async def consents(connection: Connection, user_id: str) -> Sequence[ConsentRow]:
    """What a person has let clients know, newest first, at most 200."""
    rows = await connection.fetch(
        """
        SELECT c.client_id, c.client_tenant, c.client_name, c.scopes, c.given_at,
               (SELECT max(t.issued_at) FROM users.oauth_access_tokens AS t
                JOIN users.oauth_authorizations AS a USING (authorization_id)
                WHERE a.user_id = c.user_id AND a.client_id = c.client_id) AS last_used_at
        FROM users.oauth_consents AS c WHERE c.user_id = $1 ORDER BY c.given_at DESC, c.client_id LIMIT 200
        """,
        user_id,
    )
    return [ConsentRow(**{**dict(row), "scopes": tuple(row["scopes"])}) for row in rows]


async def session_proof(connection: Connection, session_id: str, user_id: str, at: datetime) -> datetime | None:
    """When the person of a session that goes on has proved who they are; None for one that is over."""
    proven: datetime | None = await connection.fetchval(
        "SELECT created_at FROM users.sessions WHERE session_id = $1 AND user_id = $2 AND ended_at IS NULL"
        " AND least(idle_until, expires_at) > $3",
        session_id,
        user_id,
        at,
    )
    return proven


def _client(row: asyncpg.Record) -> ClientRow:
    names = ("redirect_uris", "post_logout_redirect_uris", "grants", "scopes")
    lists = {name: tuple(row[name]) for name in names}
    return ClientRow(**{**dict(row), **lists})
