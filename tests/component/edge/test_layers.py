"""What every answer carries: ids, security headers, metrics, and a hint while the process drains."""

from __future__ import annotations

import httpx
import pytest
from prometheus_client import REGISTRY

from prog_edge.drain import Drain

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


@pytest.mark.parametrize("path", ["/v1/orders", "/v1/nowhere", "/v1/raise/crash", "/v1/raise/denied"])
async def test_every_answer_is_secured(http: httpx.AsyncClient, path: str) -> None:
    headers = (await http.get(path)).headers
    assert headers["content-security-policy"].startswith("default-src 'none'; frame-ancestors 'none'")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["strict-transport-security"].startswith("max-age=31536000")
    assert "server" not in headers


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
