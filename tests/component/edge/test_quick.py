"""The short way of plain routes, and the index before all of them: they answer as FastAPI by itself would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from functools import partial
from typing import Annotated, Any

import httpx
import pytest
import pytest_asyncio
from fastapi import APIRouter, Body, Depends, FastAPI, Form, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Message, Receive, Scope, Send

from prog_contracts.errors import Denied
from prog_edge.access import Public, Visit
from prog_edge.api import ROUTERS
from prog_edge.api.contract import api_routes, declaration_of
from prog_edge.app import create_app, layers
from prog_edge.drain import Drain
from prog_edge.middleware import lane as lanes
from prog_edge.middleware.body_limit import MAX_BODY_BYTES, BodyLimitMiddleware
from prog_edge.middleware.head_fields import read_head
from prog_edge.middleware.lane import Lane
from prog_edge.quick import ShortWay, is_plain, shorten
from prog_edge.refusals import add_handlers
from prog_edge.routing import RouteIndex
from prog_kit.settings import Settings
from tests.component.edge.conftest import no_page


class Anybody(Public):
    async def __call__(self, request: Request) -> Visit:
        if request.headers.get("x-stranger"):
            raise Denied("Who are you?", code="unauthenticated")
        return Visit(None, request, None)  # type: ignore[arg-type]  # no platform is behind this application


class Thing(BaseModel):
    name: str
    count: int = Field(serialization_alias="number")


class NewPart(BaseModel):
    label: str = Field(max_length=9)
    due: date
    sizes: tuple[int, ...] = ()


Known = Annotated[Visit, Depends(Anybody())]


def routes() -> APIRouter:
    router = APIRouter(prefix="/v1/things")

    @router.get("/{name}")
    async def read(name: str, visit: Known) -> Thing:
        return Thing(name=name, count=3)

    @router.get("/{name}/perhaps")
    async def perhaps(name: str, visit: Known) -> Thing | None:
        return None if name == "none" else Thing(name=name, count=1)

    @router.post("/{name}/made", status_code=201)
    async def made(name: str, request: Request, visit: Known) -> Thing:
        return Thing(name=name, count=len(await request.body()))

    @router.post("/{name}/parts", status_code=201)
    async def parts(name: str, body: NewPart, request: Request, visit: Known) -> Thing:
        return Thing(name=f"{name} {body.label} {body.due:%d.%m.}", count=len(await request.body()))

    @router.put("/{name}/parts")
    async def maybe(name: str, visit: Known, body: NewPart | None = None) -> Thing:
        return Thing(name=name, count=0 if body is None else 1)

    @router.delete("/{name}", response_model=Thing)
    async def gone(name: str, visit: Known) -> Response:
        return Response(status_code=204)

    @router.get("/{name}/broken")
    async def broken(name: str, visit: Known) -> Thing:
        raise RuntimeError("a secret")

    return router


def application(settings: Settings, drain: Drain, lane: Lane) -> FastAPI:
    app = FastAPI(middleware=layers(settings, drain, lane), openapi_url=None, redirect_slashes=False)
    add_handlers(app, no_page)
    app.router.routes.extend(routes().routes)
    return app


def by_lane(settings: Settings, drain: Drain, lane: Lane | None = None) -> FastAPI:
    lane = lane or Lane()
    app = application(settings, drain, lane)
    lane.open(app, shortened(app), no_page)
    return app


def shortened(app: FastAPI) -> RouteIndex:
    shorten(app.router.routes)
    index = RouteIndex(app.router.routes)
    app.router.routes.insert(0, index)
    return index


@pytest_asyncio.fixture(params=["by lane", "ours", "FastAPI's"])
async def http(request: pytest.FixtureRequest, settings: Settings, drain: Drain) -> AsyncIterator[httpx.AsyncClient]:
    if request.param == "by lane":
        app = by_lane(settings, drain)
    else:
        app = application(settings, drain, Lane())
        if request.param == "ours":
            shortened(app)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="https://prog.example") as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/v1/things/a%20cup", 200, {"name": "a cup", "number": 3}),
        ("GET", "/v1/things/none/perhaps", 200, None),
        ("GET", "/v1/things/some/perhaps", 200, {"name": "some", "number": 1}),
        ("POST", "/v1/things/cup/made", 201, {"name": "cup", "number": 2}),
        ("DELETE", "/v1/things/cup", 204, ...),
        ("PUT", "/v1/things/cup", 405, ...),
        ("GET", "/v1/things/cup/nowhere", 404, ...),
        ("GET", "/v1/things/cup/broken", 500, ...),
    ],
)
async def test_both_ways_answer_alike(http: httpx.AsyncClient, method: str, path: str, status: int, body: Any) -> None:
    answer = await http.request(method, path, json={} if method == "POST" else None)
    assert answer.status_code == status
    if body is not ...:
        assert answer.headers["content-type"] == "application/json"
        assert answer.json() == body


async def test_both_ways_ask_who_it_is(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/things/cup", headers={"X-Stranger": "1"})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


PART = b'{"label": "ear", "due": "2027-01-31", "sizes": [1, 2]}'


@pytest.mark.parametrize(
    ("body", "status", "code", "fields"),
    [
        (PART, 201, None, []),
        (b"\xef\xbb\xbf" + PART, 201, None, []),
        (b"", 422, "invalid", ["body"]),
        (b"null", 422, "invalid", ["body"]),
        (b"[]", 422, "invalid", ["body"]),
        (b'"text"', 422, "invalid", ["body"]),
        (b"{}", 422, "invalid", ["label", "due"]),
        (
            b'{"label": "much too long", "due": "never", "sizes": ["a"]}',
            422,
            "invalid",
            ["label", "due", "sizes.0"],
        ),
        (b'{"label": "ear", ', 400, "malformed_json", []),
        (b'{"label": "\xff"}', 400, "malformed_json", []),
        (b"[" * 100_000, 400, "malformed_json", []),
        (PART + b" \n", 201, None, []),
        (PART + b"{}", 400, "malformed_json", []),
        (PART.replace(b"{", b'{"label": "an", ', 1), 201, None, []),
        (b'{"label": NaN, "due": "2027-01-31"}', 422, "invalid", ["label"]),
        (b'{"label": "\\ud800", "due": "2027-01-31"}', 422, "invalid", ["label"]),
        (b'{"label": "ear", "due": "2027-01-31", "sizes": [' + b"9" * 5000 + b"]}", 400, "malformed_json", []),
        (b'{"label": "ear", "due": "2027-01-31", "sizes": [1.5, true]}', 422, "invalid", ["sizes.0"]),
        (PART.decode().encode("utf-16"), 201, None, []),
        (b"\x1f\x8b\x08\x00", 400, "malformed_json", []),
    ],
)
@pytest.mark.parametrize("stranger", [False, True])
async def test_both_ways_read_a_document_alike(
    http: httpx.AsyncClient, body: bytes, status: int, code: str | None, fields: list[str], stranger: bool
) -> None:
    headers = {"Content-Type": "application/json"} | ({"X-Stranger": "1"} if stranger else {})
    answer = await http.post("/v1/things/cup/parts", content=body, headers=headers)
    told = answer.json()
    if stranger and code != "malformed_json":
        assert (answer.status_code, told["code"]) == (401, "unauthenticated")
    elif code is None:
        assert (answer.status_code, told) == (status, {"name": "cup ear 31.01.", "number": len(body)})
    else:
        assert (answer.status_code, told["code"]) == (status, code)
        assert [error["field"] for error in told.get("errors", [])] == fields


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"label": "\xff"}', "The body is not JSON: it is not valid UTF-8."),
        (b'{"sizes": [' + b"9" * 5000 + b"]}", "The body is not JSON: a number in it has too many digits."),
    ],
)
async def test_both_ways_say_what_is_wrong_with_a_body(http: httpx.AsyncClient, body: bytes, detail: str) -> None:
    answer = await http.post("/v1/things/cup/parts", content=body, headers={"Content-Type": "application/json"})
    assert answer.json()["detail"] == detail


@pytest.mark.parametrize(
    ("media_type", "status"),
    [
        ("application/json; charset=latin-1", 201),
        ("APPLICATION/JSON ; x=y", 201),
        ("application/problem+json", 415),
        ("text/plain", 415),
        ("multipart/form-data", 415),
        ("", 415),
    ],
)
async def test_both_ways_take_the_same_media_types(http: httpx.AsyncClient, media_type: str, status: int) -> None:
    answer = await http.post("/v1/things/cup/parts", content=PART, headers={"Content-Type": media_type})
    assert answer.status_code == status, answer.text


async def test_both_ways_refuse_what_is_too_large_also_while_it_streams(http: httpx.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 65536

    for content in (b"x" * (MAX_BODY_BYTES + 1), pieces()):
        answer = await http.post("/v1/things/cup/parts", content=content, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (413, "content_too_large")
        assert answer.headers["connection"] == "close"


async def test_both_ways_take_a_document_of_unknown_length(http: httpx.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield PART[:9]
        yield PART[9:]

    answer = await http.post("/v1/things/cup/parts", content=pieces(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()) == (201, {"name": "cup ear 31.01.", "number": len(PART)})


async def test_the_lane_gives_up_a_document_that_dribbles_in(
    settings: Settings, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "BodyLimitMiddleware", partial(BodyLimitMiddleware, limit_seconds=0.1))
    pieces = iter([{"type": "http.request", "body": PART[:9], "more_body": True}])
    told: list[Message] = []

    async def receive() -> Message:
        piece = next(pieces, None)
        return piece if piece is not None else await asyncio.get_running_loop().create_future()

    async def send(message: Message) -> None:
        told.append(message)

    path = "/v1/things/cup/parts"
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(PART))]
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
    async with asyncio.timeout(30):
        await by_lane(settings, drain)({**scope, "headers": headers, "client": ("127.0.0.1", 1)}, receive, send)
    assert told[0]["status"] == 408
    assert b'"code":"request_timeout"' in told[1]["body"]


@pytest.mark.parametrize(
    ("method", "path", "headers", "whether"),
    [
        ("GET", "/v1/things/cup", [], True),
        ("GET", "/v1/things/cup", [(b"content-length", b"0")], False),
        ("HEAD", "/v1/things/cup", [], False),
        ("POST", "/v1/things/cup/parts", [(b"content-type", b"application/json"), (b"content-length", b"9")], True),
        ("POST", "/v1/things/cup/parts", [(b"content-type", b"text/plain"), (b"content-length", b"9")], False),
        ("POST", "/v1/things/cup/parts", [(b"content-type", b"application/json")], False),
        (
            "POST",
            "/v1/things/cup/parts",
            [(b"content-type", b"application/json")] * 2 + [(b"content-length", b"9")],
            False,
        ),
        ("POST", "/v1/things/cup/made", [(b"content-type", b"application/json"), (b"content-length", b"9")], False),
    ],
)
def test_who_goes_by_lane(
    settings: Settings, drain: Drain, method: str, path: str, headers: list[tuple[bytes, bytes]], whether: bool
) -> None:
    found = Lane()
    by_lane(settings, drain, found)
    found.other_way = nowhere
    scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": headers}
    assert (found.find(scope, read_head(headers)) is not None) == whether


async def nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    """The other way, which nobody goes here."""


@pytest.mark.parametrize(("body", "count"), [(b"", 0), (b"null", 0), (PART, 1)])
async def test_both_ways_take_a_document_that_may_be_missing(http: httpx.AsyncClient, body: bytes, count: int) -> None:
    answer = await http.put("/v1/things/cup/parts", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()) == (200, {"name": "cup", "number": count})


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("/v1/things/{name}", Annotated[str, Path(max_length=9)]),
        ("/v1/things/{name}", int),
        ("/v1/things", Annotated[str, Query()]),
        ("/v1/things", Annotated[Thing, Body(embed=True)]),
        ("/v1/things", Annotated[str, Form()]),
    ],
)
def test_a_route_with_more_to_find_or_check_stays_with_fastapi(path: str, parameter: Any) -> None:
    router = APIRouter()

    async def endpoint(name, visit):  # type: ignore[no-untyped-def]
        return None

    endpoint.__annotations__ = {"name": parameter, "visit": Known}
    router.post(path)(endpoint)
    assert [is_plain(route) for route in api_routes([router])] == [False]


def test_all_of_these_have_the_short_way() -> None:
    assert all(is_plain(route) for route in api_routes([routes()]))


def test_no_route_goes_unasked(settings: Settings) -> None:
    """Whatever takes the short way has declared what it needs."""
    create_app(settings)
    short = [route for route in api_routes(ROUTERS) if isinstance(route.app, ShortWay)]
    assert len(short) >= 75
    assert all(declaration_of(route) is route.dependant.dependencies[0].call for route in short)


def test_the_index_finds_what_looking_through_all_routes_finds(settings: Settings) -> None:
    """What it does not find is no route of the API: a page may have the address of one with another method."""
    app = create_app(settings)
    of_api = list(api_routes(ROUTERS))
    index, *others = app.router.routes
    assert isinstance(index, RouteIndex)
    found_at_once = 0
    for known in of_api:
        path = known.path.replace("{", "").replace("}", "")
        for method in ("GET", "POST", "PATCH", "PUT", "DELETE"):
            scope: dict[str, Any] = {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}
            full = next((route for route in others if route.matches(dict(scope))[0] is Match.FULL), None)
            match, child = index.matches(dict(scope))
            found = index.find(scope)
            if match is Match.FULL:
                assert child["route"] is full, f"{method} {path}"
                if found is not None:
                    assert (found.route, found.path_params) == (full, child["path_params"]), f"{method} {path}"
                    found_at_once += 1
            else:
                assert found is None
                assert not any(full is route for route in of_api), f"{method} {path}"
    assert found_at_once >= 100


@pytest.mark.parametrize("path", ["/v1/things//perhaps", "/v1/things/", "/v1/things/cup/perhaps\n", "/v1/things/a/b/c"])
def test_the_index_finds_at_once_no_path_that_the_pattern_of_a_route_refuses(path: str) -> None:
    index = RouteIndex(routes().routes)
    assert index.find({"type": "http", "method": "GET", "path": path, "root_path": "", "headers": []}) is None


@pytest.mark.parametrize("headers", [{"Content-Length": "0"}, {"Transfer-Encoding": "chunked"}])
async def test_what_may_have_a_body_answers_alike(http: httpx.AsyncClient, headers: dict[str, str]) -> None:
    assert (await http.get("/v1/things/cup", headers=headers)).json() == {"name": "cup", "number": 3}


async def test_head_is_answered_without_a_body(http: httpx.AsyncClient) -> None:
    answer = await http.head("/v1/things/cup")
    assert (answer.status_code, answer.content) == (200, b"")
