"""Access tokens: JWTs (RFC 9068) signed with Ed25519 (RFC 8037) by a key that PostgreSQL keeps sealed.

All workers sign with the newest key that is not retired; the edge checks with the public halves, which
`queries.signing_keys` gives it.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from typing import Any, Final

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from prog_kit.database import Connection
from prog_kit.secrets import Sealer
from prog_workers.users import store

ALGORITHM: Final = "EdDSA"
TOKEN_TYPE: Final = "at+jwt"
_PURPOSE: Final = "signing_key"


class AccessTokens:
    """Signs claims. One a process; `issuer` is the platform's public address."""

    def __init__(self, issuer: str = "http://127.0.0.1:8000") -> None:
        self.issuer = issuer
        self._opened: dict[str, Ed25519PrivateKey] = {}

    async def sign(self, connection: Connection, sealer: Sealer, claims: dict[str, Any]) -> str:
        """A compact JWT of `claims`."""
        kid, key = await self.ensure_key(connection, sealer)
        return jwt.encode(claims, key, algorithm=ALGORITHM, headers={"kid": kid, "typ": TOKEN_TYPE})

    async def ensure_key(self, connection: Connection, sealer: Sealer) -> tuple[str, Ed25519PrivateKey]:
        """The id and the key that signs now; makes the first one where there is none."""
        stored = await store.newest_key(connection)
        if stored is None:
            await store.lock_keys(connection)
            stored = await store.newest_key(connection) or await _make_key(connection, sealer)
        if stored.kid not in self._opened:
            raw = _decode(sealer.open(stored.sealed_private_key, _PURPOSE))
            self._opened[stored.kid] = Ed25519PrivateKey.from_private_bytes(raw)
        return stored.kid, self._opened[stored.kid]


async def _make_key(connection: Connection, sealer: Sealer) -> store.SigningKey:
    key = Ed25519PrivateKey.generate()
    public = _encode(key.public_key().public_bytes_raw())
    sealed = sealer.seal(_encode(key.private_bytes_raw()), _PURPOSE)
    made = store.SigningKey(thumbprint(public), sealed)
    await store.insert_key(connection, made, algorithm=ALGORITHM, public_key=public, created_at=datetime.now(UTC))
    return made


def thumbprint(public_key: str) -> str:
    """The key id: the JWK thumbprint (RFC 7638) of an Ed25519 public key."""
    members = {"crv": "Ed25519", "kty": "OKP", "x": public_key}
    return _encode(hashlib.sha256(orjson.dumps(members, option=orjson.OPT_SORT_KEYS)).digest())


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
