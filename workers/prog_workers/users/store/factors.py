"""Second factors: authenticator apps, recovery codes, and sign-ins that wait for one of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from prog_broker.transaction import Transaction
from prog_contracts.users import SignInMethod
from prog_workers.users.store.accounts import row_count

# -- authenticator apps ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TotpFactor:
    sealed_secret: str
    last_step: int


@dataclass(frozen=True, slots=True)
class Enrolment:
    """An authenticator that no code has confirmed yet."""

    sealed_secret: str


async def totp_factor(tx: Transaction, user_id: str) -> TotpFactor | None:
    row = await tx.fetchrow("SELECT sealed_secret, last_step FROM users.totp_factors WHERE user_id = $1", user_id)
    return None if row is None else TotpFactor(**dict(row))


async def has_second_factor(tx: Transaction, user_id: str) -> bool:
    """Recovery codes alone are none: they stand in for app and passkeys."""
    query = (
        "SELECT EXISTS (SELECT FROM users.totp_factors WHERE user_id = $1)"
        " OR EXISTS (SELECT FROM users.passkeys WHERE user_id = $1)"
    )
    return bool(await tx.fetchval(query, user_id))


async def spend_totp_step(tx: Transaction, user_id: str, sealed_secret: str, step: int) -> bool:
    """Spends a time step of an authenticator; False when it or a later one was spent before, however short ago."""
    spent = await tx.fetchval(
        "UPDATE users.totp_factors SET last_step = $3 WHERE user_id = $1 AND sealed_secret = $2 AND last_step < $3"
        " RETURNING true",
        user_id,
        sealed_secret,
        step,
    )
    return spent is True


async def keep_totp(tx: Transaction, user_id: str, factor: TotpFactor) -> bool:
    """Makes an authenticator the person's own; True when it took the place of another."""
    replaced = await tx.fetchval(
        """
        WITH before AS (SELECT FROM users.totp_factors WHERE user_id = $1)
        INSERT INTO users.totp_factors (user_id, sealed_secret, last_step, enrolled_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (user_id) DO UPDATE SET sealed_secret = excluded.sealed_secret, last_step = excluded.last_step,
                                            enrolled_at = excluded.enrolled_at
        RETURNING EXISTS (SELECT FROM before)
        """,
        user_id,
        factor.sealed_secret,
        factor.last_step,
        tx.now,
    )
    return replaced is True


async def drop_second_factor(tx: Transaction, user_id: str) -> bool:
    """Deletes authenticator and passkeys with all that stands in for them; False when there was none."""
    deleted = [
        row_count(await tx.execute(f"DELETE FROM users.{table} WHERE user_id = $1", user_id))
        for table in ("totp_factors", "passkeys", "recovery_codes", "totp_enrolments", "pending_sign_ins")
    ]
    return any(deleted[:2])


async def drop_totp(tx: Transaction, user_id: str) -> bool:
    """Deletes the authenticator, and one that is not confirmed; False when there was none."""
    await tx.execute("DELETE FROM users.totp_enrolments WHERE user_id = $1", user_id)
    return row_count(await tx.execute("DELETE FROM users.totp_factors WHERE user_id = $1", user_id)) > 0


async def totp_sealed_otherwise(tx: Transaction, mark: str, after: str, limit: int) -> list[tuple[str, str]]:
    """Persons, with ids behind `after` and in their order, whose secrets were not sealed under the key whose mark this
    is."""
    rows = await tx.fetch(
        "SELECT user_id, sealed_secret FROM users.totp_factors WHERE NOT starts_with(sealed_secret, $1)"
        " AND user_id > $2 ORDER BY user_id LIMIT $3 FOR UPDATE SKIP LOCKED",
        mark,
        after,
        limit,
    )
    return [(row["user_id"], row["sealed_secret"]) for row in rows]


async def reseal_totp(tx: Transaction, user_id: str, sealed_secret: str) -> None:
    await tx.execute("UPDATE users.totp_factors SET sealed_secret = $2 WHERE user_id = $1", user_id, sealed_secret)


async def keep_enrolment(
    tx: Transaction, user_id: str, session_id: str, sealed_secret: str, expires_at: datetime
) -> None:
    """Begins an enrolment; one from before is forgotten."""
    await tx.execute(
        """
        INSERT INTO users.totp_enrolments (user_id, session_id, sealed_secret, expires_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (user_id) DO UPDATE SET session_id = excluded.session_id, sealed_secret = excluded.sealed_secret,
                                            expires_at = excluded.expires_at
        """,
        user_id,
        session_id,
        sealed_secret,
        expires_at,
    )


async def enrolment(tx: Transaction, user_id: str, session_id: str) -> Enrolment | None:
    """The enrolment that this session began and that is not too old."""
    row = await tx.fetchrow(
        "SELECT sealed_secret FROM users.totp_enrolments WHERE user_id = $1 AND session_id = $2 AND expires_at > $3",
        user_id,
        session_id,
        tx.now,
    )
    return None if row is None else Enrolment(**dict(row))


async def end_enrolment(tx: Transaction, user_id: str) -> None:
    await tx.execute("DELETE FROM users.totp_enrolments WHERE user_id = $1", user_id)


async def purge_enrolments(tx: Transaction, limit: int) -> int:
    """Deletes enrolments that nobody confirmed in time; returns how many."""
    return row_count(
        await tx.execute(
            "DELETE FROM users.totp_enrolments WHERE user_id = ANY (ARRAY("
            "SELECT user_id FROM users.totp_enrolments WHERE expires_at < $1 ORDER BY expires_at LIMIT $2))",
            tx.now,
            limit,
        )
    )


# -- recovery codes ----------------------------------------------------------------------------------------------------


async def recovery_salt(tx: Transaction, user_id: str) -> str | None:
    """The salt of a person's set of codes; None when there is none."""
    salt: str | None = await tx.fetchval("SELECT salt FROM users.recovery_codes WHERE user_id = $1 LIMIT 1", user_id)
    return salt


async def codes_left(tx: Transaction, user_id: str) -> int:
    query = "SELECT count(*) FROM users.recovery_codes WHERE user_id = $1 AND spent_at IS NULL"
    return int(await tx.fetchval(query, user_id))


async def replace_recovery_codes(tx: Transaction, user_id: str, salt: str, hashes: list[str]) -> None:
    """A new set; the one from before is worthless."""
    await tx.execute("DELETE FROM users.recovery_codes WHERE user_id = $1", user_id)
    await tx.execute(
        "INSERT INTO users.recovery_codes (user_id, hash, salt, made_at)"
        " SELECT $1, hash, $2, $3 FROM unnest($4::text[]) AS hash",
        user_id,
        salt,
        tx.now,
        hashes,
    )


async def spend_recovery_code(tx: Transaction, user_id: str, code_hash: str) -> bool:
    """Spends a code of the person's set; False when it is none of them, or was spent before."""
    spent = await tx.fetchval(
        "UPDATE users.recovery_codes SET spent_at = $3 WHERE user_id = $1 AND hash = $2 AND spent_at IS NULL"
        " RETURNING true",
        user_id,
        code_hash,
        tx.now,
    )
    return spent is True


# -- sign-ins that wait ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PendingSignIn:
    method: SignInMethod
    sign_on_tenant_id: str | None
    wrong_codes: int
    expires_at: datetime


async def insert_pending_sign_in(
    tx: Transaction,
    digest: str,
    *,
    user_id: str,
    method: SignInMethod,
    sign_on_tenant_id: str | None,
    expires_at: datetime,
) -> None:
    await tx.execute(
        "INSERT INTO users.pending_sign_ins (digest, user_id, method, created_at, expires_at, sign_on_tenant_id)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        digest,
        user_id,
        method,
        tx.now,
        expires_at,
        sign_on_tenant_id,
    )


async def pending_sign_in(tx: Transaction, digests: list[str], user_id: str) -> PendingSignIn | None:
    """A sign-in of this person that was not completed, locked until the transaction ends."""
    row = await tx.fetchrow(
        "SELECT method, sign_on_tenant_id, wrong_codes, expires_at FROM users.pending_sign_ins"
        " WHERE digest = ANY ($1::text[]) AND user_id = $2 AND spent_at IS NULL FOR UPDATE",
        digests,
        user_id,
    )
    return None if row is None else PendingSignIn(**dict(row))


async def sign_in_waits(tx: Transaction, digests: list[str], user_id: str) -> bool:
    """Whether this person began such a sign-in, which was not completed yet; nothing is locked."""
    query = (
        "SELECT EXISTS (SELECT FROM users.pending_sign_ins"
        " WHERE digest = ANY ($1::text[]) AND user_id = $2 AND spent_at IS NULL)"
    )
    return bool(await tx.fetchval(query, digests, user_id))


async def count_wrong_code(tx: Transaction, digests: list[str]) -> None:
    await tx.execute(
        "UPDATE users.pending_sign_ins SET wrong_codes = wrong_codes + 1 WHERE digest = ANY ($1::text[])", digests
    )


@dataclass(frozen=True, slots=True)
class Guesses:
    """Wrong codes of a person's that are counted together."""

    since: datetime
    wrong_codes: int
    told_at: datetime | None


async def count_guess(tx: Transaction, user_id: str, window: timedelta) -> Guesses:
    """One more; the first that comes `window` after the first of those before begins anew."""
    row = await tx.fetchrow(
        """
        INSERT INTO users.guesses AS g (user_id, since, wrong_codes) VALUES ($1, $2, 1)
        ON CONFLICT (user_id) DO UPDATE
        SET wrong_codes = CASE WHEN g.since <= $3 THEN 1 ELSE g.wrong_codes + 1 END,
            since = CASE WHEN g.since <= $3 THEN excluded.since ELSE g.since END
        RETURNING since, wrong_codes, told_at
        """,
        user_id,
        tx.now,
        tx.now - window,
    )
    assert row is not None
    return Guesses(**dict(row))


async def note_told_of_guesses(tx: Transaction, user_id: str) -> None:
    await tx.execute("UPDATE users.guesses SET told_at = $2 WHERE user_id = $1", user_id, tx.now)


async def spend_pending_sign_in(tx: Transaction, digests: list[str]) -> bool:
    """Completes a sign-in; False when it was before."""
    spent = await tx.fetchval(
        "UPDATE users.pending_sign_ins SET spent_at = $2 WHERE digest = ANY ($1::text[]) AND spent_at IS NULL"
        " RETURNING true",
        digests,
        tx.now,
    )
    return spent is True


async def drop_pending_sign_ins(tx: Transaction, user_id: str) -> None:
    """Makes sign-ins that wait worthless: what they began with is not good any more."""
    await tx.execute("DELETE FROM users.pending_sign_ins WHERE user_id = $1", user_id)


async def purge_pending_sign_ins(tx: Transaction, expired_before: datetime, limit: int) -> int:
    """Deletes those that expired before an instant; returns how many."""
    return row_count(
        await tx.execute(
            "DELETE FROM users.pending_sign_ins WHERE digest = ANY (ARRAY("
            "SELECT digest FROM users.pending_sign_ins WHERE expires_at < $1 ORDER BY expires_at LIMIT $2))",
            expired_before,
            limit,
        )
    )
