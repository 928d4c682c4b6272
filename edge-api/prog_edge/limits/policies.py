"""How often a client may ask, by kind of endpoint. What a plan multiplies that by is in `prog_contracts.quotas`.

They are those of production; PROG_RATE_LIMIT_FACTOR multiplies all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

EndpointClass = Literal["auth", "writes", "reads", "streams", "wrong_keys"]


@dataclass(frozen=True, slots=True)
class Policy:
    """`quota` requests in any `window_seconds`. While Redis is away each edge counts alone, to `share_alone` of it."""

    name: EndpointClass
    quota: int
    window_seconds: int
    share_alone: float

    def scaled(self, factor: float) -> Policy:
        return Policy(self.name, max(1, math.floor(self.quota * factor)), self.window_seconds, self.share_alone)

    def alone(self) -> Policy:
        return self.scaled(self.share_alone)


POLICIES: Final[Mapping[EndpointClass, Policy]] = {
    # Guessing is what must not get cheaper because a server is away: a quarter then, for each edge.
    "auth": Policy("auth", 30, 60, share_alone=0.25),
    "writes": Policy("writes", 1_200, 60, share_alone=1.0),
    "reads": Policy("reads", 6_000, 60, share_alone=1.0),
    "streams": Policy("streams", 60, 60, share_alone=1.0),
}

WRONG_KEYS: Final = Policy("wrong_keys", 30, 60, share_alone=0.25)
"""How many API keys that are not good an address may show; further ones are answered with 429."""

_EXEMPT: Final = ("/healthz", "/readyz", "/metrics")
_AUTH: Final = ("/v1/auth/", "/v1/me/mfa", "/v1/me/password", "/account/sign-in", "/account/sign-up", "/account/verify")
_PASSKEY_ANSWER: Final = "/account/passkey/answer"
"""Strict although it is a link: it signs in."""
_AUTH_PAGES: Final = (
    "/account/check-your-mail",
    "/account/passkey/",
    "/account/forgot",
    "/account/reset",
    "/account/magic-link",
    "/account/security",
)
_MAILS_ANYBODY: Final = ("/v1/leads", "/leads")
"""Strict: a stranger has the platform write to whatever address they type."""
_CALLBACK: Final = "/v1/auth/oauth/{provider}/callback"
"""Strict although a browser only follows a link there: the edge asks another server what the code is worth. What is
only handed on to a tenant's host is a read (`prog_edge.backend`). `/start` is strict where the provider has to be asked
for its addresses first (`prog_edge.backend.identities`)."""
_HANDS_ON: Final = ("/account/passkey/for-host",)
"""Not strict: what a passkey has answered goes on to a tenant's host as it is, and counts where it is tried."""
_BY_TOKEN: Final = ("/v1/auth/refresh", "/v1/auth/logout")
"""Not strict: they take a token that nobody guesses, and a session lives on them."""
_READS: Final = ("/oauth2/introspect", "/userinfo")
"""They change nothing, whatever their method."""
_STREAMS: Final = ("/v1/events/stream", "/v1/logs/tail")
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@lru_cache(2048)
def class_of(method: str, route: str) -> EndpointClass | None:
    """The kind of an endpoint by the template of its route; None for what is never limited.

    Looking at a form is a read; whatever a form or a call of these sends is strict.
    """
    if route in _EXEMPT:
        return None
    if (method in _SAFE and not route.startswith((_CALLBACK, _PASSKEY_ANSWER))) or route in _READS:
        return "streams" if route.startswith(_STREAMS) or route.endswith("/stream") else "reads"
    if route.startswith((*_AUTH, *_AUTH_PAGES, *_MAILS_ANYBODY)) and route not in (*_BY_TOKEN, *_HANDS_ON):
        return "auth"
    return "writes"
