"""What a sign-in through another provider has begun with: kept in the browser, sealed, for ten minutes.

It binds the provider's answer to the browser that asked (`state`), the ID token to the question (`nonce`), and the code
to whoever has the verifier (PKCE, RFC 7636). A browser has one at a time, at each host.

A provider sends everybody back to the platform's host, for that address is registered there. The state of what was
begun at a tenant's host says so, sealed: the answer goes on to that host, where the cookie is. What passes through is
worth nothing to anybody without the cookie, and nothing is decided on the way.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, Self

import orjson
from authlib.common.security import generate_token
from pydantic import BaseModel, ConfigDict, ValidationError

from prog_contracts.identities import ProvenIdentity
from prog_edge.context import Site, at_host
from prog_kit.secrets import FEDERATION, FEDERATION_STATE, Sealer, SealError

LIFETIME: Final = timedelta(minutes=10)
CLOCKS_APART: Final = timedelta(minutes=1)
"""More than the clocks of two edges are: what one has just made, another takes."""
LIFETIME_SECONDS: Final = int(LIFETIME.total_seconds())
MAX_COOKIE_BYTES: Final = 4000
_SECRET_LENGTH: Final = 48
_MAX_STATE_LENGTH: Final = 2000
_STATE_BYTES: Final = 32

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
        state: str | None = None,
    ) -> Self:
        """`state` is that of a sign-in at a tenant's host; else it is random."""
        return cls(
            provider=provider,
            purpose=purpose,
            state=state or generate_token(_SECRET_LENGTH),
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


@dataclass(frozen=True, slots=True)
class Whence:
    """The tenant's host at which a sign-in was begun, with which provider and when."""

    provider: str
    tenant_id: str
    host: str
    begun_at: datetime

    def is_answered_by(self, provider: str, now: datetime) -> bool:
        return provider == self.provider and -CLOCKS_APART <= now - self.begun_at < LIFETIME


def state_at(sealer: Sealer, provider: str, site: Site, now: datetime) -> str:
    """A state that says at which tenant's host it was made."""
    random = secrets.token_urlsafe(_STATE_BYTES)
    content = orjson.dumps([random, provider, site.tenant_id, site.host, now.timestamp()]).decode()
    return sealer.seal(content, FEDERATION_STATE)


def whence(sealer: Sealer, state: str) -> Whence | None:
    """Where a state was made; None for one that was made at the platform's host, or that nobody here has made."""
    if len(state) > _MAX_STATE_LENGTH:
        return None
    try:
        _, provider, tenant_id, host, begun_at = orjson.loads(sealer.open(state, FEDERATION_STATE))
    except (SealError, ValueError):
        return None
    return Whence(provider, tenant_id, host, datetime.fromtimestamp(begun_at, UTC))


def sealed(sealer: Sealer, kept: Pending | ProvenIdentity) -> str:
    """The cookie's value, good at the host of this request alone."""
    return sealer.seal(kept.model_dump_json(), at_host(FEDERATION))


def opened(sealer: Sealer, cookie: str) -> Pending | None:
    """What was begun; None for a cookie that keeps nothing of the kind."""
    if len(cookie) > MAX_COOKIE_BYTES:
        return None
    try:
        return Pending.model_validate_json(sealer.open(cookie, at_host(FEDERATION)))
    except (SealError, ValidationError):
        return None


def opened_identity(sealer: Sealer, cookie: str) -> ProvenIdentity | None:
    """An identity that waits for its person to prove an account; None for a cookie that keeps none."""
    if len(cookie) > MAX_COOKIE_BYTES:
        return None
    try:
        return ProvenIdentity.model_validate_json(sealer.open(cookie, at_host(FEDERATION)))
    except (SealError, ValidationError):
        return None
