"""The lane of plain requests: from the gateway straight to a route of the short way, past what is between them.

What is between them looks at types of bodies, at HEAD and at errors, and finds the route among all of them; each layer
costs every request. Here are those whose route the index knows at once, and which have no body or one of JSON; that
passes the limits of bodies here, too. What turns out to be no JSON goes the other way. Errors take the same way as
those of all others: they are raised again inside of the layers that turn them into answers.
"""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from prog_edge.middleware.body_limit import BodyLimitMiddleware
from prog_edge.middleware.crash import CrashMiddleware
from prog_edge.middleware.head_fields import Head
from prog_edge.quick import ShortWay
from prog_edge.refusals import ErrorPage
from prog_edge.routing import RouteIndex
from prog_edge.versions.pinned import Pinned

_FAILURE: Final = "prog.failure"


class Lane:
    """Closed until `open`: the gateway is made before there are routes."""

    def __init__(self) -> None:
        self._index = RouteIndex(())
        self._router: ASGIApp | None = None
        self._failed: ASGIApp = _raise_again
        self._with_body: dict[ShortWay, ASGIApp] = {}
        self.other_way: ASGIApp | None = None
        """What is behind the gateway, which sets it."""

    def open(self, app: FastAPI, index: RouteIndex, page: ErrorPage) -> None:
        """Lets the routes of the application be reached that the index knows, with its handlers of errors."""
        self._index, self._router = index, app.router
        handlers: Any = app.exception_handlers
        self._failed = CrashMiddleware(ExceptionMiddleware(_raise_again, handlers), page)

    def find(self, scope: Scope, head: Head) -> ASGIApp | None:
        """The route of a request, which the scope tells from now on; None where the request has to go the other way."""
        if head.has_body and not head.is_json:
            return None
        found = self._index.find(scope)
        if found is None:
            return None
        app = found.route.app
        short = app.app if type(app) is Pinned else app
        if type(short) is not ShortWay or short.takes_body != head.has_body:
            return None
        scope["router"], scope["route"], scope["endpoint"] = self._router, found.route, found.route.endpoint
        scope["path_params"] = found.path_params
        return self._bounded(app, short) if head.has_body else app

    def _bounded(self, app: ASGIApp, short: ShortWay) -> ASGIApp:
        """The short way of a route with a body, within the limits of bodies; `app` may be what pins it."""
        bounded = self._with_body.get(short)
        if bounded is None:
            assert self.other_way is not None
            other_way = self.other_way

            async def serve(scope: Scope, receive: Receive, send: Send) -> None:
                await short.serve(scope, receive, send, other_way)

            async def serve_pinned(scope: Scope, receive: Receive, send: Send) -> None:
                assert isinstance(app, Pinned)
                await app.serve(scope, receive, send, serve)

            served = serve_pinned if isinstance(app, Pinned) else serve
            bounded = self._with_body[short] = BodyLimitMiddleware(served)
        return bounded

    async def fail(self, error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers what a route has raised before its answer began."""
        scope[_FAILURE] = error
        await self._failed(scope, receive, send)


async def _raise_again(scope: Scope, receive: Receive, send: Send) -> None:
    error: Exception = scope[_FAILURE]
    raise error
