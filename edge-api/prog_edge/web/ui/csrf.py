"""Form tokens: an HMAC of the session (or, before sign-in, of a visitor cookie), checked on every unsafe request.

A second guard needs no token: browsers say in `Sec-Fetch-Site` or `Origin` where a request comes from, and one that
says "elsewhere" is refused.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request

from prog_contracts.errors import Denied
from prog_edge.web.ui.state import web_state

FIELD: Final = "csrf_token"
HEADER: Final = "X-CSRF-Token"
VISITOR_COOKIE: Final = "prog_visitor"
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITES: Final = frozenset({"same-origin", "none"})


def form_token(key: bytes, binding: str, host: str | None = None) -> str:
    """The token for whoever holds `binding` (a session id or a visitor's random value), at a tenant's host."""
    bound = binding if host is None else f"{host}:{binding}"
    return hmac.new(key, b"form-token:" + bound.encode(), hashlib.sha256).hexdigest()


def new_visitor() -> str:
    return secrets.token_urlsafe(16)


async def check_csrf(request: Request) -> None:
    """Dependency of every page router. Raises `Denied` with code `stale_form` on a missing or wrong token."""
    if request.method in _SAFE_METHODS:
        return
    origin = request.headers.get("origin")
    told = "sec-fetch-site" in request.headers
    if is_sent_from_elsewhere(request) or (
        not told and origin is not None and _is_elsewhere(origin, request.headers.get("host"))
    ):
        raise Denied("This form was sent from another site.", code="cross_site")
    sent = request.headers.get(HEADER)
    if sent is None:
        sent = str((await request.form()).get(FIELD, ""))
    state = web_state(request)
    taken = [token for token in (state.csrf_token, state.other_csrf_token) if token is not None]
    if not any(hmac.compare_digest(sent.encode(errors="replace"), token.encode()) for token in taken):
        raise Denied(
            "You signed in or out since its page was opened, or it was open for long. Nothing was done: open it again.",
            code="stale_form",
        )


def is_sent_from_elsewhere(request: Request) -> bool:
    """Whether the browser says that another site has made it send this."""
    site = request.headers.get("sec-fetch-site")
    return site is not None and site not in _OWN_SITES


def _is_elsewhere(origin: str, host: str | None) -> bool:
    """Whether an origin is not this host; one that cannot be read is not."""
    try:
        return urlsplit(origin).netloc != host
    except ValueError:
        return True
