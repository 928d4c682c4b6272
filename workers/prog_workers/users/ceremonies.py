"""The two ceremonies of WebAuthn (Level 3, sections 7.1 and 7.2): a passkey is made, a passkey signs.

py_webauthn checks type, challenge, origin, domain, flags and signature. Beyond that, nothing is taken from a page
inside another site's, the user must have been verified by the authenticator (so that a passkey is two factors), the
flag of backup eligibility stays what it was, and the counter grows. Pure: what was kept comes in, what is to be kept
goes out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import orjson
from webauthn import verify_authentication_response, verify_registration_response
from webauthn.helpers import base64url_to_bytes, parse_attestation_object
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import AttestationFormat, CredentialDeviceType

from prog_kit.passkeys import Challenge, RelyingParty

ALGORITHMS: Final = [
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
]
ATTESTATIONS: Final = frozenset({AttestationFormat.NONE, AttestationFormat.PACKED})
"""None is asked for; some authenticators send their own signature all the same. Who made a device is not looked at."""
CREDENTIAL_ID_BYTES: Final = range(16, 1024)
TRANSPORTS: Final = frozenset({"ble", "cable", "hybrid", "internal", "nfc", "smart-card", "usb"})
MAX_CREDENTIAL_LENGTH: Final = 32 * 1024
"""Characters of an answer; what is longer is not read."""


class Unproven(Exception):
    """An answer of an authenticator does not prove what it should; the text is for the log."""


@dataclass(frozen=True, slots=True)
class Made:
    """A passkey that an authenticator has made, with what is kept of it."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    aaguid: UUID
    backup_eligible: bool
    backed_up: bool
    transports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """A passkey as it was kept, as far as checking needs it."""

    public_key: bytes
    sign_count: int
    backup_eligible: bool


@dataclass(frozen=True, slots=True)
class Signed:
    """What a passkey's signature tells. `copied` is one that had counted further before: there are two of it."""

    sign_count: int
    backed_up: bool
    copied: bool


def made(party: RelyingParty, challenge: Challenge, answer: str) -> Made:
    """The passkey in an answer to `navigator.credentials.create()`. Raises Unproven."""
    credential = _read(answer)
    try:
        attestation = parse_attestation_object(base64url_to_bytes(_response(credential, "attestationObject")))
        if attestation.fmt not in ATTESTATIONS:
            raise Unproven(f"an attestation of the form {attestation.fmt}")
        verified = verify_registration_response(
            credential=credential,
            expected_challenge=challenge.value,
            expected_rp_id=party.rp_id,
            expected_origin=list(party.origins),
            require_user_verification=True,
            supported_pub_key_algs=ALGORITHMS,
        )
    except _UNREADABLE as error:
        raise Unproven(f"no passkey was made: {error}") from error
    if len(verified.credential_id) not in CREDENTIAL_ID_BYTES:
        raise Unproven("the id of the credential is too short or too long")
    told = credential.get("response", {}).get("transports")
    return Made(
        credential_id=verified.credential_id,
        public_key=verified.credential_public_key,
        sign_count=verified.sign_count,
        aaguid=UUID(verified.aaguid),
        backup_eligible=_is_eligible(verified.credential_device_type),
        backed_up=verified.credential_backed_up,
        transports=tuple(sorted(TRANSPORTS.intersection(told))) if _is_texts(told) else (),
    )


def credential_id_of(answer: str) -> bytes:
    """Which passkey an answer says to be of. Raises Unproven."""
    identity = _read(answer).get("id")
    if not isinstance(identity, str):
        raise Unproven("an answer without an id")
    try:
        return base64url_to_bytes(identity)
    except ValueError as error:
        raise Unproven("an id that is not base64url") from error


def signed(party: RelyingParty, challenge: Challenge, answer: str, kept: Kept) -> Signed:
    """What an answer to `navigator.credentials.get()` tells of a passkey. Raises Unproven."""
    credential = _read(answer)
    try:
        verified = verify_authentication_response(
            credential=credential,
            expected_challenge=challenge.value,
            expected_rp_id=party.rp_id,
            expected_origin=list(party.origins),
            credential_public_key=kept.public_key,
            credential_current_sign_count=-1,  # looked at below, once the signature is known to be good
            require_user_verification=True,
        )
    except _UNREADABLE as error:
        raise Unproven(f"the passkey did not sign: {error}") from error
    if _is_eligible(verified.credential_device_type) is not kept.backup_eligible:
        raise Unproven("a passkey does not change whether it may leave its device")
    counts = verified.new_sign_count > 0 or kept.sign_count > 0
    return Signed(
        sign_count=verified.new_sign_count,
        backed_up=verified.credential_backed_up,
        copied=counts and verified.new_sign_count <= kept.sign_count,
    )


_UNREADABLE: Final = (WebAuthnException, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)
"""What reading an answer raises that no authenticator wrote."""


def _read(answer: str) -> dict[str, Any]:
    """The credential, from a page that no other site's holds. Raises Unproven."""
    if len(answer) > MAX_CREDENTIAL_LENGTH:
        raise Unproven("an answer that is too long")
    try:
        credential = orjson.loads(answer)
        client_data = orjson.loads(base64url_to_bytes(_response(credential, "clientDataJSON")))
    except _UNREADABLE as error:
        raise Unproven("an answer that cannot be read") from error
    if not isinstance(credential, dict) or not isinstance(client_data, dict):
        raise Unproven("an answer that is no object")
    if client_data.get("crossOrigin") not in (None, False) or "topOrigin" in client_data:
        raise Unproven("an answer from a page inside another site's")
    return credential


def _response(credential: Any, name: str) -> str:
    return str(credential["response"][name])


def _is_eligible(kind: CredentialDeviceType) -> bool:
    return kind == CredentialDeviceType.MULTI_DEVICE


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
