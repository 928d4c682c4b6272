"""Which pages of other sites may read answers in a browser (CORS, the Fetch standard).

Pages of the origins in PROG_CORS_ORIGINS may call the API with a credential that they hold themselves, sent in
Authorization. What a route marked with `any_origin` answers, pages of all sites may read: there it is `*`, and no
credential is allowed. Cookies never go along: `Access-Control-Allow-Credentials` is never sent. Whoever is no browser
is not concerned by any of this, and rights are asked for all the same.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from starlette.responses import Response
from starlette.types import Scope

Headers = list[tuple[bytes, bytes]]

PREFIXES: Final = ("/v1/", "/oauth2/token", "/oauth2/revoke", "/oauth2/introspect", "/userinfo")
"""What programs call; the page where people agree is not among it."""
MAX_AGE_SECONDS: Final = 600
METHODS: Final = "GET, HEAD, POST, PATCH, PUT, DELETE"
TAKEN: Final = (
    "Authorization, Content-Type, Idempotency-Key, If-Match, Last-Event-ID, Prefer, Prog-Tenant, Prog-Version,"
    " traceparent, X-Request-Id"
)
TAKEN_FROM_ALL: Final = "Content-Type, Prog-Version, traceparent, X-Request-Id"
SHOWN: Final = (
    "Deprecation, ETag, Idempotency-Replayed, Link, Location, Preference-Applied, Prog-Version, RateLimit,"
    " RateLimit-Policy, Retry-After, Sunset, traceparent, X-Request-Id"
)
_VARY: Final = (b"vary", b"Origin")
_SHOWN: Final = (b"access-control-expose-headers", SHOWN.encode())


class Cors:
    """`open_paths` are those whose answers to GET everybody may read."""

    def __init__(self, origins: Collection[str], open_paths: Collection[str]) -> None:
        self._origins = frozenset(origins)
        self._open_paths = frozenset(open_paths)

    def headers(self, method: str, path: str, origin: str | None) -> Headers:
        """What an answer tells the browser; it is kept apart by origin in every cache, where it differs."""
        if method == "OPTIONS":  # `preflight` has said it all, or there is nothing to say
            return []
        if path in self._open_paths and method in ("GET", "HEAD"):
            return [] if origin is None else [(b"access-control-allow-origin", b"*"), _SHOWN]
        if not self._origins or not path.startswith(PREFIXES):
            return []
        if origin not in self._origins:
            return [_VARY]
        return [(b"access-control-allow-origin", origin.encode("latin-1")), _SHOWN, _VARY]

    def preflight(self, scope: Scope, origin: str | None) -> Response | None:
        """The answer to a browser that asks before it sends; None for what is no such question, or of a stranger."""
        if origin is None or scope["method"] != "OPTIONS":
            return None
        if not any(name == b"access-control-request-method" for name, _ in scope["headers"]):
            return None
        path: str = scope["path"]
        headers = {"Access-Control-Max-Age": str(MAX_AGE_SECONDS), "Vary": "Origin, Access-Control-Request-Headers"}
        if origin in self._origins and path.startswith(PREFIXES):
            allowed = {"Origin": origin, "Methods": METHODS, "Headers": TAKEN}
        elif path in self._open_paths:
            allowed = {"Origin": "*", "Methods": "GET, HEAD", "Headers": TAKEN_FROM_ALL}
        else:
            return None
        headers |= {f"Access-Control-Allow-{name}": value for name, value in allowed.items()}
        return Response(status_code=204, headers=headers)
