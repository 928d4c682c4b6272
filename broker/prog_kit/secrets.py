"""Sealing of secrets in messages and rows, and digests of tokens.

A sealed value is AES-256-GCM under a key derived from `PROG_SECRET_KEYS`; the newest key seals, all open, so keys can
be rotated. The purpose is authenticated data: what was sealed as a password never opens as a link token.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PASSWORD: Final = "password"
TOKEN: Final = "token"
MAIL: Final = "mail"
REPLY: Final = "reply"
SESSION: Final = "session"
"""Purposes: of `sealed_password` fields, of tokens that people present, of `SendMail.sealed_data`, of sealed replies on
their way and at rest, and of the browser's session cookie."""

_NONCE_BYTES: Final = 12
_KEY_ID_BYTES: Final = 4


class SealError(Exception):
    """A sealed value does not open: another purpose, an unknown key, or it was changed."""


class Sealer:
    """Seals and opens short secrets. Thread-safe; keep one a process."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        if not keys:
            raise ValueError("at least one key is needed")
        derived = [_derive(key, b"seal") for key in keys]
        self._ciphers = {hashlib.sha256(key).digest()[:_KEY_ID_BYTES]: AESGCM(key) for key in derived}
        self._newest = hashlib.sha256(derived[0]).digest()[:_KEY_ID_BYTES]
        self._digest_key = _derive(keys[-1], b"digest")

    def seal(self, secret: str, purpose: str) -> str:
        """`secret`, readable only by a holder of the keys who names the same purpose. URL-safe text."""
        nonce = os.urandom(_NONCE_BYTES)
        body = self._ciphers[self._newest].encrypt(nonce, secret.encode(), purpose.encode())
        return base64.urlsafe_b64encode(self._newest + nonce + body).decode().rstrip("=")

    def open(self, sealed: str, purpose: str) -> str:
        """The secret. Raises SealError when it does not open."""
        try:
            raw = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
            cipher = self._ciphers[raw[:_KEY_ID_BYTES]]
            nonce = raw[_KEY_ID_BYTES : _KEY_ID_BYTES + _NONCE_BYTES]
            return cipher.decrypt(nonce, raw[_KEY_ID_BYTES + _NONCE_BYTES :], purpose.encode()).decode()
        except (ValueError, KeyError, InvalidTag) as error:
            raise SealError("the sealed value does not open") from error

    def digest(self, value: str, purpose: str) -> str:
        """A keyed digest (HMAC-SHA-256, hex) for looking a secret up without storing it.

        It depends on the oldest key, so that stored digests outlive a rotation until that key is dropped.
        """
        return hmac.new(self._digest_key, f"{purpose}\0{value}".encode(), hashlib.sha256).hexdigest()


def new_token(nbytes: int = 32) -> str:
    """A random URL-safe token of `nbytes` bytes of entropy (256 bits by default)."""
    return secrets.token_urlsafe(nbytes)


def _derive(key: str, label: bytes) -> bytes:
    return hmac.new(key.encode(), b"prognetwork/" + label, hashlib.sha256).digest()
