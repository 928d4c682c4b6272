"""Sealing of secrets in messages and rows, and digests of tokens.

A sealed value is AES-256-GCM under a key derived from `PROG_SECRET_KEYS`. The first key seals and digests; all of them
open, and are looked up by, so that keys can be rotated. The purpose is authenticated data: what was sealed as a
password never opens as a link token.

A rotation, with a restart of every process after each step:

1. `OLD,NEW`: every process can open what the new key seals, before any seals with it.
2. `NEW,OLD`: the new key seals and digests from now on. A worker of the users domain seals the signing keys of access
   tokens anew when it starts, and the secrets of authenticator apps in the nightly purge; tenants' keys are wrapped
   anew every night, so that what rests under them stays (`prog_kit.tenant_secrets`); refresh tokens move to the new key
   when they are used.
3. `NEW`, after 14 days or more: by then every session that still lives has been refreshed and every link and invitation
   has been used or has expired, so that nobody notices.

An old key that is dropped earlier, because somebody else knows it, takes with it the sessions, links and invitations
made or last refreshed under it, and authenticator apps that no purge has sealed anew (recovery codes stay good); what
it sealed and is still under way (mails that wait, answers that are kept) opens no more. People sign in again.
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
CODE: Final = "code"
TOTP: Final = "totp"
SECOND_STEP: Final = "second_step"
IDENTITY: Final = "identity"
FEDERATION: Final = "federation"
FEDERATION_STATE: Final = "federation_state"
PASSKEY_ASKED: Final = "passkey_asked"
PASSKEY_ANSWERED: Final = "passkey_answered"
PERSON: Final = "person"
PICTURE: Final = "picture"
IMPERSONATION: Final = "impersonation"
"""Purposes: of `sealed_password` fields, of tokens that people present, of `SendMail.sealed_data`, of sealed replies on
their way and at rest, of the browser's session cookie, of codes that people present as their second factor, of the
secrets that authenticator apps share with the platform, of the cookie of a sign-in that waits for such a code, of
identities that another provider has proven, of the cookie of a sign-in that goes through such a provider, of what that
provider sends back to a tenant's own host, of what such a host has the platform's ask a passkey and of the answer, of
who a person was whose account has ended, and of the cookie of an operator who acts in somebody's name."""

_NONCE_BYTES: Final = 12
_KEY_ID_BYTES: Final = 4
_MARK_LENGTH: Final = 5
"""Letters of base64 that follow from the key id alone."""


def sign_on_purpose(tenant_id: str) -> str:
    """Of the secret that a tenant shares with its own identity provider: it opens for that tenant alone."""
    return f"sign_on {tenant_id}"


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
        self._digest_keys = tuple(dict.fromkeys(_derive(key, b"digest") for key in keys))

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

    def is_current(self, sealed: str) -> bool:
        """Whether a value was sealed under the newest key, and so outlives the older ones."""
        try:
            return base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))[:_KEY_ID_BYTES] == self._newest
        except ValueError:
            return False

    @property
    def mark(self) -> str:
        """How all that the newest key seals begins, so that a query finds what other keys sealed."""
        return base64.urlsafe_b64encode(self._newest).decode()[:_MARK_LENGTH]

    def reseal(self, sealed: str, purpose: str) -> str:
        """The same secret under the newest key. Raises SealError when it does not open."""
        return self.seal(self.open(sealed, purpose), purpose)

    def digest(self, value: str, purpose: str) -> str:
        """A keyed digest (HMAC-SHA-256, hex) under the newest key: to store, so that a secret is found without it.

        It changes when the keys are rotated; what was stored before is found by `digests`.
        """
        return self.digests(value, purpose)[0]

    def digests(self, value: str, purpose: str) -> list[str]:
        """The digests under all keys, newest first: what a stored one is looked up by, with `= ANY`."""
        text = f"{purpose}\0{value}".encode()
        return [hmac.new(key, text, hashlib.sha256).hexdigest() for key in self._digest_keys]


def producer_keys(keys: tuple[str, ...], producer: str, generation: int = 0) -> list[str]:
    """The keys that a producer of commands may sign with, the newest first: one under each of PROG_SECRET_KEYS.

    They follow from the producer's name, so nothing secret is stored about it; `generation` takes a leaked one back.
    """
    text = f"{generation}/{producer}".encode()
    return [hmac.new(_derive(key, b"producer"), text, hashlib.sha256).hexdigest() for key in keys]


def audit_seeds(keys: tuple[str, ...]) -> list[bytes]:
    """32 bytes under each of PROG_SECRET_KEYS, the newest first: seeds of the keys that sign the audit trail."""
    return [_derive(key, b"audit") for key in keys]


def new_token(nbytes: int = 32) -> str:
    """A random URL-safe token of `nbytes` bytes of entropy (256 bits by default)."""
    return secrets.token_urlsafe(nbytes)


def _derive(key: str, label: bytes) -> bytes:
    return hmac.new(key.encode(), b"prognetwork/" + label, hashlib.sha256).digest()
