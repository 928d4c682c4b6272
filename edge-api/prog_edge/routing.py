"""Finding the route of a request by the text in its path: comparing it with each route's pattern in turn, as FastAPI
does, takes a hundred routes longer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fastapi.routing import APIRoute
from starlette.convertors import StringConvertor
from starlette.datastructures import URLPath
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

_Place = tuple[str, int, str, str]
"""Method, number of segments, and the first two of them."""


@dataclass(frozen=True, slots=True)
class Found:
    """A route, and what its parameters are in a request's path."""

    route: APIRoute
    path_params: dict[str, str]


class RouteIndex(BaseRoute):
    """Stands before the routes that it knows, in their order. What it does not find, it leaves to them: they also say
    which methods an address takes.
    """

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        found: defaultdict[_Place, list[_Candidate]] = defaultdict(list)
        for route in routes:
            if isinstance(route, APIRoute) and _is_plain(route.path):
                for method in route.methods or ():
                    found[_place(method, route.path.split("/"))].append(_Candidate.of(route))
        self._routes = dict(found)

    def find(self, scope: Scope) -> Found | None:
        """The route of a request, where all of its parameters are text as it stands; else `matches` may find one."""
        segments = scope["path"].split("/")
        for candidate in self._candidates(scope, segments):
            if not candidate.is_text:
                return None
            params = {name: segments[number] for number, name in candidate.params}
            return Found(candidate.route, params) if all(params.values()) else None
        return None

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] == "http":
            for candidate in self._candidates(scope, scope["path"].split("/")):
                match, child_scope = candidate.route.matches(scope)
                if match is Match.FULL:
                    return match, child_scope
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await scope["route"].handle(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        raise NoMatchFound(name, path_params)  # the routes themselves know

    def _candidates(self, scope: Scope, segments: list[str]) -> Iterable[_Candidate]:
        if scope.get("root_path"):
            return
        for candidate in self._routes.get(_place(scope["method"], segments), ()):
            for number, text in candidate.texts:
                if segments[number] != text:
                    break
            else:
                yield candidate


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A route with the texts and the parameters in its path, by the numbers of their segments."""

    route: APIRoute
    texts: tuple[tuple[int, str], ...]
    params: tuple[tuple[int, str], ...]
    is_text: bool

    @classmethod
    def of(cls, route: APIRoute) -> _Candidate:
        texts, params = [], []
        whole = True
        for number, segment in enumerate(route.path.split("/")):
            if "{" not in segment:
                texts.append((number, segment))
            elif segment.startswith("{") and segment.endswith("}") and segment.count("{") == 1:
                params.append((number, segment[1:-1]))
            else:
                whole = False
        is_text = whole and all(type(each) is StringConvertor for each in route.param_convertors.values())
        return cls(route, tuple(texts), tuple(params), is_text and all(":" not in name for _, name in params))


def _is_plain(path: str) -> bool:
    """Whether the first two segments are text, and no parameter takes more than one segment."""
    return not any("{" in segment for segment in path.split("/")[1:3]) and ":path}" not in path


def _place(method: str, segments: list[str]) -> _Place:
    return (
        method,
        len(segments),
        segments[1] if len(segments) > 1 else "",
        segments[2] if len(segments) > 2 else "",
    )
