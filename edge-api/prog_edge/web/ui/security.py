"""The security headers of every page. Exceptions to the strict policy are made here alone, each for one address."""

from __future__ import annotations

import secrets
from typing import Final

from starlette.datastructures import MutableHeaders


def new_nonce() -> str:
    return secrets.token_urlsafe(16)


def page_policy(nonce: str) -> str:
    """Scripts only with this response's nonce (modules pass it on to what they import), nothing inline, no framing."""
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
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        )
    )


MAIL_POLICY: Final = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data: https:; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)
"""For `/dev/mailbox/{id}/html` alone: mails style themselves inline, and may do nothing else."""


def secure_page(headers: MutableHeaders, nonce: str, *, secure_transport: bool) -> None:
    """Sets what a response has not set itself."""
    headers.setdefault("Content-Security-Policy", page_policy(nonce))
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Referrer-Policy", "strict-origin-when-cross-origin")
    headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
    headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    headers.setdefault("Cache-Control", "no-store")
    if secure_transport:
        headers.setdefault("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
