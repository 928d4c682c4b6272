"""Dashboards and alerts rest on metric names that INTERFACE promises and processes export."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

INFRA = Path(__file__).parents[3] / "infra"
DASHBOARD = INFRA / "grafana" / "dashboards" / "prognetwork.json"
ALERTS = INFRA / "prometheus" / "alerts.yml"
PROMISED = {
    "prog_consumer_lag", "prog_consumer_oldest_seconds", "prog_messages_total", "prog_handler_seconds",
    "prog_batch_size", "prog_retries_total", "prog_dead_letters", "prog_outbox_pending", "prog_outbox_oldest_seconds",
    "prog_http_requests_total", "prog_http_request_seconds", "prog_http_in_flight", "prog_jobs_total",
    "prog_job_last_success_seconds", "prog_breaker_open", "prog_edge_backlog", "prog_edge_commands_in_flight",
    "prog_edge_commands_refused_total", "prog_edge_rate_limited_total", "prog_edge_rate_limits_alone_total",
    "prog_edge_attempts_refused_total", "prog_edge_wrong_api_keys_total",
    "prog_logout_notices_total",
}  # fmt: skip
DEFINED_IN = (
    "prog_kit.telemetry", "prog_edge.middleware.metrics", "prog_edge.limits.admission", "prog_edge.limits.rates",
    "prog_edge.limits.attempts", "prog_scheduler.metrics",
)  # fmt: skip


def metrics(text: str) -> set[str]:
    return {name.removesuffix("_bucket") for name in re.findall(r"\bprog_[a-z_]+", text)}


def test_every_promised_metric_is_exported_by_that_name() -> None:
    for module in DEFINED_IN:
        import_module(module)
    exported = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in REGISTRY.collect()
        if family.name.startswith("prog_")
    }
    assert exported == PROMISED


def test_the_dashboard_shows_every_promised_metric_and_no_other() -> None:
    assert metrics(DASHBOARD.read_text()) == PROMISED


def test_alerts_rest_on_promised_metrics() -> None:
    found = metrics(ALERTS.read_text())
    assert found
    assert found <= PROMISED


@pytest.mark.parametrize("key", ["id", "title"])
def test_panels_are_told_apart(key: str) -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel[key] for panel in panels}) == len(panels)


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + dx, place["y"] + dy) for dx in range(place["w"]) for dy in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
