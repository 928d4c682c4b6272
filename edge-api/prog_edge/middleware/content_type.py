"""The API takes JSON. A body of another type is refused before anybody reads it."""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from prog_contracts import cloudevents
from prog_edge.context import context_of
from prog_edge.problems import problem

_ALSO_TAKEN: Final = {"/v1/events": (cloudevents.MEDIA_TYPE, cloudevents.BATCH_MEDIA_TYPE)}
"""Other forms of JSON, where there are such."""


class ContentTypeMiddleware:
    def __init__(self, app: ASGIApp, prefix: str = "/v1/") -> None:
        self.app = app
        self.prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD") or not scope["path"].startswith(self.prefix):
            await self.app(scope, receive, send)
            return
        media_type, has_body = _read(scope)
        if has_body and media_type != "application/json" and media_type not in _ALSO_TAKEN.get(scope["path"], ()):
            detail = f"This API takes application/json, not {media_type or 'a body without a type'}."
            response = problem(
                context_of(scope), 415, "unsupported_media_type", detail, headers={"Accept": "application/json"}
            )
            await response(scope, receive, send)
            return
        await self.app(scope, receive, send)


def _read(scope: Scope) -> tuple[str, bool]:
    media_type = ""
    has_body = False
    for name, value in scope["headers"]:
        if name == b"content-type":
            media_type = value.decode("latin-1").partition(";")[0].strip().lower()
        elif name == b"content-length":
            has_body = has_body or value not in (b"", b"0")
        elif name == b"transfer-encoding":
            has_body = True
    return media_type, has_body
