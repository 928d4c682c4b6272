"""What every answer carries: ids, security headers, metrics, and a hint while the process drains."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from prometheus_client import REGISTRY
from starlette.types import Receive, Scope, Send

from prog_edge.app import create_app
from prog_edge.drain import Drain
from prog_edge.middleware.gateway import GatewayMiddleware
from prog_kit.settings import Settings

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


async def test_a_request_keeps_the_ids_that_it_came_with(http: httpx.AsyncClient) -> None:
    headers = {"X-Request-Id": "order-4711-abc", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    response = await http.get("/v1/orders", headers=headers)
    assert response.headers["x-request-id"] == "order-4711-abc"
    assert response.headers["traceparent"].split("-")[1] == TRACE
    assert response.headers["traceparent"].split("-")[2] != "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("request_id", "traceparent"),
    [("short", "nonsense"), ("x" * 500, f"00-{'0' * 32}-00f067aa0ba902b7-01"), ("a b c d e f g", f"01-{TRACE}")],
)
async def test_unusable_ids_are_made_anew(http: httpx.AsyncClient, request_id: str, traceparent: str) -> None:
    response = await http.get("/v1/orders", headers={"X-Request-Id": request_id, "traceparent": traceparent})
    assert response.headers["x-request-id"].startswith("req_")
    assert response.headers["traceparent"].split("-")[1] not in ("0" * 32, TRACE)


async def test_an_answer_that_does_not_begin_in_time_is_given_up_and_one_that_has_begun_is_not() -> None:
    """A server behind that takes a request and says nothing keeps nobody waiting for ever."""
    ended: list[str] = []
    over = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["path"] == "/v1/begun":
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await over.wait()
                await send({"type": "http.response.body", "body": b"whole"})
            elif scope["path"] == "/v1/late":
                await asyncio.Event().wait()
            else:
                raise TimeoutError("of something else")
        finally:
            ended.append(scope["path"])
            if scope["path"] == "/v1/late":
                over.set()

    gateway = GatewayMiddleware(app, public_url="https://prog.example", answer_seconds=0.1)
    transport = httpx.ASGITransport(gateway)
    async with httpx.AsyncClient(transport=transport, base_url="https://prog.example") as http:
        late, begun = await asyncio.wait_for(asyncio.gather(http.get("/v1/late"), http.get("/v1/begun")), 60)
        assert (late.status_code, late.json()["code"]) == (504, "answer_timeout")
        assert late.headers["content-type"] == "application/problem+json"
        assert {"retry-after", "x-request-id", "traceparent", "content-security-policy"} <= set(late.headers)
        assert (begun.status_code, begun.text) == (200, "whole")
        with pytest.raises(TimeoutError, match="something else"):
            await http.get("/v1/other")
    assert sorted(ended) == ["/v1/begun", "/v1/late", "/v1/other"], "nothing goes on behind it"


@pytest.mark.parametrize("path", ["/v1/orders", "/v1/nowhere", "/v1/raise/crash", "/v1/raise/denied"])
async def test_every_answer_is_secured(http: httpx.AsyncClient, path: str) -> None:
    headers = (await http.get(path)).headers
    assert headers["content-security-policy"].startswith("default-src 'none'; frame-ancestors 'none'")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["strict-transport-security"].startswith("max-age=31536000")
    assert "server" not in headers


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/docs", {}, 200),
        ("GET", "/docs/errors", {}, 200),
        ("GET", "/docs/versions", {}, 200),
        ("GET", "/openapi.json", {}, 200),
        ("GET", "/healthz", {}, 200),
        ("HEAD", "/docs", {}, 200),
        ("GET", "/v1/nowhere", {}, 404),
        ("GET", "/static/nothing.css", {}, 404),
        ("PUT", "/v1/prices", {}, 405),
        ("GET", "/v1/prices", {"Prog-Version": "never"}, 400),
        ("OPTIONS", "/v1/prices", {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}, 204),
        ("POST", "/v1/leads", {"Content-Type": "text/plain", "Content-Length": "4"}, 415),
        ("POST", "/v1/leads", {"Content-Type": "application/json", "Content-Length": "99999999"}, 413),
    ],
)
async def test_every_kind_of_answer_is_secured(
    settings: Settings, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    transport = httpx.ASGITransport(create_app(settings))
    async with httpx.AsyncClient(transport=transport, base_url="https://prog.example") as client:
        answer = await client.request(method, path, headers=headers)
    assert answer.status_code == status
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["strict-transport-security"].startswith("max-age=31536000")
    assert len(answer.headers.get_list("content-security-policy")) == 1


async def test_requests_are_counted_by_route(http: httpx.AsyncClient) -> None:
    def count(route: str, status: str) -> float:
        labels = {"method": "GET", "route": route, "status": status}
        return REGISTRY.get_sample_value("prog_http_requests_total", labels) or 0.0

    before = count("/v1/raise/{kind}", "409"), count("unmatched", "404")
    await http.get("/v1/raise/conflict")
    await http.get("/v1/some/path/with/tenant_01jd7z4c8nf3ktv9q2m6x0r5we")
    assert (count("/v1/raise/{kind}", "409"), count("unmatched", "404")) == (before[0] + 1, before[1] + 1)
    assert REGISTRY.get_sample_value("prog_http_in_flight") == 0.0


async def test_a_draining_process_sends_its_clients_elsewhere(http: httpx.AsyncClient, drain: Drain) -> None:
    assert "connection" not in (await http.get("/v1/orders")).headers
    drain.start()
    assert (await http.get("/v1/orders")).headers["connection"] == "close"


async def test_a_proxy_that_is_not_listed_is_told_of_once(
    http: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        assert (await http.get("/v1/orders", headers={"X-Forwarded-For": "203.0.113.7"})).status_code == 200
    assert capsys.readouterr().out.count("PROG_TRUSTED_PROXIES") == 1
