"""A short way for routes that take no more than texts of their path, one document, the request, and who asks.

FastAPI works out at each request what a route takes, which for such a route takes longer than all of the gateway. Here
it is worked out once. What the route answers, and how errors are told, is the same:
`tests/component/edge/test_quick.py` compares both ways.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cached_property
from typing import Any, Final

from fastapi.datastructures import DefaultPlaceholder
from fastapi.exceptions import RequestValidationError
from fastapi.params import Form
from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from prog_edge.access import Declaration, Needs, Public, SignedIn, Staff
from prog_edge.versions.pinned import Once, Pinned

_JSON: Final = (b"content-type", b"application/json")


def shorten(routes: Iterable[BaseRoute]) -> None:
    """Gives the short way to each route that can have it."""
    for route in routes:
        if isinstance(route, APIRoute) and is_plain(route) and not isinstance(route.app, Pinned):
            route.app = ShortWay(route, route.app)


def is_plain(route: APIRoute) -> bool:
    """Whether the route asks for nothing that FastAPI would have to find, convert or check."""
    dependant = route.dependant
    return (
        len(dependant.dependencies) == 1
        and isinstance(dependant.dependencies[0].call, Public | SignedIn | Staff | Needs)
        and not (dependant.query_params or dependant.header_params or dependant.cookie_params)
        and (not dependant.body_params or _is_one_document(dependant.body_params))
        and all(field.field_info.annotation is str and not field.field_info.metadata for field in dependant.path_params)
        and dependant.background_tasks_param_name is None
        and dependant.response_param_name is None
        and dependant.security_scopes_param_name is None
        and isinstance(route.response_class, DefaultPlaceholder)
    )


def _is_one_document(fields: list[Any]) -> bool:
    """Whether the body is one document of JSON, and not the fields of a form or of an object around it."""
    info = fields[0].field_info
    return len(fields) == 1 and not isinstance(info, Form) and not info.embed


class ShortWay:
    """The ASGI application of one route. `long_way` is FastAPI's own."""

    def __init__(self, route: APIRoute, long_way: ASGIApp) -> None:
        self._route = route
        self._long_way = long_way
        self._endpoint = route.endpoint
        self._declared: Declaration = route.dependant.dependencies[0].call  # type: ignore[assignment]  # `is_plain`
        self._access_name = str(route.dependant.dependencies[0].name)
        self._request_name = route.dependant.request_param_name
        self._body = route.dependant.body_params[0] if route.dependant.body_params else None
        self.takes_body = self._body is not None
        self._status = route.status_code or 200

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.serve(scope, receive, send, self._long_way)

    async def serve(self, scope: Scope, receive: Receive, send: Send, long_way: ASGIApp) -> None:
        """Answers. `long_way` is for a body that is none, or none of JSON; it is given the body once more."""
        request = Request(scope, receive, send)
        values: dict[str, Any] = {**scope["path_params"]}
        if self._body is None:
            values[self._access_name] = await self._declared(request)
        else:
            raw = await _read(request)
            try:
                document = json.loads(raw) if _is_json(request) else None
            except (ValueError, RecursionError):
                document = None
            if document is None:
                await long_way(scope, Once(raw, receive), send)
                return
            values[self._access_name] = await self._declared(request)
            values[self._body.name], errors = self._body.validate(document, {}, loc=("body",))
            if errors:
                raise RequestValidationError(errors, body=document)
        if self._request_name is not None:
            values[self._request_name] = request
        answer = await self._endpoint(**values)
        if isinstance(answer, Response):
            await answer(scope, receive, send)
            return
        body = self._serialized(answer)
        headers = [(b"content-length", b"%d" % len(body)), _JSON]
        await send({"type": "http.response.start", "status": self._status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _serialized(self, answer: Any) -> bytes:
        model = self._model
        return model.dump_json(model.validate_python(answer), by_alias=True)

    @cached_property
    def _model(self) -> TypeAdapter[Any]:
        return TypeAdapter(self._route.response_model)


async def _read(request: Request) -> bytes:
    try:
        return await request.body()
    except HTTPException:
        raise
    except Exception as error:  # FastAPI takes whatever goes wrong here for the client's mistake, too
        raise HTTPException(400, "There was an error parsing the body") from error


def _is_json(request: Request) -> bool:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type == "application/json"
