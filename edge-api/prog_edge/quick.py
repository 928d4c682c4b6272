"""A short way for routes that take no more than texts of their path, the request, and who asks.

FastAPI works out at each request what a route takes, which for such a route takes longer than all of the gateway. Here
it is worked out once. What the route answers, and how errors are told, is the same:
`tests/component/edge/test_quick.py` compares both ways.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from fastapi.datastructures import DefaultPlaceholder
from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from prog_edge.access import Declaration, Needs, Public, SignedIn, Staff
from prog_edge.versions.pinned import Pinned


def shorten(routes: Iterable[BaseRoute]) -> None:
    """Gives the short way to each route that can have it."""
    for route in routes:
        if isinstance(route, APIRoute) and is_plain(route) and not isinstance(route.app, Pinned):
            route.app = ShortWay(route)


def is_plain(route: APIRoute) -> bool:
    """Whether the route asks for nothing that FastAPI would have to find, convert or check."""
    dependant = route.dependant
    return (
        len(dependant.dependencies) == 1
        and isinstance(dependant.dependencies[0].call, Public | SignedIn | Staff | Needs)
        and not (dependant.query_params or dependant.header_params or dependant.cookie_params or dependant.body_params)
        and all(field.field_info.annotation is str and not field.field_info.metadata for field in dependant.path_params)
        and dependant.background_tasks_param_name is None
        and dependant.response_param_name is None
        and dependant.security_scopes_param_name is None
        and isinstance(route.response_class, DefaultPlaceholder)
    )


class ShortWay:
    """The ASGI application of one route."""

    def __init__(self, route: APIRoute) -> None:
        self._route = route
        self._endpoint = route.endpoint
        self._declared: Declaration = route.dependant.dependencies[0].call  # type: ignore[assignment]  # `is_plain`
        self._access_name = str(route.dependant.dependencies[0].name)
        self._request_name = route.dependant.request_param_name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        values: dict[str, Any] = {self._access_name: await self._declared(request), **scope["path_params"]}
        if self._request_name is not None:
            values[self._request_name] = request
        answer = await self._endpoint(**values)
        if not isinstance(answer, Response):
            answer = Response(self._serialized(answer), self._route.status_code or 200, media_type="application/json")
        await answer(scope, receive, send)

    def _serialized(self, answer: Any) -> bytes:
        model = self._model
        return model.dump_json(model.validate_python(answer), by_alias=True)

    @cached_property
    def _model(self) -> TypeAdapter[Any]:
        return TypeAdapter(self._route.response_model)
