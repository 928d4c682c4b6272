"""One structured line a request, when it is over. Probes and static files are told at debug level."""

from __future__ import annotations

from time import perf_counter
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from prog_edge.context import context_of
from prog_kit.logging import get

_log = get("prog_edge.access")
_QUIET: Final = ("/healthz", "/readyz", "/metrics", "/static/")


class AccessLogMiddleware:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = perf_counter()
        status = 0
        size_bytes = 0

        async def watch(message: Message) -> None:
            nonlocal status, size_bytes
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                size_bytes += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receive, watch)
        finally:
            context = context_of(scope)
            write = _log.debug if scope["path"].startswith(_QUIET) else _log.info
            write(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                milliseconds=round((perf_counter() - started) * 1000, 2),
                bytes=size_bytes,
                client=context.client_address,
                actor=context.actor,
                tenant_id=context.tenant_id,
                code=context.code,
            )
