"""Access tokens (RFC 9068): EdDSA-signed JWTs of the users domain, checked strictly (RFC 8725).

A key has one algorithm and the header may not choose another; `typ` is `at+jwt`, so that no ID or refresh token passes;
`iss`, `aud`, `exp`, `iat`, `sub` and `sid` must be there and right; a `crit` header or an embedded key is refused. One
that is used in somebody's name says by whom, and has an impersonation for a session; neither comes without the other.
"""

from __future__ import annotations

import asyncio
import base64
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from time import monotonic, time
from typing import Any, Final, Literal, cast

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from prog_contracts.errors import Denied
from prog_contracts.ids import is_id
from prog_contracts.users import PlatformRole
from prog_edge.impersonation import is_impersonation
from prog_kit.database import OUTAGES as DATABASE_OUTAGES

AUDIENCE: Final = "prognetwork"
LEEWAY_SECONDS: Final = 5.0
MAX_TOKEN_BYTES: Final = 4096
_ALGORITHM: Final = "EdDSA"
_TYPE: Final = "at+jwt"
_REQUIRED: Final = ("exp", "iat", "iss", "aud", "sub", "sid")
_HEADER_FIELDS: Final = frozenset({"alg", "typ", "kid"})
KEYS_FRESH_SECONDS: Final = 30.0
"""A key that was withdrawn is good for nobody any more after so long."""
_KEYS_GOOD_SECONDS: Final = 300.0
"""While the database is away, keys that are known go on for so long."""
_KEYS_RETRY_SECONDS: Final = 2.0
_UNKNOWN_KEY_SECONDS: Final = 0.2
"""A key that signs since a moment ago is found after so long, whatever was looked up just before it was made."""
_MAX_REMEMBERED: Final = 4096
_MAX_HEADERS: Final = 64

Keys = Mapping[str, Ed25519PublicKey]


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says. `expires_at` is in epoch seconds.

    `operator_id` is who acts in the name of `user_id`, where that is somebody else (`act`, RFC 8693); `session_id` is
    an impersonation's then.
    """

    user_id: str
    session_id: str
    platform_role: PlatformRole | None
    expires_at: float
    operator_id: str | None = None


class PublicKeys:
    """The users domain's public keys by key id, read again when they are old or a new key id turns up."""

    def __init__(self, load: Callable[[], Awaitable[Keys]], clock: Callable[[], float] = monotonic) -> None:
        self._load = load
        self._clock = clock
        self._keys: Keys = {}
        self._loaded_at = float("-inf")
        self._tried_at = float("-inf")
        self._failure: Exception | None = None
        self._lock = asyncio.Lock()

    async def get(self, key_id: str) -> Ed25519PublicKey | None:
        """The key, or None when there is no such key. Unknown ids cost at most five look-ups a second, and one in two
        seconds while these fail.

        Raises what the look-up raises when the key is not known, or has not been looked up for five minutes.
        """
        now = self._clock()
        fresh = now - self._loaded_at <= KEYS_FRESH_SECONDS and key_id in self._keys
        known = key_id in self._keys or self._failure is not None
        if not fresh and now - self._tried_at > (_KEYS_RETRY_SECONDS if known else _UNKNOWN_KEY_SECONDS):
            async with self._lock:
                if self._tried_at <= now:
                    await self._look_up(key_id)
        if self._failure is not None and key_id not in self._keys:
            raise self._failure  # nobody is told that a key is none while that cannot be known
        return self._keys.get(key_id)

    async def _look_up(self, key_id: str) -> None:
        began = self._clock()
        try:
            self._keys = await self._load()
            self._loaded_at, self._failure = began, None
        except (OSError, *DATABASE_OUTAGES) as error:
            self._failure = error
            if key_id not in self._keys or began - self._loaded_at > _KEYS_GOOD_SECONDS:
                raise
        self._tried_at = self._clock()


class TokenVerifier:
    """Checks access tokens; one that was good is remembered until it expires."""

    def __init__(self, keys: PublicKeys, issuer: str, now: Callable[[], float] = time) -> None:
        self._keys = keys
        self._issuer = issuer
        self._now = now
        self._good: OrderedDict[str, Claims] = OrderedDict()
        self._headers: OrderedDict[str, str] = OrderedDict()
        """Key ids by the text of headers that were right and whose signature was good: all tokens of a key share it."""

    async def verify(self, token: str) -> Claims:
        """What the token says. Raises Denied with code `unauthenticated` when it is not good now."""
        claims = self._good.get(token)
        if claims is not None and await self._keys.get(self._headers.get(token.partition(".")[0], "")) is None:
            claims = None  # its key was withdrawn since, or, rarely, its header forgotten
        if claims is None:
            claims = _claims(await self._decode(token))
            self._good[token] = claims
            if len(self._good) > _MAX_REMEMBERED:
                self._good.popitem(last=False)
        if claims.expires_at + LEEWAY_SECONDS <= self._now():
            self._good.pop(token, None)
            raise _refused("The access token has expired.")
        return claims

    async def _decode(self, token: str) -> dict[str, Any]:
        if len(token) > MAX_TOKEN_BYTES or not token.isascii():
            raise _refused("The access token cannot be read.")
        header = token.partition(".")[0]
        key_id = self._headers.get(header) or _key_id(token)
        key = await self._keys.get(key_id)
        if key is None:
            raise _refused("The access token is signed with an unknown key.")
        try:
            payload: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[_ALGORITHM],
                audience=AUDIENCE,
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": list(_REQUIRED)},
            )
        except jwt.PyJWTError as error:
            expired = isinstance(error, jwt.ExpiredSignatureError)
            raise _refused("The access token has expired." if expired else "The access token is not valid.") from None
        self._headers[header] = key_id
        if len(self._headers) > _MAX_HEADERS:
            self._headers.popitem(last=False)
        return payload


def read_kept(token: str) -> Claims:
    """What a token said that this platform itself has kept sealed, for its session to be renewed or ended.

    It may have run out, and its key be published no more; so its signature is not looked at: nobody but the platform
    can have put it where it was. An impersonation is never renewed. Raises Denied for what is no access token.
    """
    _key_id(token)
    try:
        claims = _claims(jwt.decode(token, options={"verify_signature": False, "require": list(_REQUIRED)}))
    except jwt.PyJWTError:
        raise _refused("The access token is not valid.") from None
    if claims.operator_id is not None:
        raise _refused("The access token has expired.")
    return claims


def _key_id(token: str) -> str:
    """Which key a token says that it is signed with. Raises Denied for a header that is none of an access token."""
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        raise _refused("The access token cannot be read.") from None
    if header.get("alg") != _ALGORITHM or header.get("typ") != _TYPE or not _HEADER_FIELDS.issuperset(header):
        raise _refused("This is not an access token.")
    return str(header.get("kid", ""))


def ed25519_key(text: str) -> Ed25519PublicKey:
    """The key of a JWK's member `x` (RFC 8037): 32 bytes in base64url."""
    return Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def _claims(payload: Mapping[str, Any]) -> Claims:
    role: Any = payload.get("platform_role")
    operator_id = _operator(payload)
    if (operator_id is not None) is not is_impersonation(str(payload["sid"])):
        raise _refused("The access token is not valid.")
    if operator_id is not None and (role is not None or operator_id == payload["sub"]):
        raise _refused("The access token is not valid.")
    return Claims(
        user_id=str(payload["sub"]),
        session_id=str(payload["sid"]),
        platform_role=cast("Literal['operator', 'support']", role) if role in ("operator", "support") else None,
        expires_at=float(payload["exp"]),
        operator_id=operator_id,
    )


def _operator(payload: Mapping[str, Any]) -> str | None:
    """Who acts in the subject's name. Raises Denied for a claim that says anything but one person."""
    if "act" not in payload:
        return None
    actor: Any = payload["act"]
    if not isinstance(actor, dict) or actor.keys() != {"sub"} or not isinstance(actor["sub"], str):
        raise _refused("The access token is not valid.")
    operator_id: str = actor["sub"]
    if not (is_id(operator_id) and operator_id.startswith("user_")):
        raise _refused("The access token is not valid.")
    return operator_id


def _refused(message: str) -> Denied:
    return Denied(message, code="unauthenticated")
