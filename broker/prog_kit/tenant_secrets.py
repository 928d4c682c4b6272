"""Secrets of tenants at rest, each tenant's under a key of its own.

    cipher = await tenant_cipher(tx.connection, tx.sealer, tx.tenant_id)
    await tx.execute("UPDATE … SET sealed_secret = $2 …", cipher.seal(client_secret, CLIENT_SECRET))

A tenant's data key is 256 random bits, kept in `bus.tenant_keys` wrapped by `PROG_SECRET_KEYS`: whoever has the
database alone reads nothing, and a rotation of those keys wraps anew a row a tenant, whatever they have sealed. When a
tenant is purged its keys are destroyed, and what it sealed opens no more, wherever a copy of it may be. A backup that
was made before holds the wrapped keys, too, until it is deleted.

What is sealed names its tenant and its purpose as authenticated data: moved to another row it does not open.
"""

from __future__ import annotations

import base64
import os
import struct
from collections.abc import Mapping
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from prog_kit.database import Connection
from prog_kit.secrets import Sealer, SealError

CLIENT_SECRET: Final = "client_secret"
"""Purpose of the secret that a tenant shares with its own identity provider."""

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_NUMBER: Final = struct.Struct(">I")


class TenantCipher:
    """Seals and opens one tenant's secrets. Good for a transaction; keep it no longer, for keys are rotated."""

    def __init__(self, tenant_id: str, keys: Mapping[int, bytes]) -> None:
        """`keys` by their numbers; the highest seals."""
        self._tenant_id = tenant_id
        self._ciphers = {number: AESGCM(key) for number, key in keys.items()}
        self._newest = max(keys)

    def seal(self, secret: str, purpose: str) -> str:
        """`secret`, readable only with this tenant's keys by whoever names the same purpose. URL-safe text."""
        nonce = os.urandom(_NONCE_BYTES)
        body = self._ciphers[self._newest].encrypt(nonce, secret.encode(), self._bound_to(purpose))
        return base64.urlsafe_b64encode(_NUMBER.pack(self._newest) + nonce + body).decode().rstrip("=")

    def open(self, sealed: str, purpose: str) -> str:
        """The secret. Raises SealError when it does not open."""
        try:
            raw = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
            (number,) = _NUMBER.unpack(raw[: _NUMBER.size])
            nonce, body = raw[_NUMBER.size :][:_NONCE_BYTES], raw[_NUMBER.size + _NONCE_BYTES :]
            return self._ciphers[number].decrypt(nonce, body, self._bound_to(purpose)).decode()
        except (ValueError, KeyError, struct.error, InvalidTag) as error:
            raise SealError("the sealed value does not open") from error

    def is_current(self, sealed: str) -> bool:
        """Whether the newest of the tenant's keys sealed it."""
        try:
            return base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))[:4] == _NUMBER.pack(self._newest)
        except ValueError:
            return False

    def _bound_to(self, purpose: str) -> bytes:
        return f"{self._tenant_id}\0{purpose}".encode()


async def tenant_cipher(connection: Connection, sealer: Sealer, tenant_id: str) -> TenantCipher:
    """The cipher of the tenant that the transaction is set to; its first key is made when it is first asked for.

    Raises SealError when the newest key does not open: it was wrapped by one that is not among PROG_SECRET_KEYS any
    more. What an earlier one sealed that does not open is lost alone.
    """
    cipher = await _cipher(connection, sealer, tenant_id)
    if cipher is None:
        await _insert(connection, sealer, tenant_id, 1)
        cipher = await _cipher(connection, sealer, tenant_id)
        assert cipher is not None
    return cipher


async def known_cipher(connection: Connection, sealer: Sealer, tenant_id: str) -> TenantCipher:
    """The same for whoever only reads, such as the edge. Raises SealError for a tenant that has sealed nothing, or was
    purged."""
    cipher = await _cipher(connection, sealer, tenant_id)
    if cipher is None:
        raise SealError("the tenant has no key")
    return cipher


async def rotate_key(connection: Connection, sealer: Sealer, tenant_id: str) -> TenantCipher:
    """Gives the tenant a new key, which seals from now on. The earlier ones open what they sealed, where they open."""
    newest = await connection.fetchval("SELECT max(number) FROM bus.tenant_keys WHERE tenant_id = $1", tenant_id)
    await _insert(connection, sealer, tenant_id, (newest or 0) + 1)
    return await tenant_cipher(connection, sealer, tenant_id)


Place: TypeAlias = tuple[str, int]
"""A key: its tenant and its number."""
BEGINNING: Final[Place] = ("", 0)


async def wrap_anew(connection: Connection, sealer: Sealer, limit: int, after: Place = BEGINNING) -> Place | None:
    """Wraps keys behind `after` that an older secret key has wrapped, whichever the tenant: of the next `limit` those
    that open. The others stay as they are. Returns how far that is; None at the end.

    For a role that may do so (`prog_tenants`).
    """
    rows = await connection.fetch(
        "SELECT tenant_id, number, wrapped FROM bus.tenant_keys WHERE left(wrapped, $1) <> $2"
        " AND (tenant_id, number) > ($4, $5) ORDER BY tenant_id, number LIMIT $3 FOR UPDATE",
        len(sealer.mark),
        sealer.mark,
        limit,
        *after,
    )
    for row in rows:
        try:
            wrapped = sealer.reseal(row["wrapped"], _purpose(row["tenant_id"]))
        except SealError:
            continue
        await connection.execute(
            "UPDATE bus.tenant_keys SET wrapped = $3 WHERE tenant_id = $1 AND number = $2",
            row["tenant_id"],
            row["number"],
            wrapped,
        )
    return (rows[-1]["tenant_id"], rows[-1]["number"]) if len(rows) == limit else None


async def _cipher(connection: Connection, sealer: Sealer, tenant_id: str) -> TenantCipher | None:
    """None for a tenant without any key."""
    rows = await connection.fetch(
        "SELECT number, wrapped FROM bus.tenant_keys WHERE tenant_id = $1 ORDER BY number DESC", tenant_id
    )
    keys: dict[int, bytes] = {}
    for row in rows:
        try:
            keys[row["number"]] = base64.b64decode(sealer.open(row["wrapped"], _purpose(tenant_id)))
        except SealError:
            if not keys:
                raise
    return TenantCipher(tenant_id, keys) if keys else None


async def _insert(connection: Connection, sealer: Sealer, tenant_id: str, number: int) -> None:
    """Of two who make the same one at once, one does."""
    key = base64.b64encode(os.urandom(_KEY_BYTES)).decode()
    await connection.execute(
        "INSERT INTO bus.tenant_keys (tenant_id, number, wrapped, made_at)"
        " VALUES ($1, $2, $3, clock_timestamp()) ON CONFLICT DO NOTHING",
        tenant_id,
        number,
        sealer.seal(key, _purpose(tenant_id)),
    )


def _purpose(tenant_id: str) -> str:
    return f"tenant_key {tenant_id}"
