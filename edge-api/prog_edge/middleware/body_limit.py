"""Refuses bodies over the limit: at once by their declared length, or as soon as more bytes have come."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from prog_edge.context import context_of
from prog_edge.problems import problem

MAX_BODY_BYTES: Final = 1024 * 1024


class _TooLarge(Exception):
    pass


class BodyLimitMiddleware:
    def __init__(self, app: ASGIApp, limit_bytes: int = MAX_BODY_BYTES) -> None:
        self.app = app
        self.limit_bytes = limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if _declared(scope) > self.limit_bytes:
            await self._refuse(scope, receive, send)
            return
        received = 0
        refused = False

        async def receive_limited() -> Message:
            nonlocal received, refused
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.limit_bytes:
                refused = True
                raise _TooLarge
            return message

        async def send_unless_refused(message: Message) -> None:
            if not refused:
                await send(message)

        with suppress(_TooLarge):
            await self.app(scope, receive_limited, send_unless_refused)
        if refused:
            await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        detail = f"The body may have {self.limit_bytes} bytes at most."
        headers = {"Connection": "close"}
        response = problem(context_of(scope), 413, "content_too_large", detail, headers=headers)
        await response(scope, receive, send)


def _declared(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
