"""The fields of a request's head that the gateway itself looks at, read in one pass."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

MAX_USER_AGENT_LENGTH: Final = 300
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_USABLE: Final = re.compile(rb"^[A-Za-z0-9._:\-]{8,128}$")


@dataclass(slots=True)
class Head:
    """`request_id` is the client's own where it sent a usable one; `forwarded` the hops of X-Forwarded-For, `version`
    what Prog-Version names, `origin` the site of the page that asks, `hosts` every Host header. `has_body` is whether
    the request says that it has one, `is_json` whether that is plain JSON by its only type."""

    request_id: str = ""
    traceparent: str | None = None
    user_agent: str | None = None
    forwarded: list[str] | None = None
    version: str | None = None
    origin: str | None = None
    hosts: list[bytes] = field(default_factory=list)
    has_body: bool = False
    content_type: bytes | None = None

    @property
    def is_json(self) -> bool:
        return self.content_type == b"application/json"


def read_head(fields: Iterable[tuple[bytes, bytes]]) -> Head:
    head = Head()
    for name, value in fields:
        if name == b"user-agent":
            head.user_agent = _UNPRINTABLE.sub("", value.decode("latin-1"))[:MAX_USER_AGENT_LENGTH] or None
        elif name == b"traceparent":
            head.traceparent = value.decode("latin-1")
        elif name == b"x-request-id" and _USABLE.match(value):
            head.request_id = value.decode()
        elif name == b"x-forwarded-for":
            head.forwarded = (head.forwarded or []) + _hops(value)
        elif name == b"host":
            head.hosts.append(value)
        elif name == b"prog-version":
            head.version = value.decode("latin-1")
        elif name == b"origin":
            head.origin = value.decode("latin-1")
        elif name in (b"content-length", b"transfer-encoding"):
            head.has_body = True
        elif name == b"content-type":
            head.content_type = value if head.content_type is None else b""
    if not head.request_id:
        head.request_id = f"req_{random.getrandbits(96):024x}"
    return head


def _hops(value: bytes) -> list[str]:
    return [hop for part in value.decode("latin-1").split(",") if (hop := part.strip())]
