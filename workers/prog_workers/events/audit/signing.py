"""Signed heads: what a chain's last entry was at a time, under a key that the database does not hold.

Whoever can write to the database can make a whole chain anew, with hashes that fit. They cannot sign it: the keys are
derived from PROG_SECRET_KEYS (Ed25519, RFC 8032). A head that is signed anew after a rotation covers all before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from prog_kit.database import Connection
from prog_kit.secrets import audit_seeds

MOST_HEADS: Final = 1000
"""In one round; the others have their turn in the next."""

_PREFIX: Final = b"prognetwork audit checkpoint\n"

_MOVED: Final = """
SELECT tenant_id, sequence, hash FROM events.audit_heads
WHERE sequence <> signed_sequence OR signed_with IS DISTINCT FROM $1
ORDER BY moved_at LIMIT $2 FOR UPDATE
"""
_SIGN: Final = """
WITH signed AS (
    INSERT INTO events.audit_checkpoints (tenant_id, sequence, hash, signed_at, key_id, signature)
    SELECT u.tenant_id, u.sequence, u.hash, $4, $5, u.signature
    FROM unnest($1::text[], $2::bigint[], $3::bytea[], $6::bytea[]) AS u (tenant_id, sequence, hash, signature)
    ON CONFLICT DO NOTHING
)
UPDATE events.audit_heads AS h SET signed_sequence = u.sequence, signed_with = $5
FROM unnest($1::text[], $2::bigint[]) AS u (tenant_id, sequence) WHERE h.tenant_id = u.tenant_id
"""


@dataclass(frozen=True, slots=True)
class Head:
    tenant_id: str
    sequence: int
    hash: bytes


class Signer:
    """Signs with the key of the newest of PROG_SECRET_KEYS; knows those of all."""

    def __init__(self, secret_keys: tuple[str, ...]) -> None:
        keys = [Ed25519PrivateKey.from_private_bytes(seed) for seed in audit_seeds(secret_keys)]
        self._newest = keys[0]
        self.public_keys: Mapping[str, Ed25519PublicKey] = {key_id(key.public_key()): key.public_key() for key in keys}
        self.key_id = key_id(self._newest.public_key())

    def sign(self, head: Head, signed_at: datetime) -> bytes:
        return self._newest.sign(_statement(head, signed_at))

    def is_good(self, head: Head, signed_at: datetime, signed_with: str, signature: bytes) -> bool | None:
        """Whether this is our signature; None when it was made with a key that is not known here any more."""
        key = self.public_keys.get(signed_with)
        if key is None:
            return None
        try:
            key.verify(signature, _statement(head, signed_at))
        except InvalidSignature:
            return False
        return True


def key_id(key: Ed25519PublicKey) -> str:
    """16 hex digits of the SHA-256 of the public key."""
    return sha256(key.public_bytes_raw()).hexdigest()[:16]


async def sign_heads(connection: Connection, signer: Signer) -> Sequence[Head]:
    """Signs those that have moved, or were signed with an older key; returns them."""
    rows = await connection.fetch(_MOVED, signer.key_id, MOST_HEADS)
    heads = [Head(row["tenant_id"], row["sequence"], row["hash"]) for row in rows]
    if heads:
        now = datetime.now(UTC)
        await connection.execute(
            _SIGN,
            [head.tenant_id for head in heads],
            [head.sequence for head in heads],
            [head.hash for head in heads],
            now,
            signer.key_id,
            [signer.sign(head, now) for head in heads],
        )
    return heads


def _statement(head: Head, signed_at: datetime) -> bytes:
    at = signed_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return _PREFIX + f"{head.tenant_id}\n{head.sequence}\n{head.hash.hex()}\n{at}".encode()
