"""What the edge answers whatever the route: HEAD like GET, and /metrics to scrapers inside alone."""

from __future__ import annotations

import asyncio

import httpx
import pytest
import pytest_asyncio
from starlette.requests import Request

from prog_edge.inside import comes_from_inside
from prog_kit.settings import PRIVATE_NETWORKS
from tests.integration.edge.stage import Person, Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ada(stage: Stage) -> Person:
    return await stage.person("ada@gateway.example")


@pytest.mark.parametrize("path", ["/", "/v1/prices", "/v1/tenants", "/healthz", "/openapi.json", "/v1/nowhere"])
async def test_head_is_answered_like_get_without_a_body(ada: Person, path: str) -> None:
    by_get, by_head = await ada.request("GET", path), await ada.request("HEAD", path)
    assert by_head.status_code == by_get.status_code
    assert by_head.content == b""
    for name in ("content-type", "cache-control", "content-security-policy", "ratelimit-policy"):
        if name != "content-security-policy" or path != "/":  # a page's nonce is new each time
            assert by_head.headers.get(name) == by_get.headers.get(name), name
    if path.startswith("/v1"):
        assert int(by_head.headers["content-length"]) > 0


async def test_head_needs_the_same_right(stage: Stage) -> None:
    assert (await stage.http.head("/v1/tenants")).status_code == 401


async def test_the_head_of_a_stream_comes_and_ends(ada: Person, stage: Stage) -> None:
    await stage.tenant_of(ada, "Headed")
    async with asyncio.timeout(30):
        answer = await ada.request("HEAD", "/v1/events/stream")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    ada.tenant_id = None


async def test_no_route_but_a_read_answers_head(ada: Person) -> None:
    assert (await ada.request("HEAD", "/v1/auth/login")).status_code == 405


async def test_metrics_are_for_scrapers_that_come_by_themselves(stage: Stage) -> None:
    assert "prog_http_requests_total" in (await stage.http.get("/metrics")).text
    for name, value in {"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=10.0.0.1", "Via": "1.1 proxy"}.items():
        refused = await stage.http.get("/metrics", headers={name: value})
        assert (refused.status_code, refused.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("host", "may"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("10.244.3.7", True),
        ("::ffff:10.244.3.7", True),
        ("172.18.0.5", True),
        ("100.64.0.9", True),
        ("fd00::5", True),
        ("203.0.113.7", False),
        ("2001:db8::5", False),
        ("172.32.0.1", False),
        ("", False),
        ("unix", False),
    ],
)
async def test_private_networks_may_read_metrics_by_default(host: str, may: bool) -> None:
    request = Request({"type": "http", "headers": [], "client": (host, 1)})
    assert comes_from_inside(request, PRIVATE_NETWORKS) is may


async def test_a_connection_without_an_address_reads_none() -> None:
    assert comes_from_inside(Request({"type": "http", "headers": [], "client": None}), PRIVATE_NETWORKS) is False


async def test_somebody_from_the_internet_finds_no_metrics(stage: Stage) -> None:
    transport = httpx.ASGITransport(stage.app, client=("203.0.113.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url=stage.settings.public_url) as outside:
        assert (await outside.get("/metrics")).status_code == 404
        assert (await outside.get("/healthz")).status_code == 200
