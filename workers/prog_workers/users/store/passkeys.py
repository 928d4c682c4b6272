"""Passkeys, and the challenges that were answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from prog_broker.transaction import Transaction
from prog_workers.users.ceremonies import Kept, Made, Signed
from prog_workers.users.store.accounts import row_count


@dataclass(frozen=True, slots=True)
class Passkey:
    passkey_id: str
    name: str
    kept: Kept


async def passkey(tx: Transaction, user_id: str, passkey_id: str) -> Passkey | None:
    """A person's own."""
    return await _one(tx, "user_id = $1 AND passkey_id = $2", user_id, passkey_id)


async def passkey_of_credential(tx: Transaction, user_id: str, credential_id: bytes) -> Passkey | None:
    """A person's own, by the id that its authenticator gave it; locked until the transaction ends."""
    return await _one(tx, "user_id = $1 AND credential_id = $2", user_id, credential_id)


async def count_passkeys(tx: Transaction, user_id: str) -> int:
    return int(await tx.fetchval("SELECT count(*) FROM users.passkeys WHERE user_id = $1", user_id))


async def insert_passkey(tx: Transaction, user_id: str, passkey_id: str, name: str, made: Made) -> bool:
    """Keeps a passkey; False when there is one with its id, of whomever."""
    inserted = await tx.fetchval(
        """
        INSERT INTO users.passkeys (passkey_id, user_id, credential_id, public_key, sign_count, name, aaguid,
                                    backup_eligible, backed_up, transports, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        ON CONFLICT DO NOTHING RETURNING true
        """,
        passkey_id,
        user_id,
        made.credential_id,
        made.public_key,
        made.sign_count,
        name,
        made.aaguid,
        made.backup_eligible,
        made.backed_up,
        list(made.transports),
        tx.now,
    )
    return inserted is True


async def note_passkey_use(tx: Transaction, passkey_id: str, signed: Signed) -> None:
    await tx.execute(
        "UPDATE users.passkeys SET sign_count = $2, backed_up = $3, last_used_at = $4 WHERE passkey_id = $1",
        passkey_id,
        signed.sign_count,
        signed.backed_up,
        tx.now,
    )


async def rename_passkey(tx: Transaction, passkey_id: str, name: str) -> None:
    await tx.execute("UPDATE users.passkeys SET name = $2 WHERE passkey_id = $1", passkey_id, name)


async def drop_passkey(tx: Transaction, passkey_id: str) -> None:
    await tx.execute("DELETE FROM users.passkeys WHERE passkey_id = $1", passkey_id)


async def spend_challenge(tx: Transaction, digest: str, expires_at: datetime) -> bool:
    """Whether a challenge was not answered before; it is from now on."""
    spent = await tx.fetchval(
        "INSERT INTO users.answered_challenges (digest, expires_at) VALUES ($1, $2)"
        " ON CONFLICT DO NOTHING RETURNING true",
        digest,
        expires_at,
    )
    return spent is True


async def purge_challenges(tx: Transaction, limit: int) -> int:
    """Deletes those that nobody could answer any more, however clocks differ; returns how many."""
    return row_count(
        await tx.execute(
            "DELETE FROM users.answered_challenges WHERE digest = ANY (ARRAY("
            "SELECT digest FROM users.answered_challenges"
            " WHERE expires_at < $1::timestamptz - interval '1 hour' ORDER BY expires_at LIMIT $2))",
            tx.now,
            limit,
        )
    )


async def _one(tx: Transaction, where: str, *values: object) -> Passkey | None:
    row = await tx.fetchrow(
        "SELECT passkey_id, name, public_key, sign_count, backup_eligible FROM users.passkeys"
        f" WHERE {where} FOR UPDATE",
        *values,
    )
    if row is None:
        return None
    kept = Kept(bytes(row["public_key"]), row["sign_count"], row["backup_eligible"])
    return Passkey(row["passkey_id"], row["name"], kept)
