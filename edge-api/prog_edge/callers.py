"""Who is calling: the one notion of a caller, whatever credential came with the request.

An access token, an API key or the token of an OAuth client's own in `Authorization`, or a browser's session cookie.
Browsers send a cookie on their own, so with it an unsafe request must also carry the session's form token in
`X-CSRF-Token`, which another site cannot know.
"""

from __future__ import annotations

import hmac
import math
from dataclasses import dataclass
from typing import Final, Literal

from starlette.requests import Request

from prog_contracts.actors import actor_of_impersonation, actor_of_key
from prog_contracts.credentials import API_KEY_PREFIXES, CLIENT_ACCESS_PREFIX
from prog_contracts.errors import Denied
from prog_contracts.permissions import IMPERSONATED
from prog_contracts.users import PlatformRole
from prog_edge.context import RequestContext
from prog_edge.key_uses import KeyUses
from prog_edge.keyring import HeldKey, KeyRing
from prog_edge.limits.rates import RateLimits
from prog_edge.oauth.clients import ClientRing
from prog_edge.sessions import BrowserSessions, IsLive
from prog_edge.tokens import Claims, TokenVerifier
from prog_edge.versions.table import version_at
from prog_edge.web.ui.csrf import HEADER as CSRF_HEADER
from prog_edge.web.ui.csrf import form_token

_IMPERSONATED: Final = frozenset[str](IMPERSONATED)
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Caller:
    """A signed-in person, or a program with an API key that this person made, or a client whose secret they hold, or an
    operator of the platform in the person's name.

    `credential` says what was shown; it is good until `expires_at` (epoch seconds). A program has a `key` and no
    session, and an office on the platform is none of its maker's rights that it has. `operator_id` is who acts in the
    name of `user_id`, which is nobody's with an office; `session_id` is the impersonation's.
    """

    user_id: str
    session_id: str | None
    platform_role: PlatformRole | None
    credential: Literal["bearer", "cookie", "api_key", "client"]
    expires_at: float
    key: HeldKey | None = None
    operator_id: str | None = None

    @property
    def is_operator(self) -> bool:
        return self.platform_role == "operator"

    @property
    def actor(self) -> str:
        """Who asks, as commands and the log tell it."""
        if self.operator_id is not None:
            return actor_of_impersonation(self.user_id, self.operator_id)
        return self.user_id if self.key is None else actor_of_key(self.user_id, self.key.key_id)

    @property
    def client(self) -> str:
        """Who has a quota: each key its own, and an operator theirs, in whoever's name."""
        return (self.operator_id or self.user_id) if self.key is None else self.key.key_id

    @property
    def scopes(self) -> frozenset[str] | None:
        """What bounds the rights of the person; None is nothing."""
        if self.operator_id is not None:
            return _IMPERSONATED
        return None if self.key is None else self.key.scopes


class Callers:
    """Finds the caller of a request."""

    def __init__(
        self,
        tokens: TokenVerifier,
        is_live: IsLive,
        sessions: BrowserSessions,
        signing_key: bytes,
        keyring: KeyRing,
        clients: ClientRing,
        key_uses: KeyUses,
        rates: RateLimits,
    ) -> None:
        self._tokens = tokens
        self._is_live = is_live
        self._sessions = sessions
        self._signing_key = signing_key
        self._keyring = keyring
        self._clients = clients
        self._key_uses = key_uses
        self._rates = rates

    async def find(self, request: Request, context: RequestContext) -> Caller | None:
        """The caller, or None when no credential was sent.

        Raises Denied, with code `unauthenticated` for a credential that is not good and `csrf` for a cookie without
        the form token. Raises TooMuch when there were many wrong keys from this address.
        """
        authorization = request.headers.get("authorization")
        if authorization is not None:
            return await self._of_header(authorization, context)
        cookie = request.cookies.get(self._sessions.cookie_name)
        if cookie is None:
            return None
        return await self._of_cookie(request, context, cookie)

    async def _of_header(self, authorization: str, context: RequestContext) -> Caller:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Denied("Send the credential as: Authorization: Bearer TOKEN", code="unauthenticated")
        token = token.strip()
        if token.startswith(API_KEY_PREFIXES):
            return await self._of_key(token, context)
        if token.startswith(CLIENT_ACCESS_PREFIX):
            return await self._of_client(token, context)
        claims = await self._tokens.verify(token)
        if not await self._is_live(claims):
            raise Denied("The session is over. Sign in again.", code="unauthenticated")
        return _caller(claims, "bearer")

    async def _of_key(self, text: str, context: RequestContext) -> Caller:
        """One answer for a key that is misspelt, unknown, expired, revoked, or whose maker has left."""
        found = await self._keyring.find(text)
        if found is None:
            await self._rates.count_wrong_key(context.client_address)
            raise Denied("This API key is not good.", code="unauthenticated")
        key, row = found
        self._key_uses.note(row, context.client_address)
        if context.version is None:
            context.version = version_at(row.first_made_at or row.created_at)
        expires_at = math.inf if row.expires_at is None else row.expires_at.timestamp()
        return Caller(row.created_by, None, None, "api_key", expires_at, key)

    async def _of_client(self, text: str, context: RequestContext) -> Caller:
        """One answer for a token that is unknown, over, given back, or whose client lost the right to it."""
        found = await self._clients.find_token(text)
        if found is None:
            await self._rates.count_wrong_key(context.client_address)
            raise Denied("This token is not good.", code="unauthenticated")
        key, row = found
        return Caller(row.held_by, None, None, "client", row.expires_at.timestamp(), key)

    async def _of_cookie(self, request: Request, context: RequestContext, cookie: str) -> Caller:
        opened = await self._sessions.open(cookie)
        if opened is None:
            raise Denied("The session is over. Sign in again.", code="unauthenticated")
        if request.method not in _SAFE_METHODS:
            expected = form_token(self._signing_key, opened.claims.session_id)
            sent = request.headers.get(CSRF_HEADER, "")
            if not hmac.compare_digest(sent.encode(), expected.encode()):
                raise Denied(f"A session cookie needs the page's {CSRF_HEADER} header with it.", code="csrf")
        if opened.renewed is not None:
            context.session_cookie = self._sessions.set_cookie(opened.renewed)
        return _caller(opened.claims, "cookie")


def _caller(claims: Claims, credential: Literal["bearer", "cookie"]) -> Caller:
    return Caller(
        claims.user_id,
        claims.session_id,
        claims.platform_role,
        credential,
        claims.expires_at,
        operator_id=claims.operator_id,
    )
