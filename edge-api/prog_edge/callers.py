"""Who is calling: the one notion of a caller, whatever credential came with the request.

A bearer token in `Authorization`, or a browser's session cookie. Browsers send a cookie on their own, so with it an
unsafe request must also carry the session's form token in `X-CSRF-Token`, which another site cannot know.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Final, Literal

from starlette.requests import Request

from prog_contracts.errors import Denied
from prog_contracts.users import PlatformRole
from prog_edge.context import RequestContext
from prog_edge.sessions import BrowserSessions, IsLive
from prog_edge.tokens import Claims, TokenVerifier
from prog_edge.web.ui.csrf import HEADER as CSRF_HEADER
from prog_edge.web.ui.csrf import form_token

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Caller:
    """A signed-in person. `credential` says how they showed it; it is good until `expires_at` (epoch seconds)."""

    user_id: str
    session_id: str
    platform_role: PlatformRole | None
    credential: Literal["bearer", "cookie"]
    expires_at: float

    @property
    def is_operator(self) -> bool:
        return self.platform_role == "operator"


class Callers:
    """Finds the caller of a request."""

    def __init__(self, tokens: TokenVerifier, is_live: IsLive, sessions: BrowserSessions, signing_key: bytes) -> None:
        self._tokens = tokens
        self._is_live = is_live
        self._sessions = sessions
        self._signing_key = signing_key

    async def find(self, request: Request, context: RequestContext) -> Caller | None:
        """The caller, or None when no credential was sent.

        Raises Denied, with code `unauthenticated` for a credential that is not good and `csrf` for a cookie without
        the form token.
        """
        authorization = request.headers.get("authorization")
        if authorization is not None:
            return await self._of_header(authorization)
        cookie = request.cookies.get(self._sessions.cookie_name)
        if cookie is None:
            return None
        return await self._of_cookie(request, context, cookie)

    async def _of_header(self, authorization: str) -> Caller:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Denied("Send the credential as: Authorization: Bearer TOKEN", code="unauthenticated")
        claims = await self._tokens.verify(token.strip())
        if not await self._is_live(claims):
            raise Denied("The session is over. Sign in again.", code="unauthenticated")
        return _caller(claims, "bearer")

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
    return Caller(claims.user_id, claims.session_id, claims.platform_role, credential, claims.expires_at)
