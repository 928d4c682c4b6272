"""An authenticator in software: makes passkeys and signs with them as a device would, and as one would not.

It speaks the JSON forms of WebAuthn, Level 3. What a test wants to be wrong it says by name, so that everything else is
right.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any, Final

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

USER_PRESENT: Final = 0x01
USER_VERIFIED: Final = 0x04
BACKUP_ELIGIBLE: Final = 0x08
BACKED_UP: Final = 0x10
ATTESTED: Final = 0x40


def base64url(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def from_base64url(text: str) -> bytes:
    return urlsafe_b64decode(f"{text}===")


@dataclass
class Credential:
    """A passkey on the device."""

    rp_id: str
    user_handle: bytes
    key: Any
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    count: int = 0
    flags: int = 0


@dataclass
class Authenticator:
    """A device. `counts` is one that counts its uses, as security keys do; `synced` one that keeps its passkeys
    elsewhere too, as phones do."""

    origin: str = "http://localhost:8000"
    counts: bool = False
    synced: bool = True
    edwards: bool = False
    credentials: list[Credential] = field(default_factory=list)

    def make(self, options: dict[str, Any], **wrong: Any) -> dict[str, Any]:
        """Answers `navigator.credentials.create()`. `wrong` may be `origin`, `type`, `challenge`, `rp_id`, `flags`,
        `format`, `client` (members of the client data), `credential_id`."""
        rp_id = options["rp"]["id"]
        key = ed25519.Ed25519PrivateKey.generate() if self.edwards else ec.generate_private_key(ec.SECP256R1())
        credential = Credential(rp_id, from_base64url(options["user"]["id"]), key)
        credential.credential_id = wrong.get("credential_id", credential.credential_id)
        credential.flags = BACKUP_ELIGIBLE | BACKED_UP if self.synced else 0
        self.credentials.append(credential)
        client = self._client_data("webauthn.create", options, wrong)
        attested = b"".join(
            (bytes(16), len(credential.credential_id).to_bytes(2), credential.credential_id, cbor2.dumps(_cose(key)))
        )
        flags = wrong.get("flags", USER_PRESENT | USER_VERIFIED | ATTESTED | credential.flags)
        data = self._data(wrong.get("rp_id", rp_id), flags, credential) + attested
        attestation = cbor2.dumps({"fmt": wrong.get("format", "none"), "attStmt": {}, "authData": data})
        return {
            "id": base64url(credential.credential_id),
            "rawId": base64url(credential.credential_id),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": base64url(client),
                "attestationObject": base64url(attestation),
                "transports": ["internal", "hybrid"],
            },
        }

    def sign(self, options: dict[str, Any], credential: Credential | None = None, **wrong: Any) -> dict[str, Any]:
        """Answers `navigator.credentials.get()` with its latest passkey, or the one given. `wrong` as for `make`, and
        `signature`, `handle` and `count`."""
        used = credential or self.credentials[-1]
        if self.counts:
            used.count += 1
        client = self._client_data("webauthn.get", options, wrong)
        flags = wrong.get("flags", USER_PRESENT | USER_VERIFIED | used.flags)
        data = self._data(wrong.get("rp_id", used.rp_id), flags, used, wrong.get("count"))
        return {
            "id": base64url(used.credential_id),
            "rawId": base64url(used.credential_id),
            "type": "public-key",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": base64url(client),
                "authenticatorData": base64url(data),
                "signature": base64url(wrong.get("signature") or _signature(used.key, data, client)),
                "userHandle": base64url(wrong.get("handle", used.user_handle)),
            },
        }

    def _client_data(self, kind: str, options: dict[str, Any], wrong: dict[str, Any]) -> bytes:
        told = {
            "type": wrong.get("type", kind),
            "challenge": wrong.get("challenge", options["challenge"]),
            "origin": wrong.get("origin", self.origin),
            "crossOrigin": False,
            **wrong.get("client", {}),
        }
        return json.dumps(told).encode()

    def _data(self, rp_id: str, flags: int, credential: Credential, count: int | None = None) -> bytes:
        number = credential.count if count is None else count
        return hashlib.sha256(rp_id.encode()).digest() + bytes((flags,)) + number.to_bytes(4)


def _cose(key: Any) -> dict[int, Any]:
    """The public key as a COSE_Key (RFC 9053)."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return {1: 1, 3: -8, -1: 6, -2: key.public_key().public_bytes_raw()}
    numbers = key.public_key().public_numbers()
    return {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)}


def _signature(key: Any, data: bytes, client: bytes) -> bytes:
    message = data + hashlib.sha256(client).digest()
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    signed: bytes = key.sign(message, ec.ECDSA(hashes.SHA256()))
    return signed
