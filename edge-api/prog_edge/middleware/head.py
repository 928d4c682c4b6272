"""HEAD is answered as GET would be, without the body (RFC 9110, section 9.3.2). Routes know GET alone."""

from __future__ import annotations

from typing import Any, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadMiddleware:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        inner = cast("dict[str, Any]", {**scope, "method": "GET"})
        started = False

        async def receive_until_started() -> Message:
            """A stream would go on for ever: once its head is out, its client is told to be gone."""
            return {"type": "http.disconnect"} if started else await receive()

        async def send_head(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self.app(inner, receive_until_started, send_head)
        if "route" in inner:
            cast("dict[str, Any]", scope)["route"] = inner["route"]  # for the metrics
