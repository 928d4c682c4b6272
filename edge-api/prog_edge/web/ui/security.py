"""The security headers of every page. Exceptions to the strict policy are made here alone, each for one address."""

from __future__ import annotations

import secrets
from typing import Final

from starlette.datastructures import MutableHeaders


def new_nonce() -> str:
    return secrets.token_urlsafe(16)


def page_policy(nonce: str, form_origin: str | None = None) -> str:
    """Scripts only with this response's nonce (modules pass it on to what they import), nothing inline, no framing.

    `form_origin` is where a form of this page may lead besides: a browser looks at where it is sent on to as well.
    """
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'nonce-{nonce}'",
            "style-src 'self'",
            "font-src 'self'",
            "img-src 'self' data:",
            "connect-src 'self'",
            "manifest-src 'self'",
            "frame-src 'self'",
            "form-action 'self'" + ("" if form_origin is None else f" {form_origin}"),
            "frame-ancestors 'none'",
            "base-uri 'none'",
        )
    )


MAIL_POLICY: Final = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data: https:; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)
"""For `/dev/mailbox/{id}/html` alone: mails style themselves inline, and may do nothing else."""


def secure_page(headers: MutableHeaders, nonce: str, *, form_origin: str | None = None) -> None:
    """Sets what a response has not set itself. To stay with HTTPS the gateway adds, for it knows the host."""
    headers.setdefault("Content-Security-Policy", page_policy(nonce, form_origin))
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Referrer-Policy", "strict-origin-when-cross-origin")
    headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
    headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    headers.setdefault("Cache-Control", "no-store")
