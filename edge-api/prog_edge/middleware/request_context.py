"""Gives every request its ids: a request id and a W3C trace context, taken from the client or made, and sent back."""

from __future__ import annotations

import re
import secrets
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from prog_edge.context import RequestContext, put_context, serving
from prog_kit.telemetry import child_traceparent

MAX_USER_AGENT_LENGTH: Final = 300
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_USABLE: Final = re.compile(rb"^[A-Za-z0-9._:\-]{8,128}$")


class RequestContextMiddleware:
    def __init__(self, app: ASGIApp, public_url: str) -> None:
        self.app = app
        self.public_url = public_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id, traceparent, user_agent = _read(scope)
        context = RequestContext(request_id, child_traceparent(traceparent), self.public_url, user_agent=user_agent)
        put_context(scope, context)
        sent = [(b"x-request-id", request_id.encode()), (b"traceparent", context.traceparent.encode())]

        async def send_with_ids(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *sent]
            await send(message)

        tokens = structlog.contextvars.bind_contextvars(request_id=request_id, trace_id=context.trace_id)
        try:
            with serving(context):
                await self.app(scope, receive, send_with_ids)
        finally:
            structlog.contextvars.reset_contextvars(**tokens)


def _read(scope: Scope) -> tuple[str, str | None, str | None]:
    request_id = traceparent = user_agent = None
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _USABLE.match(value):
            request_id = value.decode()
        elif name == b"traceparent":
            traceparent = value.decode("latin-1")
        elif name == b"user-agent":
            user_agent = _UNPRINTABLE.sub("", value.decode("latin-1"))[:MAX_USER_AGENT_LENGTH] or None
    return request_id or f"req_{secrets.token_hex(12)}", traceparent, user_agent
