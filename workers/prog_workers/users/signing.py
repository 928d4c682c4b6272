"""Access tokens: JWTs (RFC 9068) signed with Ed25519 (RFC 8037) by a key that PostgreSQL keeps sealed.

All workers sign with the newest key that is not retired and that they can open; the edge checks with the public halves,
which `queries.signing_keys` gives it. A worker that starts seals the keys anew under the newest of `PROG_SECRET_KEYS`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from prog_kit import logging
from prog_kit.database import Connection
from prog_kit.secrets import Sealer, SealError
from prog_workers.users import store

log = logging.get("prog_workers.users.signing")

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

    async def prepare(self, connection: Connection, sealer: Sealer) -> None:
        """For a worker's start, in a transaction: seals every key under the newest secret key and makes sure of one.

        A key that does not open any more is withdrawn, for nobody can tell who holds it: access tokens that it signed
        end at once, and people go on with their refresh tokens or sign in again.
        """
        await store.lock_keys(connection)
        for stored in await store.unretired_keys(connection):
            if sealer.is_current(stored.sealed_private_key):
                continue
            try:
                await store.reseal_key(connection, stored.kid, sealer.reseal(stored.sealed_private_key, _PURPOSE))
            except SealError:
                log.warning("signing key withdrawn, no secret key opens it", kid=stored.kid)
                await store.withdraw_key(connection, stored.kid)
        await self.ensure_key(connection, sealer)

    async def ensure_key(self, connection: Connection, sealer: Sealer) -> tuple[str, Ed25519PrivateKey]:
        """The id and the key that signs now; makes one where there is none that opens."""
        found = self._first_open(await store.unretired_keys(connection), sealer)
        if found is None:
            await store.lock_keys(connection)
            found = self._first_open(await store.unretired_keys(connection), sealer)
        if found is None:
            found = self._first_open([await _make_key(connection, sealer)], sealer)
        assert found is not None
        return found

    def _first_open(self, keys: Sequence[store.SigningKey], sealer: Sealer) -> tuple[str, Ed25519PrivateKey] | None:
        for stored in keys:
            try:
                if stored.kid not in self._opened:
                    raw = _decode(sealer.open(stored.sealed_private_key, _PURPOSE))
                    self._opened[stored.kid] = Ed25519PrivateKey.from_private_bytes(raw)
            except SealError:
                log.warning("a signing key does not open", kid=stored.kid)
            else:
                return stored.kid, self._opened[stored.kid]
        return None


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
