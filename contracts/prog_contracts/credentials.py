"""The form of tokens that people and programs present: what kind each is, and whom to ask about it.

Every token starts with `prog_` and its kind, so that a scanner finds a leaked one and none passes for another. Where a
command needs to know the tenant, the person or the session before the secret is checked, the token names it; that part
is no secret and proves nothing.
"""

from __future__ import annotations

import re
import zlib
from typing import Final, Literal

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
_PENDING_SIGN_IN: Final = re.compile(rf"prog_mfa_{_SUFFIX}_{_SECRET}")
_AUTHORIZATION_CODE: Final = re.compile(rf"prog_code_{_SECRET}")
_PERSON_ACCESS: Final = re.compile(rf"prog_access_{_SUFFIX}_{_SECRET}")
_CLIENT_REFRESH: Final = re.compile(rf"prog_offline_{_SUFFIX}_{_SECRET}")
_CLIENT_ACCESS: Final = re.compile(rf"prog_machine_{_SUFFIX}_{_SECRET}")
_CLIENT_ID: Final = re.compile(rf"prog_client_{_SUFFIX}_{_SUFFIX}")
_CLIENT_SECRET: Final = re.compile(rf"prog_secret_({_SECRET})")
_BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECKSUM_LENGTH: Final = 6
_API_KEY: Final = re.compile(rf"prog_(live|test)_{_SUFFIX}_([0-9A-Za-z]{{30}})([0-9A-Za-z]{{{_CHECKSUM_LENGTH}}})")

CLIENT_ACCESS_PREFIX: Final = "prog_machine_"
CLIENT_SECRET_HINT_LENGTH: Final = 6
API_KEY_PREFIXES: Final = ("prog_live_", "prog_test_")
API_KEY_ALPHABET: Final = _BASE62
API_KEY_SECRET_LENGTH: Final = 30
"""Characters of base62: 178 bits."""
API_KEY_HINT_LENGTH: Final = 6
"""So many of them are kept readable; 142 bits remain."""

KeyMode = Literal["live", "test"]
"""The kind of platform that a key belongs to: production, or any other."""


def api_key(mode: KeyMode, tenant_id: str, secret: str) -> str:
    """The text of an API key: mode, tenant, secret, and a checksum of all that, in the manner of GitHub's tokens.

    With the checksum a scanner is sure of what it found, and a misspelt key is refused without a look-up. Raises
    ValueError for a secret of another form.
    """
    text = f"prog_{mode}_{_suffix(tenant_id, 'tenant')}_{secret}"
    made = text + _checksum(text)
    if _API_KEY.fullmatch(made) is None:
        raise ValueError("the secret of an API key is 30 characters of base62")
    return made


def tenant_of_api_key(token: str, mode: KeyMode) -> str | None:
    """The tenant that an API key of this mode names; None for another text, another mode, or a wrong checksum."""
    match = _API_KEY.fullmatch(token)
    if match is None or match[1] != mode or _checksum(token[:-_CHECKSUM_LENGTH]) != match[4]:
        return None
    return f"tenant_{match[2]}"


def hint_of_api_key(token: str) -> str:
    """The characters of a key by which people tell it from others: the first of its secret."""
    match = _API_KEY.fullmatch(token)
    if match is None:
        raise ValueError("this is no API key")
    return match[3][:API_KEY_HINT_LENGTH]


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


def pending_sign_in_token(user_id: str, secret: str) -> str:
    """The token of a sign-in that waits for the second factor."""
    return f"prog_mfa_{_suffix(user_id, 'user')}_{secret}"


def user_of_pending_sign_in(token: str) -> str | None:
    """The person whose sign-in a token names, or None when it has another form."""
    match = _PENDING_SIGN_IN.fullmatch(token)
    return None if match is None else f"user_{match[1]}"


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


def public_client_id(tenant_id: str, client_id: str) -> str:
    """What an OAuth client calls itself in requests (`client_id`): it names the tenant whose client it is, too."""
    return f"prog_client_{_suffix(tenant_id, 'tenant')}_{_suffix(client_id, 'client')}"


def client_of(text: str) -> tuple[str, str] | None:
    """The tenant and the client that such a text names, or None when it has another form."""
    match = _CLIENT_ID.fullmatch(text)
    return None if match is None else (f"tenant_{match[1]}", f"client_{match[2]}")


def client_secret(secret: str) -> str:
    """The secret of a confidential OAuth client."""
    return f"prog_secret_{secret}"


def is_client_secret(text: str) -> bool:
    return _CLIENT_SECRET.fullmatch(text) is not None


def hint_of_client_secret(text: str) -> str:
    """The characters by which people tell one secret of a client from another."""
    match = _CLIENT_SECRET.fullmatch(text)
    if match is None:
        raise ValueError("this is no secret of a client")
    return match[1][:CLIENT_SECRET_HINT_LENGTH]


def authorization_code(secret: str) -> str:
    """What an OAuth client exchanges for tokens."""
    return f"prog_code_{secret}"


def is_authorization_code(token: str) -> bool:
    return _AUTHORIZATION_CODE.fullmatch(token) is not None


def person_access_token(user_id: str, secret: str) -> str:
    """With what an OAuth client asks about a person who is signed in to it."""
    return f"prog_access_{_suffix(user_id, 'user')}_{secret}"


def user_of_access_token(token: str) -> str | None:
    """The person whom such a token names, or None when it has another form."""
    match = _PERSON_ACCESS.fullmatch(token)
    return None if match is None else f"user_{match[1]}"


def client_refresh_token(user_id: str, secret: str) -> str:
    """With what an OAuth client goes on while the person is away."""
    return f"prog_offline_{_suffix(user_id, 'user')}_{secret}"


def user_of_client_refresh_token(token: str) -> str | None:
    """The person whom such a token names, or None when it has another form."""
    match = _CLIENT_REFRESH.fullmatch(token)
    return None if match is None else f"user_{match[1]}"


def client_access_token(tenant_id: str, secret: str) -> str:
    """With what an OAuth client calls the API by itself."""
    return f"{CLIENT_ACCESS_PREFIX}{_suffix(tenant_id, 'tenant')}_{secret}"


def tenant_of_client_token(token: str) -> str | None:
    """The tenant that such a token names, or None when it has another form."""
    match = _CLIENT_ACCESS.fullmatch(token)
    return None if match is None else f"tenant_{match[1]}"


def _suffix(object_id: str, prefix: str) -> str:
    decode_id(object_id, prefix)
    return object_id[len(prefix) + 1 :]


def _checksum(text: str) -> str:
    """CRC-32 of a text in base62, six characters."""
    number = zlib.crc32(text.encode())
    letters = [_BASE62[number // 62**place % 62] for place in range(_CHECKSUM_LENGTH - 1, -1, -1)]
    return "".join(letters)
