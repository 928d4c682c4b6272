"""Sign-in through other identity providers, as their client: OpenID Connect, and GitHub's plain OAuth 2.0.

`outbound` asks their servers, within limits; `discovery` knows their addresses and keys; `openid` and `github` speak
the two protocols, with Authlib; `pending` keeps in the browser what a sign-in has begun with; `flow` is the one way
through.
"""

from prog_edge.federation.flow import CALLBACK, Begun, Federation, Finished, SignOnProvider
from prog_edge.federation.pending import LIFETIME_SECONDS, Pending, Purpose, Whence

__all__ = [
    "CALLBACK",
    "LIFETIME_SECONDS",
    "Begun",
    "Federation",
    "Finished",
    "Pending",
    "Purpose",
    "SignOnProvider",
    "Whence",
]
