"""Versions of the API, in both directions, and the headers that tell of them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import SimpleNamespace
from typing import Annotated, Any

import httpx
import pytest
import pytest_asyncio
from fastapi import APIRouter, Depends, FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response
from starlette.routing import BaseRoute

from prog_contracts.errors import Conflict, Invalid
from prog_edge.access import Public, Visit
from prog_edge.api import ROUTERS
from prog_edge.api.contract import api_routes
from prog_edge.app import create_app, layers
from prog_edge.drain import Drain
from prog_edge.middleware.lane import Lane
from prog_edge.quick import shorten
from prog_edge.refusals import add_handlers
from prog_edge.routing import RouteIndex
from prog_edge.versions.changes import Renamed
from prog_edge.versions.pinned import Pinned, pin
from prog_edge.versions.table import NEWEST, VERSIONS, changed_operations, version_at
from prog_kit.settings import Settings
from tests.component.edge.conftest import no_page

OLDEST = VERSIONS[0]
KEY = "prog_test_key"


class Lead(BaseModel):
    model_config = ConfigDict(extra="forbid")

    email: str
    note: str | None = Field(None, max_length=5)


LISTED = [{"id": "tenant_1", "member_count": 3, "name": "Acme"}, {"id": "tenant_2", "member_count": 1, "name": "Bolt"}]


class Anybody(Public):
    async def __call__(self, request: Request) -> Visit:
        return Visit(None, request, None)  # type: ignore[arg-type]  # none of the routes asks the platform


Known = Annotated[Visit, Depends(Anybody())]


def routes() -> list[BaseRoute]:
    router = APIRouter()

    @router.get("/v1/tenants")
    async def list_tenants(visit: Known) -> dict[str, Any]:
        return {"data": LISTED, "next_cursor": None}

    @router.get("/v1/tenants/{tenant_id}")
    async def get_tenant(tenant_id: str, visit: Known) -> Any:
        if tenant_id == "csv":
            return Response("member_count\n3\n", media_type="text/csv")
        return LISTED[0]

    @router.delete("/v1/tenants/{tenant_id}")
    async def delete_tenant(tenant_id: str, visit: Known) -> Response:
        if tenant_id == "none":
            return Response(status_code=204)
        raise Conflict("Not now.")

    @router.post("/v1/leads")
    async def capture_lead(lead: Lead, visit: Known) -> Lead:
        if lead.note == "never":
            raise Invalid.field("note", "impolite", "Ask again.")
        return lead

    return router.routes


@pytest_asyncio.fixture(params=["by lane", "short", "FastAPI's"])
async def http(request: pytest.FixtureRequest, settings: Settings, drain: Drain) -> AsyncIterator[httpx.AsyncClient]:
    lane = Lane()
    app = FastAPI(middleware=layers(settings, drain, lane), openapi_url=None, redirect_slashes=False)
    add_handlers(app, no_page)
    app.router.routes.extend(routes())
    if request.param != "FastAPI's":
        shorten(app.router.routes)
    pin(app.router.routes)
    if request.param == "by lane":
        lane.open(app, RouteIndex(app.router.routes), no_page)

    async def find(text: str) -> Any:
        made_at = datetime(2026, 10, 1, tzinfo=UTC)
        row = SimpleNamespace(first_made_at=made_at, created_at=None, tenant_id="tenant_x")
        return (None, row) if text == KEY else None

    app.state.platform = SimpleNamespace(keyring=SimpleNamespace(find=find))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://prog.example") as client:
        yield client


def pinned(name: str) -> dict[str, str]:
    return {"Prog-Version": name}


async def test_an_answer_looks_as_it_did_in_the_version_that_is_pinned(http: httpx.AsyncClient) -> None:
    newest = await http.get("/v1/tenants/tenant_1")
    oldest = await http.get("/v1/tenants/tenant_1", headers=pinned(OLDEST.name))
    assert newest.json() == LISTED[0]
    assert list(oldest.json().items()) == [("id", "tenant_1"), ("members", 3), ("name", "Acme")]
    assert int(oldest.headers["content-length"]) == len(oldest.content)
    same = await http.get("/v1/tenants/tenant_1", headers=pinned(NEWEST.name))
    assert same.json() == newest.json()


async def test_so_do_the_items_of_a_list(http: httpx.AsyncClient) -> None:
    listed = (await http.get("/v1/tenants", headers=pinned(OLDEST.name))).json()
    assert [item["members"] for item in listed["data"]] == [3, 1]
    assert not any("member_count" in item for item in listed["data"])


async def test_a_request_is_understood_as_it_was_then(http: httpx.AsyncClient) -> None:
    older = {"email": "ada@example.com", "message": "Hello"}
    answer = await http.post("/v1/leads", json=older, headers=pinned(OLDEST.name))
    assert answer.json() == {"email": "ada@example.com", "note": "Hello"}
    assert (await http.post("/v1/leads", json=older)).status_code == 422


@pytest.mark.parametrize("told", ["much too long", "never"], ids=["by the model", "by the route"])
async def test_what_is_wrong_is_told_in_the_words_of_the_request(http: httpx.AsyncClient, told: str) -> None:
    older = await http.post(
        "/v1/leads", json={"email": "ada@example.com", "message": told}, headers=pinned(OLDEST.name)
    )
    newer = await http.post("/v1/leads", json={"email": "ada@example.com", "note": told})
    for answer, field in ((older, "message"), (newer, "note")):
        assert answer.status_code == 422
        assert [error["field"] for error in answer.json()["errors"]] == [field]
        if told == "much too long":  # the route's own words name no field
            assert answer.json()["detail"].startswith(f"{field}: ")


async def test_a_newer_field_is_unknown_in_an_older_version(http: httpx.AsyncClient) -> None:
    body = {"email": "ada@example.com", "note": "Hello"}
    answer = await http.post("/v1/leads", json=body, headers=pinned(OLDEST.name))
    assert answer.status_code == 422
    assert [(e["field"], e["code"]) for e in answer.json()["errors"]] == [("note", "unknown_field")]


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[1]", b'"text"', b"\xff"])
async def test_a_body_that_is_none_is_refused_as_in_the_newest(http: httpx.AsyncClient, content: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    older = await http.post("/v1/leads", content=content, headers={**headers, **pinned(OLDEST.name)})
    newer = await http.post("/v1/leads", content=content, headers=headers)
    assert older.status_code == newer.status_code
    assert older.json()["code"] == newer.json()["code"]


async def test_answers_that_are_no_such_object_pass_as_they_are(http: httpx.AsyncClient) -> None:
    headers = pinned(OLDEST.name)
    assert (await http.get("/v1/tenants/csv", headers=headers)).text == "member_count\n3\n"
    assert (await http.delete("/v1/tenants/none", headers=headers)).status_code == 204
    refused = await http.delete("/v1/tenants/some", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")


async def test_a_deprecated_version_tells_since_when_and_until_when(http: httpx.AsyncClient) -> None:
    assert OLDEST.deprecated_on is not None
    assert OLDEST.sunset_on is not None
    headers = (await http.get("/v1/tenants/tenant_1", headers=pinned(OLDEST.name))).headers
    assert headers["prog-version"] == OLDEST.name
    since = datetime.fromtimestamp(int(headers["deprecation"].removeprefix("@")), UTC)
    assert since.date() == OLDEST.deprecated_on
    assert parsedate_to_datetime(headers["sunset"]).date() == OLDEST.sunset_on
    assert headers["link"] == '<https://prog.example/docs/versions>; rel="deprecation"; type="text/html"'
    newest = (await http.get("/v1/tenants/tenant_1")).headers
    assert newest["prog-version"] == NEWEST.name
    assert not {"deprecation", "sunset", "link"} & set(newest)


@pytest.mark.parametrize("name", ["", "2026-9-1", "2020-01-01", "newest", "2026-09-01,2026-11-26", "9999-99-99"])
async def test_a_version_that_there_is_not_is_refused(http: httpx.AsyncClient, name: str) -> None:
    answer = await http.get("/v1/tenants/tenant_1", headers=pinned(name))
    assert (answer.status_code, answer.json()["code"]) == (400, "version_unknown")


async def test_an_api_key_has_the_version_that_was_newest_when_it_was_made(http: httpx.AsyncClient) -> None:
    credential = {"Authorization": f"Bearer {KEY}"}
    answer = await http.get("/v1/tenants/tenant_1", headers=credential)
    assert "members" in answer.json()
    assert answer.headers["prog-version"] == OLDEST.name
    chosen = await http.get("/v1/tenants/tenant_1", headers={**credential, **pinned(NEWEST.name)})
    assert "member_count" in chosen.json()
    stranger = await http.get("/v1/tenants/tenant_1", headers={"Authorization": "Bearer prog_test_other"})
    assert "member_count" in stranger.json()


@pytest.mark.parametrize(
    ("moment", "version"),
    [
        (datetime(2025, 1, 1, tzinfo=UTC), OLDEST),
        (datetime(2026, 11, 25, 23, 59, tzinfo=UTC), OLDEST),
        (datetime(2026, 11, 26, tzinfo=UTC), NEWEST),
        (datetime(2030, 1, 1, tzinfo=UTC), NEWEST),
    ],
)
def test_a_day_has_a_version(moment: datetime, version: object) -> None:
    assert version_at(moment) is version


def test_the_table_is_in_order_and_names_operations_that_there_are(settings: Settings) -> None:
    assert [version.day for version in VERSIONS] == sorted({version.day for version in VERSIONS})
    assert all(version.deprecated_on and version.sunset_on for version in VERSIONS[:-1])
    assert (NEWEST.deprecated_on, NEWEST.sunset_on) == (None, None)
    assert not OLDEST.changes
    known = {(method, route.path_format) for route in api_routes(ROUTERS) for method in route.methods or ()}
    assert changed_operations() <= known
    create_app(settings)
    wrapped = {
        (method, route.path_format)
        for route in api_routes(ROUTERS)
        if isinstance(route.app, Pinned)
        for method in route.methods or ()
    }
    assert wrapped == changed_operations()


def test_every_renamed_field_is_one_of_the_contract(settings: Settings) -> None:
    document = create_app(settings).openapi()
    text = json.dumps(document["components"]["schemas"])
    for version in VERSIONS:
        for change in version.changes:
            assert isinstance(change, Renamed)
            assert f'"{change.newer}"' in text
