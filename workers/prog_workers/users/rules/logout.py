"""Decisions about telling clients that a person is signed in no more (OpenID Connect Back-Channel Logout 1.0)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, Literal

TOKEN_LIFETIME: Final = timedelta(minutes=2)
"""Of each attempt's token (section 4: at most two minutes)."""
EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
DELAYS: Final = tuple(
    timedelta(seconds=seconds) for seconds in (5, 30, 120, 600, 1800, 3600, 7200, 14_400, 28_800, 28_800)
)
"""After each attempt that nobody answered: about a day in all."""
KEPT: Final = timedelta(days=7)
"""How long a notice that a client did not hear of can be sent again."""

Next = Literal["told", "refused", "again", "given_up"]


def logout_claims(
    *, issuer: str, audience: str, user_id: str, sid: str, notice_id: str, now: datetime
) -> dict[str, Any]:
    """The claims of a logout token (section 2.4). It has no nonce, so that it is never taken for an ID token."""
    issued_at = int(now.timestamp())
    return {
        "iss": issuer,
        "sub": user_id,
        "aud": audience,
        "iat": issued_at,
        "exp": issued_at + int(TOKEN_LIFETIME.total_seconds()),
        "jti": notice_id,
        "sid": sid,
        "events": {EVENT: {}},
    }


def next_of(status: int | None, attempts: int) -> Next:
    """What an answer means after so many attempts; None is no answer.

    400 is what a client answers that could not sign the person out, and it would again: it is not asked again unless an
    operator says so.
    """
    if status in (200, 204):
        return "told"
    if status is not None and 400 <= status < 500 and status not in (408, 425, 429):
        return "refused"
    return "again" if attempts <= len(DELAYS) else "given_up"
