"""Refuses bodies over the limit: at once by their declared length, or as soon as more bytes have come; and bodies that
do not arrive in time, so that nobody holds connections by sending a byte now and then.
"""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from prog_edge.context import context_of
from prog_edge.problems import problem

MAX_BODY_BYTES: Final = 1024 * 1024
BODY_SECONDS: Final = 30.0
"""For the whole of a body, from when somebody first asks for it."""


Refusal = tuple[int, str, str]
"""Status, code and detail."""


class _Refused(Exception):
    pass


class BodyLimitMiddleware:
    def __init__(self, app: ASGIApp, limit_bytes: int = MAX_BODY_BYTES, limit_seconds: float = BODY_SECONDS) -> None:
        self.app = app
        self.limit_bytes = limit_bytes
        self.limit_seconds = limit_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not has_body(scope):
            await self.app(scope, receive, send)
            return
        too_large = (413, "content_too_large", f"The body may have {self.limit_bytes} bytes at most.")
        too_slow = (408, "request_timeout", f"The body did not arrive within {self.limit_seconds:g} seconds.")
        if _declared(scope) > self.limit_bytes:
            await _refuse(too_large, scope, receive, send)
            return
        received = 0
        complete = False
        deadline: float | None = None
        refusal: Refusal | None = None

        async def receive_limited() -> Message:
            nonlocal received, complete, deadline, refusal
            if complete:  # what comes now is that the client has gone, at any time
                return await receive()
            deadline = deadline or asyncio.get_running_loop().time() + self.limit_seconds
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                refusal = too_slow
                raise _Refused from None
            complete = not message.get("more_body", False)
            received += len(message.get("body", b""))
            if received > self.limit_bytes:
                refusal = too_large
                raise _Refused
            return message

        async def send_unless_refused(message: Message) -> None:
            if refusal is None:
                await send(message)

        try:
            await self.app(scope, receive_limited, send_unless_refused)
        except Exception:  # whoever asked for the body may have taken the refusal for an error of theirs
            if refusal is None:
                raise
        if refusal is not None:
            await _refuse(refusal, scope, receive, send)


async def _refuse(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    status, code, detail = refusal
    response = problem(context_of(scope), status, code, detail, headers={"Connection": "close"})
    await response(scope, receive, send)


def has_body(scope: Scope) -> bool:
    """Whether the request says that it has a body; without a length or a coding of transfer it has none (RFC 9112)."""
    return any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])


def _declared(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
