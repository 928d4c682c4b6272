"""Sends the renewed session cookie along when a browser's tokens were refreshed during an API call."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from prog_edge.context import context_of


class SessionCookieMiddleware:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                cookie = context_of(scope).session_cookie
                if cookie is not None:
                    message["headers"] = [*message.get("headers", ()), (b"set-cookie", cookie.encode())]
            await send(message)

        await self.app(scope, receive, send_with_cookie)
