"""Security headers for whatever does not set its own: the API's answers may not be framed, sniffed, cached or run.

Pages set a policy with a nonce themselves (`prog_edge.web.ui.security`, `prog_edge.api.reference`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_DEFAULTS: Final = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
_HSTS: Final = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")
_HSTS_OF_SITE: Final = (b"strict-transport-security", b"max-age=31536000")
"""At a tenant's host: what is below that is not the platform's to speak for."""


_NAMES: Final = frozenset(name for name, _ in (*_DEFAULTS, _HSTS))

Headers = Iterable[tuple[bytes, bytes]]
Defaults = tuple[tuple[bytes, bytes], ...]


def defaults(*, secure_transport: bool, subdomains: bool = True) -> Defaults:
    """The headers that an answer gets where it has none of its own; over HTTPS also the promise to stay with it, for
    all `subdomains` too."""
    if not secure_transport:
        return _DEFAULTS
    return (*_DEFAULTS, _HSTS if subdomains else _HSTS_OF_SITE)


def secured(headers: Headers, missing: Defaults) -> list[tuple[bytes, bytes]]:
    """The headers of an answer with those that are missing."""
    found = list(headers)
    present = {name for name, _ in found}
    if present.isdisjoint(_NAMES):
        found += missing
    else:
        found += [header for header in missing if header[0] not in present]
    return found
