"""Pages of other sites: those that are listed, and what all may read. No cookie ever goes along."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI

from prog_edge.app import create_app, layers
from prog_edge.drain import Drain
from prog_edge.middleware import cors
from prog_edge.refusals import add_handlers
from prog_kit.settings import Settings, SettingsError
from tests.component.edge.conftest import no_page

LISTED = "https://app.example"
STRANGER = "https://evil.example"


@pytest_asyncio.fixture(params=[(), (LISTED,)], ids=["nobody listed", "one listed"])
async def http(
    request: pytest.FixtureRequest, settings: Settings, drain: Drain
) -> AsyncIterator[tuple[httpx.AsyncClient, bool]]:
    own = settings.model_copy(update={"cors_origins": request.param})
    app = FastAPI(middleware=layers(own, drain), openapi_url=None, redirect_slashes=False)
    add_handlers(app, no_page)

    @app.get("/v1/prices")
    @app.get("/v1/tenants")
    @app.get("/userinfo")
    @app.get("/oauth2/authorize")
    @app.get("/account")
    async def answer() -> dict[str, str]:
        return {"a": "b"}

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://prog.example") as client:
        yield client, bool(request.param)


def preflight(origin: str, method: str = "POST") -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization",
    }


@pytest.mark.parametrize("path", ["/v1/tenants", "/userinfo"])
async def test_a_listed_page_reads_answers_and_sends_credentials_of_its_own(
    http: tuple[httpx.AsyncClient, bool], path: str
) -> None:
    client, listed = http
    answer = await client.get(path, headers={"Origin": LISTED})
    asked = await client.options(path, headers=preflight(LISTED))
    if not listed:
        assert "access-control-allow-origin" not in answer.headers
        assert asked.status_code == 405
        return
    assert answer.headers["access-control-allow-origin"] == LISTED
    assert answer.headers["vary"] == "Origin"
    assert "Retry-After" in answer.headers["access-control-expose-headers"]
    assert asked.status_code == 204
    assert asked.headers["access-control-allow-origin"] == LISTED
    assert "Authorization" in asked.headers["access-control-allow-headers"]
    assert "DELETE" in asked.headers["access-control-allow-methods"]
    assert "Origin" in asked.headers["vary"]


@pytest.mark.parametrize("origin", [STRANGER, "null", "https://app.example.evil.example", "http://app.example", "*"])
async def test_a_page_that_is_not_listed_reads_nothing(http: tuple[httpx.AsyncClient, bool], origin: str) -> None:
    client, listed = http
    answer = await client.get("/v1/tenants", headers={"Origin": origin})
    asked = await client.options("/v1/tenants", headers=preflight(origin))
    assert "access-control-allow-origin" not in {**answer.headers, **asked.headers}
    assert asked.status_code == 405
    assert answer.headers.get("vary") == ("Origin" if listed else None), "a cache must not hand it to another origin"


async def test_pages_of_all_sites_read_what_is_for_everybody(http: tuple[httpx.AsyncClient, bool]) -> None:
    client, _ = http
    for origin in (LISTED, STRANGER, "null"):
        answer = await client.get("/v1/prices", headers={"Origin": origin})
        assert answer.headers["access-control-allow-origin"] == "*"
    asked = await client.options("/v1/prices", headers=preflight(STRANGER, "GET"))
    assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (204, "*")
    assert "authorization" not in asked.headers["access-control-allow-headers"].lower()
    assert "POST" not in asked.headers["access-control-allow-methods"]


async def test_no_answer_ever_allows_cookies_and_no_page_of_ours_is_read(http: tuple[httpx.AsyncClient, bool]) -> None:
    client, _ = http
    for path in ("/v1/prices", "/v1/tenants", "/account", "/v1/nowhere"):
        for origin in (LISTED, STRANGER, "null"):
            for answer in (
                await client.get(path, headers={"Origin": origin}),
                await client.options(path, headers=preflight(origin)),
            ):
                assert "access-control-allow-credentials" not in answer.headers
    for page in ("/account", "/oauth2/authorize"):
        assert "access-control-allow-origin" not in (await client.get(page, headers={"Origin": LISTED})).headers


@pytest.mark.parametrize(
    "origins", ["*", "null", "https://app.example/", "https://App.example", "app.example", "https://*.example"]
)
def test_what_is_no_origin_is_no_setting(origins: str) -> None:
    with pytest.raises(SettingsError, match="PROG_CORS_ORIGINS"):
        Settings.load({}, env="test", database_url="postgresql://x/y", redis_url="redis://x", cors_origins=origins)


def test_a_listed_page_may_send_every_field_of_a_head_that_the_api_takes(settings: Settings) -> None:
    taken = {
        (f"{method.upper()} {path}", parameter["name"].lower())
        for path, operations in create_app(settings).openapi()["paths"].items()
        if path.startswith(cors.PREFIXES)
        for method, operation in operations.items()
        for parameter in operation.get("parameters", ())
        if parameter["in"] == "header"
    }
    names = {name for _, name in taken}
    assert {"idempotency-key", "if-match", "last-event-id", "prog-tenant"} <= names
    allowed = {name.strip().lower() for name in cors.TAKEN.split(",")}
    assert {found for found in taken if found[1] not in allowed} == set()


def test_a_listed_page_may_read_every_field_of_a_head_that_the_api_answers_with(settings: Settings) -> None:
    told = {
        name.lower()
        for path, operations in create_app(settings).openapi()["paths"].items()
        if path.startswith(cors.PREFIXES)
        for operation in operations.values()
        for response in operation["responses"].values()
        for name in response.get("headers", {})
    }
    assert "etag" in told, "by which a page says in If-Match what it has read"
    assert told <= {name.strip().lower() for name in cors.SHOWN.split(",")}


def test_what_everybody_may_read_takes_no_credential(settings: Settings) -> None:
    document = create_app(settings).openapi()
    for path in ("/v1/prices", "/v1/products", "/.well-known/jwks.json", "/.well-known/openid-configuration"):
        assert document["paths"][path]["get"]["security"] == []
