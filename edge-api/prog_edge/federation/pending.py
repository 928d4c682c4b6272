"""What a sign-in through another provider has begun with: kept in the browser, sealed, for ten minutes.

It binds the provider's answer to the browser that asked (`state`), the ID token to the question (`nonce`), and the code
to whoever has the verifier (PKCE, RFC 7636). A browser has one at a time.
"""

from __future__ import annotations

import hmac
from datetime import datetime, timedelta
from typing import Final, Literal, Self

from authlib.common.security import generate_token
from pydantic import BaseModel, ConfigDict, ValidationError

from prog_contracts.identities import ProvenIdentity
from prog_kit.secrets import FEDERATION, Sealer, SealError

LIFETIME: Final = timedelta(minutes=10)
LIFETIME_SECONDS: Final = int(LIFETIME.total_seconds())
MAX_COOKIE_BYTES: Final = 4000
_SECRET_LENGTH: Final = 48

Purpose = Literal["sign_in", "link", "step_up"]


class Pending(BaseModel):
    """One that was begun. `user_id` and `session_id` are those of whoever links or steps up."""

    model_config = ConfigDict(frozen=True)

    provider: str
    purpose: Purpose
    state: str
    nonce: str
    verifier: str
    next_address: str
    begun_at: datetime
    user_id: str | None = None
    session_id: str | None = None

    @classmethod
    def begin(
        cls,
        provider: str,
        purpose: Purpose,
        next_address: str,
        now: datetime,
        *,
        user_id: str | None = None,
        session_id: str | None = None,
    ) -> Self:
        return cls(
            provider=provider,
            purpose=purpose,
            state=generate_token(_SECRET_LENGTH),
            nonce=generate_token(_SECRET_LENGTH),
            verifier=generate_token(_SECRET_LENGTH),
            next_address=next_address,
            begun_at=now,
            user_id=user_id,
            session_id=session_id,
        )

    def is_answered_by(self, provider: str, state: str, now: datetime) -> bool:
        """Whether an answer is the one to this, and came in time."""
        same = hmac.compare_digest(state.encode(errors="replace"), self.state.encode())
        return same and provider == self.provider and timedelta(0) <= now - self.begun_at < LIFETIME


def sealed(sealer: Sealer, kept: Pending | ProvenIdentity) -> str:
    """The cookie's value."""
    return sealer.seal(kept.model_dump_json(), FEDERATION)


def opened(sealer: Sealer, cookie: str) -> Pending | None:
    """What was begun; None for a cookie that keeps nothing of the kind."""
    if len(cookie) > MAX_COOKIE_BYTES:
        return None
    try:
        return Pending.model_validate_json(sealer.open(cookie, FEDERATION))
    except (SealError, ValidationError):
        return None


def opened_identity(sealer: Sealer, cookie: str) -> ProvenIdentity | None:
    """An identity that waits for its person to prove an account; None for a cookie that keeps none."""
    if len(cookie) > MAX_COOKIE_BYTES:
        return None
    try:
        return ProvenIdentity.model_validate_json(sealer.open(cookie, FEDERATION))
    except (SealError, ValidationError):
        return None
