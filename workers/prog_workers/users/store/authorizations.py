"""What people have let OAuth clients know: consents, codes, and the tokens that came of them. All is a person's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from prog_broker.transaction import Transaction
from prog_contracts.oauth import PersonScope
from prog_kit.pages import Where
from prog_workers.users.rules import Authentication, PresentedToken, SessionTimes
from prog_workers.users.rules.clients import Code, Profile
from prog_workers.users.store.accounts import row_count


async def session_proof(tx: Transaction, session_id: str, user_id: str, at: datetime) -> Authentication | None:
    """What opened a session of this person that still goes on; None when it is over, or their account is disabled.

    It goes on until the transaction ends: whoever ends it meanwhile comes after, and finds what was made of it.
    """
    row = await tx.fetchrow(
        """
        SELECT s.created_at AS at, s.method, s.second_factor
        FROM users.sessions AS s JOIN users.users AS u USING (user_id)
        WHERE s.session_id = $1 AND s.user_id = $2 AND s.ended_at IS NULL AND least(s.idle_until, s.expires_at) > $3
              AND u.status = 'active'
        FOR SHARE OF s
        """,
        session_id,
        user_id,
        at,
    )
    return None if row is None else Authentication(**dict(row))


async def profile(tx: Transaction, user_id: str) -> Profile | None:
    """What there is to tell of a person, who is locked until the transaction ends; None for a disabled account."""
    row = await tx.fetchrow(
        "SELECT user_id, email, name, email_verified_at IS NOT NULL AS email_verified, updated_at, locale, time_zone,"
        " avatar_id FROM users.users WHERE user_id = $1 AND status = 'active' FOR UPDATE",
        user_id,
    )
    return None if row is None else Profile(**dict(row))


# -- consents ----------------------------------------------------------------------------------------------------------


async def consented(tx: Transaction, user_id: str, client_id: str) -> tuple[str, ...]:
    """The scopes that a person has let a client have; none where they were never asked."""
    scopes = await tx.fetchval(
        "SELECT scopes FROM users.oauth_consents WHERE user_id = $1 AND client_id = $2", user_id, client_id
    )
    return tuple(scopes or ())


async def keep_consent(
    tx: Transaction, user_id: str, client_id: str, client_name: str, scopes: Sequence[str], at: datetime
) -> None:
    await tx.execute(
        """
        INSERT INTO users.oauth_consents AS c (user_id, client_id, client_tenant, client_name, scopes, given_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (user_id, client_id) DO UPDATE SET client_name = $4, scopes = $5, given_at = $6
        """,
        user_id,
        client_id,
        tx.tenant_id,
        client_name,
        list(scopes),
        at,
    )


async def drop_consent(tx: Transaction, user_id: str, client_id: str) -> bool:
    """Forgets a consent; False when there was none. Codes that were not used yet go with it."""
    await tx.execute(
        "DELETE FROM users.oauth_codes WHERE user_id = $1 AND client_id = $2 AND spent_at IS NULL", user_id, client_id
    )
    dropped = await tx.fetchval(
        "DELETE FROM users.oauth_consents WHERE user_id = $1 AND client_id = $2 RETURNING true", user_id, client_id
    )
    return dropped is True


# -- codes -------------------------------------------------------------------------------------------------------------


async def insert_code(tx: Transaction, code: Code, created_at: datetime) -> None:
    await tx.execute(
        "INSERT INTO users.oauth_codes (digest, user_id, client_id, session_id, redirect_uri, scopes, code_challenge,"
        " nonce, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        code.digest,
        code.user_id,
        code.client_id,
        code.session_id,
        code.redirect_uri,
        list(code.scopes),
        code.code_challenge,
        code.nonce,
        created_at,
        code.expires_at,
    )


async def user_of_code(tx: Transaction, digest: str) -> str | None:
    user_id: str | None = await tx.fetchval("SELECT user_id FROM users.oauth_codes WHERE digest = $1", digest)
    return user_id


async def code(tx: Transaction, digest: str) -> Code | None:
    """A code, locked until the transaction ends. Whoever asks has locked its person."""
    row = await tx.fetchrow(
        "SELECT digest, user_id, client_id, session_id, redirect_uri, scopes, code_challenge, nonce, expires_at,"
        " spent_at, authorization_id FROM users.oauth_codes WHERE digest = $1 FOR UPDATE",
        digest,
    )
    return None if row is None else Code(**{**dict(row), "scopes": tuple(row["scopes"])})


async def spend_code(tx: Transaction, digest: str, authorization_id: str | None, at: datetime) -> None:
    await tx.execute(
        "UPDATE users.oauth_codes SET spent_at = $2, authorization_id = $3 WHERE digest = $1",
        digest,
        at,
        authorization_id,
    )


# -- authorizations ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Authorization:
    """What came of a code."""

    authorization_id: str
    user_id: str
    client_id: str
    session_id: str
    scopes: tuple[PersonScope, ...]
    authenticated_at: datetime
    amr: tuple[str, ...]


async def insert_authorization(
    tx: Transaction, made: Authorization, times: SessionTimes, at: datetime, refresh_digest: str | None
) -> None:
    await tx.execute(
        """
        INSERT INTO users.oauth_authorizations (authorization_id, user_id, client_id, session_id, scopes,
                                                authenticated_at, amr, created_at, idle_until, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        """,
        made.authorization_id,
        made.user_id,
        made.client_id,
        made.session_id,
        list(made.scopes),
        made.authenticated_at,
        list(made.amr),
        at,
        times.idle_until,
        times.expires_at,
    )
    if refresh_digest is not None:
        await tx.execute(
            "INSERT INTO users.oauth_refresh_tokens (digest, authorization_id, user_id, generation, issued_at)"
            " VALUES ($1, $2, $3, 0, $4)",
            refresh_digest,
            made.authorization_id,
            made.user_id,
            at,
        )


async def insert_access_token(
    tx: Transaction, digest: str, made: Authorization, scopes: Sequence[str], *, at: datetime, expires_at: datetime
) -> None:
    await tx.execute(
        "INSERT INTO users.oauth_access_tokens (digest, authorization_id, user_id, scopes, issued_at, expires_at)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        digest,
        made.authorization_id,
        made.user_id,
        list(scopes),
        at,
        expires_at,
    )


@dataclass(frozen=True, slots=True)
class Presented:
    """A refresh token that was found, with what it belongs to."""

    token: PresentedToken
    authorization: Authorization


async def presented(tx: Transaction, user_id: str, digests: list[str]) -> Presented | None:
    """A refresh token of a person, locked with its authorization. Whoever asks has locked the person, who is active."""
    row = await tx.fetchrow(
        """
        SELECT r.generation, r.replaced_at, a.generation AS current_generation, a.idle_until, a.expires_at,
               a.ended_at IS NOT NULL AS ended, a.authorization_id, a.user_id, a.client_id, a.session_id, a.scopes,
               a.authenticated_at, a.amr
        FROM users.oauth_refresh_tokens AS r JOIN users.oauth_authorizations AS a USING (authorization_id)
        WHERE r.digest = ANY ($2::text[]) AND a.user_id = $1 FOR UPDATE OF a, r
        """,
        user_id,
        digests,
    )
    if row is None:
        return None
    fields = {**dict(row), "scopes": tuple(row["scopes"]), "amr": tuple(row["amr"])}
    token_fields = ("generation", "replaced_at", "current_generation", "idle_until", "expires_at", "ended")
    token = PresentedToken(**{name: fields.pop(name) for name in token_fields}, status="active")
    return Presented(token, Authorization(**fields))


async def holds_refresh_token(tx: Transaction, authorization_id: str, digests: list[str]) -> bool:
    query = (
        "SELECT EXISTS (SELECT FROM users.oauth_refresh_tokens"
        " WHERE authorization_id = $1 AND digest = ANY ($2::text[]))"
    )
    return bool(await tx.fetchval(query, authorization_id, digests))


async def rotate(
    tx: Transaction, made: Authorization, *, used: list[str], successor: str, idle_until: datetime, at: datetime
) -> None:
    """Replaces a refresh token: `used` are its digests, `successor` the digest of the new one."""
    await tx.execute(
        """
        WITH replaced AS (
            UPDATE users.oauth_refresh_tokens SET replaced_at = $4 WHERE digest = ANY ($2::text[])
        ), moved AS (
            UPDATE users.oauth_authorizations SET generation = generation + 1, idle_until = $5
            WHERE authorization_id = $1 RETURNING generation, user_id
        )
        INSERT INTO users.oauth_refresh_tokens (digest, authorization_id, user_id, generation, issued_at)
        SELECT $3, $1, user_id, generation, $4 FROM moved
        """,
        made.authorization_id,
        used,
        successor,
        at,
        idle_until,
    )


async def authorization_of_access_token(tx: Transaction, digest: str, user_id: str) -> tuple[str, str] | None:
    """The authorization and the client of an access token of this person."""
    row = await tx.fetchrow(
        "SELECT a.authorization_id, a.client_id FROM users.oauth_access_tokens AS t"
        " JOIN users.oauth_authorizations AS a USING (authorization_id) WHERE t.digest = $1 AND t.user_id = $2",
        digest,
        user_id,
    )
    return None if row is None else (row["authorization_id"], row["client_id"])


async def drop_access_token(tx: Transaction, digest: str) -> None:
    await tx.execute("DELETE FROM users.oauth_access_tokens WHERE digest = $1", digest)


async def end_authorization(tx: Transaction, authorization_id: str, reason: str, at: datetime) -> bool:
    """Ends what came of a code; False when it was over already."""
    ended = await tx.fetchval(
        "UPDATE users.oauth_authorizations SET ended_at = $2, end_reason = $3"
        " WHERE authorization_id = $1 AND ended_at IS NULL RETURNING true",
        authorization_id,
        at,
        reason,
    )
    return ended is True


async def end_authorizations(
    tx: Transaction, reason: str, at: datetime, *, user_id: str | None = None, client_id: str | None = None
) -> int:
    """Ends all of a person, of a client, or of both; returns how many went on until now. Codes that wait go too."""
    assert user_id is not None or client_id is not None
    # What is not asked for is left out: a plan for all values uses no index of a column that may be any.
    whose = Where()
    for column, value in (("user_id", user_id), ("client_id", client_id)):
        if value is not None:
            whose.add(f"{column} = {{}}", value)
    await tx.execute(f"DELETE FROM users.oauth_codes WHERE spent_at IS NULL AND {whose}", *whose.values)
    ended = f"ended_at = {whose.value(at)}, end_reason = {whose.value(reason)}"
    query = f"UPDATE users.oauth_authorizations SET {ended} WHERE ended_at IS NULL AND {whose}"
    return row_count(await tx.execute(query, *whose.values))


async def drop_consents_of_client(tx: Transaction, client_id: str) -> None:
    await tx.execute("DELETE FROM users.oauth_consents WHERE client_id = $1", client_id)


async def purge_codes(tx: Transaction, expired_before: datetime, limit: int) -> int:
    return row_count(
        await tx.execute(
            "DELETE FROM users.oauth_codes WHERE digest = ANY (ARRAY("
            "SELECT digest FROM users.oauth_codes WHERE expires_at < $1 ORDER BY expires_at LIMIT $2))",
            expired_before,
            limit,
        )
    )


async def purge_access_tokens(tx: Transaction, limit: int) -> int:
    return row_count(
        await tx.execute(
            "DELETE FROM users.oauth_access_tokens WHERE digest = ANY (ARRAY("
            "SELECT digest FROM users.oauth_access_tokens WHERE expires_at < $1 ORDER BY expires_at LIMIT $2))",
            tx.now,
            limit,
        )
    )


async def purge_authorizations(tx: Transaction, ended_before: datetime, limit: int) -> int:
    """Deletes those that ended, or ran out, before an instant, with their tokens; returns how many."""
    return row_count(
        await tx.execute(
            """
            DELETE FROM users.oauth_authorizations WHERE authorization_id = ANY (ARRAY(
                SELECT authorization_id FROM users.oauth_authorizations
                WHERE coalesce(ended_at, least(idle_until, expires_at)) < $1
                ORDER BY coalesce(ended_at, least(idle_until, expires_at)) LIMIT $2))
            """,
            ended_before,
            limit,
        )
    )
