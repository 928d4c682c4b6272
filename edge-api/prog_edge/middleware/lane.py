"""The lane of plain requests: from the gateway straight to a route of the short way, past what is between them.

What is between them looks at bodies, at HEAD and at errors, and finds the route among all of them; each layer costs
every request. Here are those without a body, whose route the index knows at once. Errors take the same way as those of
all others: they are raised again inside of the layers that turn them into answers.
"""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from prog_edge.middleware.crash import CrashMiddleware
from prog_edge.quick import ShortWay
from prog_edge.refusals import ErrorPage
from prog_edge.routing import RouteIndex

_FAILURE: Final = "prog.failure"


class Lane:
    """Closed until `open`: the gateway is made before there are routes."""

    def __init__(self) -> None:
        self._index = RouteIndex(())
        self._router: ASGIApp | None = None
        self._failed: ASGIApp = _raise_again

    def open(self, app: FastAPI, index: RouteIndex, page: ErrorPage) -> None:
        """Lets the routes of the application be reached that the index knows, with its handlers of errors."""
        self._index, self._router = index, app.router
        handlers: Any = app.exception_handlers
        self._failed = CrashMiddleware(ExceptionMiddleware(_raise_again, handlers), page)

    def find(self, scope: Scope) -> ShortWay | None:
        """The route of a request without a body, which the scope tells from now on; None where it has to go the other
        way."""
        found = self._index.find(scope)
        if found is None:
            return None
        short = found.route.app
        if type(short) is not ShortWay or short.takes_body:
            return None
        scope["router"], scope["route"], scope["endpoint"] = self._router, found.route, found.route.endpoint
        scope["path_params"] = found.path_params
        return short

    async def fail(self, error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers what a route has raised before its answer began."""
        scope[_FAILURE] = error
        await self._failed(scope, receive, send)


async def _raise_again(scope: Scope, receive: Receive, send: Send) -> None:
    error: Exception = scope[_FAILURE]
    raise error
