"""Prometheus metrics of HTTP: requests, seconds, requests in flight. A route is told by its template, never by path."""

from __future__ import annotations

from time import perf_counter
from typing import Final

from prometheus_client import Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUESTS: Final = Counter("prog_http_requests_total", "HTTP requests answered", ["method", "route", "status"])
SECONDS: Final = Histogram(
    "prog_http_request_seconds",
    "Time to answer an HTTP request",
    ["method", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
IN_FLIGHT: Final = Gauge("prog_http_in_flight", "HTTP requests being answered")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class MetricsMiddleware:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = perf_counter()
        status = 500

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        IN_FLIGHT.inc()
        try:
            await self.app(scope, receive, watch)
        finally:
            IN_FLIGHT.dec()
            method = scope["method"] if scope["method"] in _METHODS else "other"
            route = route_of(scope)
            REQUESTS.labels(method, route, str(status)).inc()
            SECONDS.labels(method, route).observe(perf_counter() - started)


def route_of(scope: Scope) -> str:
    """The template of the route that answered, such as `/v1/tenants/{tenant_id}`; `unmatched` when none did."""
    route = scope.get("route")
    return getattr(route, "path", None) or "unmatched"
