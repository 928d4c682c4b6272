"""The form of tokens that people and programs present: what kind each is, and whom to ask about it.

Every token starts with `prog_` and its kind, so that a scanner finds a leaked one and none passes for another. Where a
command needs to know the tenant or the session before the secret is checked, the token names it; that part is no secret
and proves nothing.
"""

from __future__ import annotations

import re
from typing import Final

from prog_contracts.ids import decode_id

TOKEN_MAX_LENGTH: Final = 200
"""A longer text is no token and is refused before anything is computed from it."""

_SUFFIX: Final = r"([0-7][0-9a-hjkmnp-tv-z]{25})"
_SECRET: Final = r"[A-Za-z0-9_-]{32,86}"
_INVITATION: Final = re.compile(rf"prog_invite_{_SUFFIX}_{_SECRET}")
_REFRESH: Final = re.compile(rf"prog_refresh_{_SUFFIX}_{_SECRET}")
_VERIFICATION: Final = re.compile(rf"prog_verify_{_SECRET}")
_RESET: Final = re.compile(rf"prog_reset_{_SECRET}")
_MAGIC: Final = re.compile(rf"prog_magic_{_SECRET}")


def verification_token(secret: str) -> str:
    """The token of the link in a verification mail."""
    return f"prog_verify_{secret}"


def is_verification_token(token: str) -> bool:
    return _VERIFICATION.fullmatch(token) is not None


def reset_token(secret: str) -> str:
    """The token of the link that sets a new password."""
    return f"prog_reset_{secret}"


def is_reset_token(token: str) -> bool:
    return _RESET.fullmatch(token) is not None


def magic_link_token(secret: str) -> str:
    """The token of the link that signs in."""
    return f"prog_magic_{secret}"


def is_magic_link_token(token: str) -> bool:
    return _MAGIC.fullmatch(token) is not None


def invitation_token(tenant_id: str, secret: str) -> str:
    """The token of the link in an invitation to a tenant."""
    return f"prog_invite_{_suffix(tenant_id, 'tenant')}_{secret}"


def tenant_of_invitation(token: str) -> str | None:
    """The tenant that an invitation token names, or None when it has another form."""
    match = _INVITATION.fullmatch(token)
    return None if match is None else f"tenant_{match[1]}"


def refresh_token(session_id: str, secret: str) -> str:
    """A refresh token of a session."""
    return f"prog_refresh_{_suffix(session_id, 'session')}_{secret}"


def session_of_refresh_token(token: str) -> str | None:
    """The session that a refresh token names, or None when it has another form."""
    match = _REFRESH.fullmatch(token)
    return None if match is None else f"session_{match[1]}"


def _suffix(object_id: str, prefix: str) -> str:
    decode_id(object_id, prefix)
    return object_id[len(prefix) + 1 :]
