"""Access tokens: JWTs (RFC 9068) signed with Ed25519 (RFC 8037). ID tokens: JWTs signed with RSA (RS256, RFC 7518),
which every client of OpenID Connect can check. PostgreSQL keeps the keys sealed; none signs both kinds.

All workers sign with the newest key that is not retired and that they can open; the edge checks with the public halves,
which `queries.signing_keys` gives it. A worker that starts seals the keys anew under the newest of `PROG_SECRET_KEYS`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Generic, TypeVar

import jwt
import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from prog_kit import logging
from prog_kit.database import Connection
from prog_kit.secrets import Sealer, SealError
from prog_workers.users import store

log = logging.get("prog_workers.users.signing")

RSA_BITS: Final = 2048
RSA_EXPONENT: Final = 65537
_PURPOSE: Final = "signing_key"

Key = TypeVar("Key", Ed25519PrivateKey, RSAPrivateKey)


class SignedTokens(ABC, Generic[Key]):
    """Signs claims of one kind of token. One a process; `issuer` is the platform's public address."""

    ALGORITHM: ClassVar[str]
    TOKEN_TYPE: ClassVar[str]

    def __init__(self, issuer: str = "http://127.0.0.1:8000") -> None:
        self.issuer = issuer
        self._opened: dict[str, Key] = {}

    async def sign(
        self, connection: Connection, sealer: Sealer, claims: dict[str, Any], *, token_type: str | None = None
    ) -> str:
        """A compact JWT of `claims`; of another type than this kind's own where one is named."""
        kid, key = await self.ensure_key(connection, sealer)
        headers = {"kid": kid, "typ": token_type or self.TOKEN_TYPE}
        return jwt.encode(claims, key, algorithm=self.ALGORITHM, headers=headers)

    @abstractmethod
    def new_key(self) -> Key:
        """A fresh private key."""

    @abstractmethod
    def load(self, text: str) -> Key:
        """A private key from its text."""

    @abstractmethod
    def dump(self, key: Key) -> str:
        """The text of a private key, which is kept sealed."""

    @abstractmethod
    def public_text(self, key: Key) -> str:
        """What is published of a key."""

    @abstractmethod
    def key_id(self, public: str) -> str:
        """The JWK thumbprint (RFC 7638) of a public key."""

    async def prepare(self, connection: Connection, sealer: Sealer) -> None:
        """For a worker's start, in a transaction: seals every key under the newest secret key and makes sure of one.

        A key that does not open any more is withdrawn, for nobody can tell who holds it: access tokens that it signed
        end at once, and people go on with their refresh tokens or sign in again.
        """
        await store.lock_keys(connection)
        for stored in await store.unretired_keys(connection, self.ALGORITHM):
            if sealer.is_current(stored.sealed_private_key):
                continue
            try:
                await store.reseal_key(connection, stored.kid, sealer.reseal(stored.sealed_private_key, _PURPOSE))
            except SealError:
                log.warning("signing key withdrawn, no secret key opens it", kid=stored.kid)
                await store.withdraw_key(connection, stored.kid)
        await self.ensure_key(connection, sealer)

    async def rotate(self, connection: Connection, sealer: Sealer, *, withdraw: bool) -> tuple[str, list[str]]:
        """Signs with a new key from now on; its id, and those of the keys that sign no more."""
        await store.lock_keys(connection)
        retired = await store.retire_keys(connection, self.ALGORITHM, withdraw=withdraw)
        return (await self._make_key(connection, sealer)).kid, retired

    async def ensure_key(self, connection: Connection, sealer: Sealer) -> tuple[str, Key]:
        """The id and the key that signs now; makes one where there is none that opens."""
        found = self._first_open(await store.unretired_keys(connection, self.ALGORITHM), sealer)
        if found is None:
            await store.lock_keys(connection)
            found = self._first_open(await store.unretired_keys(connection, self.ALGORITHM), sealer)
        if found is None:
            found = self._first_open([await self._make_key(connection, sealer)], sealer)
        assert found is not None
        return found

    def _first_open(self, keys: Sequence[store.SigningKey], sealer: Sealer) -> tuple[str, Key] | None:
        for stored in keys:
            try:
                if stored.kid not in self._opened:
                    self._opened[stored.kid] = self.load(sealer.open(stored.sealed_private_key, _PURPOSE))
            except SealError:
                log.warning("a signing key does not open", kid=stored.kid)
            else:
                return stored.kid, self._opened[stored.kid]
        return None

    async def _make_key(self, connection: Connection, sealer: Sealer) -> store.SigningKey:
        key = await asyncio.to_thread(self.new_key)
        public = self.public_text(key)
        made = store.SigningKey(self.key_id(public), sealer.seal(self.dump(key), _PURPOSE))
        await store.insert_key(
            connection, made, algorithm=self.ALGORITHM, public_key=public, created_at=datetime.now(UTC)
        )
        return made


class AccessTokens(SignedTokens[Ed25519PrivateKey]):
    """Tokens of people for the API."""

    ALGORITHM = "EdDSA"
    TOKEN_TYPE = "at+jwt"

    def new_key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.generate()

    def load(self, text: str) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(_decode(text))

    def dump(self, key: Ed25519PrivateKey) -> str:
        return _encode(key.private_bytes_raw())

    def public_text(self, key: Ed25519PrivateKey) -> str:
        return _encode(key.public_key().public_bytes_raw())

    def key_id(self, public: str) -> str:
        return _thumbprint({"crv": "Ed25519", "kty": "OKP", "x": public})


class IdTokens(SignedTokens[RSAPrivateKey]):
    """Tokens that tell a client who has signed in to it, and who is so no more."""

    ALGORITHM = "RS256"
    TOKEN_TYPE = "JWT"

    def new_key(self) -> RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=RSA_EXPONENT, key_size=RSA_BITS)

    def load(self, text: str) -> RSAPrivateKey:
        key = serialization.load_der_private_key(_decode(text), password=None)
        assert isinstance(key, RSAPrivateKey)
        return key

    def dump(self, key: RSAPrivateKey) -> str:
        form = (serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return _encode(key.private_bytes(*form))

    def public_text(self, key: RSAPrivateKey) -> str:
        return _encode(key.public_key().public_numbers().n.to_bytes(RSA_BITS // 8))

    def key_id(self, public: str) -> str:
        return _thumbprint({"e": _encode(RSA_EXPONENT.to_bytes(3)), "kty": "RSA", "n": public})


def _thumbprint(members: dict[str, str]) -> str:
    return _encode(hashlib.sha256(orjson.dumps(members, option=orjson.OPT_SORT_KEYS)).digest())


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
