"""What a browser is asked about passkeys: to make one, or to sign with one (WebAuthn, Level 3, section 5).

Nothing is kept here: the challenge goes out as a sealed token, and comes back with the answer. To sign in, nobody says
who they are: the authenticator knows, and any browser is asked the same, whether there is an account or not.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import orjson
from webauthn import generate_authentication_options, generate_registration_options
from webauthn.helpers import options_to_json_dict
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.structs import (
    AttestationConveyancePreference,
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from prog_contracts.ids import decode_id, encode_id
from prog_contracts.passkeys import PasskeyAnswer
from prog_kit.passkeys import CHALLENGE_LIFETIME, NAME, Challenge, Purpose, RelyingParty
from prog_kit.secrets import CODE, Sealer
from prog_workers.users.queries import PasskeyRow

ALGORITHMS: Final = [
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
]
_TRANSPORTS: Final = {str(item.value): item for item in AuthenticatorTransport}
_USER_HANDLE_BYTES: Final = 16
EXPIRES_IN_SECONDS: Final = int(CHALLENGE_LIFETIME.total_seconds())


@dataclass(frozen=True, slots=True)
class Offer:
    """A challenge for a browser. `public_key` is for `navigator.credentials`, `token` for coming back with."""

    token: str
    public_key: dict[str, Any]


class PasskeyOffers:
    """Makes what browsers are asked."""

    def __init__(self, party: RelyingParty, sealer: Sealer, clock: Callable[[], datetime] | None = None) -> None:
        self.party = party
        self._sealer = sealer
        self._now = clock or (lambda: datetime.now(UTC))

    def to_sign(self, purpose: Purpose, bound_to: str, among: Sequence[PasskeyRow] = ()) -> Offer:
        """To sign with one of these passkeys, or with any that the browser has for the platform."""
        challenge = Challenge.made(purpose, bound_to, self._now())
        options = generate_authentication_options(
            rp_id=self.party.rp_id,
            challenge=challenge.value,
            timeout=EXPIRES_IN_SECONDS * 1000,
            allow_credentials=[_descriptor(row) for row in among],
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        return Offer(challenge.token(self._sealer), options_to_json_dict(options))

    def to_make(self, user_id: str, email: str, name: str, session_id: str, besides: Sequence[PasskeyRow]) -> Offer:
        """To make a passkey that is found without a name, on another device than those that have one already."""
        challenge = Challenge.made("enrol", session_id, self._now())
        options = generate_registration_options(
            rp_id=self.party.rp_id,
            rp_name=NAME,
            user_id=decode_id(user_id, "user").bytes,
            user_name=email,
            user_display_name=name,
            challenge=challenge.value,
            timeout=EXPIRES_IN_SECONDS * 1000,
            attestation=AttestationConveyancePreference.NONE,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
            ),
            exclude_credentials=[_descriptor(row) for row in besides],
            supported_pub_key_algs=ALGORITHMS,
        )
        return Offer(challenge.token(self._sealer), options_to_json_dict(options))

    def sealed_answer(self, token: str, credential: str) -> str:
        """What a command carries of an answer."""
        return self._sealer.seal(PasskeyAnswer(token=token, credential=credential).model_dump_json(), CODE)


def user_of_answer(credential: str) -> str | None:
    """The person whom an authenticator names in what it answered; None where it names nobody."""
    try:
        handle = orjson.loads(credential)["response"]["userHandle"]
    except (ValueError, KeyError, TypeError):
        return None
    return user_of_handle(handle) if isinstance(handle, str) else None


def user_of_handle(handle: str | None) -> str | None:
    """The person whom an authenticator names by the handle that it was given; None for a handle of another form.

    It is the person's id, which is random but for its time: nothing that tells who they are.
    """
    try:
        raw = urlsafe_b64decode(f"{handle or ''}===")
    except ValueError:
        return None
    return encode_id("user", UUID(bytes=raw)) if len(raw) == _USER_HANDLE_BYTES else None


def _descriptor(row: PasskeyRow) -> PublicKeyCredentialDescriptor:
    transports = [_TRANSPORTS[name] for name in row.transports if name in _TRANSPORTS]
    return PublicKeyCredentialDescriptor(id=row.credential_id, transports=transports or None)
