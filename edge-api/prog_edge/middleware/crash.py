"""Turns an unexpected exception into a problem without internals, and logs it with its traceback."""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from prog_contracts.errors import Unavailable
from prog_edge.context import context_of
from prog_edge.problems import problem
from prog_edge.refusals import ErrorPage
from prog_kit.logging import get

_log = get("prog_edge.crash")
_DETAIL = "The request failed for a reason that we did not expect. It is logged under the trace id."


class CrashMiddleware:
    def __init__(self, app: ASGIApp, page: ErrorPage) -> None:
        self.app = app
        self.page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except Exception as error:  # the last resort of every request
            _log.error("request failed", path=scope["path"], exc_info=error)
            if started:
                raise
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = None
        try:
            response = await self.page(Request(scope, receive), Unavailable(_DETAIL), 500)
        except Exception as error:  # the page that says sorry may fail for the same reason  # noqa: BLE001
            _log.error("error page failed", exc_info=error)
        response = response or problem(context_of(scope), 500, "internal", _DETAIL)
        await response(scope, receive, send)
