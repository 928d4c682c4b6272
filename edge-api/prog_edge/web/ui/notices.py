"""One-time notices (toasts) that survive a redirect in a signed cookie."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final, Literal

COOKIE: Final = "prog_notices"
_MAX_COOKIE_BYTES: Final = 3000


@dataclass(frozen=True, slots=True)
class Notice:
    kind: Literal["success", "info", "error"]
    text: str


def seal_notices(key: bytes, notices: Sequence[Notice]) -> str:
    body = base64.urlsafe_b64encode(json.dumps([asdict(notice) for notice in notices]).encode())
    return f"{body.decode()}.{_signature(key, body)}"


def open_notices(key: bytes, cookie: str | None) -> list[Notice]:
    """The notices in a cookie; none when it is missing, forged or too long."""
    if not cookie or len(cookie) > _MAX_COOKIE_BYTES:
        return []
    body, _, signature = cookie.rpartition(".")
    if not hmac.compare_digest(signature.encode(), _signature(key, body.encode()).encode()):
        return []
    return [Notice(**item) for item in json.loads(base64.urlsafe_b64decode(body))]


def _signature(key: bytes, body: bytes) -> str:
    return hmac.new(key, b"notices:" + body, hashlib.sha256).hexdigest()
