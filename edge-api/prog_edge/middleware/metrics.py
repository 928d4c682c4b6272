"""Prometheus metrics of HTTP: requests, seconds, requests in flight. A route is told by its template, never by path."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram
from starlette.types import Scope

REQUESTS: Final = Counter("prog_http_requests_total", "HTTP requests answered", ["method", "route", "status"])
SECONDS: Final = Histogram(
    "prog_http_request_seconds",
    "Time to answer an HTTP request",
    ["method", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
IN_FLIGHT: Final = Gauge("prog_http_in_flight", "HTTP requests being answered")


class InFlight:
    """How many they are `now`; told when somebody asks."""

    now = 0


IN_FLIGHT.set_function(lambda: InFlight.now)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


_series: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
"""What was counted before, for looking labels up costs more than counting. As bounded as routes and statuses are."""


def count(method: str, route: str, status: int, seconds: float) -> None:
    """Counts one request that is over."""
    series = _series.get((method, route, status))
    if series is None:
        named = method if method in _METHODS else "other"
        series = REQUESTS.labels(named, route, str(status)), SECONDS.labels(named, route)
        if named == method:
            _series[method, route, status] = series
    series[0].inc()
    series[1].observe(seconds)


def route_of(scope: Scope) -> str:
    """The template of the route that answered, such as `/v1/tenants/{tenant_id}`; `unmatched` when none did."""
    route = scope.get("route")
    return getattr(route, "path", None) or "unmatched"
