"""Alerts, dashboard and autoscaling speak of figures that processes really tell, by labels that they really have."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

import prog_edge.limits.admission
import prog_edge.limits.attempts
import prog_edge.limits.rates
import prog_edge.middleware.metrics  # noqa: F401 - each of these registers what it tells
import prog_kit.telemetry  # noqa: F401
import prog_scheduler.metrics  # noqa: F401
from prog_contracts.topics import DOMAINS
from tests.deploy.toolbox import CHART, ROOT, Toolbox

ALERTS = ROOT / "infra/prometheus/alerts.yml"
SCRAPES = ROOT / "infra/prometheus/prometheus.yml"
DASHBOARD = ROOT / "infra/grafana/dashboards/prognetwork.json"
ADDED = {"le", "instance", "job", "namespace", "pod"}
"""Labels that histograms and Prometheus itself bring."""


def told() -> dict[str, set[str]]:
    """Every series name that a process can tell, with its labels."""
    names: dict[str, Any] = REGISTRY._names_to_collectors
    return {name: set(collector._labelnames) for name, collector in names.items() if name.startswith("prog_")}


def expressions() -> Iterator[tuple[str, str]]:
    """Every PromQL expression of alerts and dashboard, with where it is."""
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    dashboard = json.loads(DASHBOARD.read_text())
    for variable in dashboard["templating"]["list"]:
        yield variable["name"], variable["query"]["query"]
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def test_every_figure_exists() -> None:
    wrong = [
        (where, name)
        for where, expression in expressions()
        for name in re.findall(r"\bprog_\w+", expression)
        if name not in told()
    ]
    assert wrong == []
    assert len(list(expressions())) > 20


def test_every_label_that_is_matched_or_grouped_by_exists() -> None:
    for where, expression in expressions():
        figures = re.findall(r"\bprog_\w+", expression)
        known = set().union(*(told()[name] for name in figures)) | ADDED
        for name, matchers in re.findall(r"(prog_\w+)\{([^}]*)\}", expression):
            labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
            assert labels <= told()[name] | ADDED, where
        for grouped in re.findall(r"\b(?:by|without)\s*\(([^)]*)\)", expression):
            assert {label.strip() for label in grouped.split(",")} <= known, where


def test_every_figure_of_the_interface_is_told_and_shown() -> None:
    """What dashboards and autoscaling may rely on: nothing of it is told and then looked at by nobody."""
    shown = " ".join(expression for _, expression in expressions())
    families = {name for name in told() if not re.search(r"_(bucket|count|sum|created)$", name)}
    families = {name for name in families if f"{name}_total" not in told()}
    assert {name for name in families if name not in shown} == set()


def test_the_alerts_are_sound(tools: Toolbox) -> None:
    done = tools.run("promtool", "check", "rules", "--lint=all", "--lint-fatal", str(ALERTS))
    assert done.returncode == 0, done.stdout + done.stderr
    done = tools.run("promtool", "check", "config", str(SCRAPES))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_alerts_ring_when_they_should(tools: Toolbox) -> None:
    done = tools.run("promtool", "test", "rules", str(ROOT / "tests/deploy/alerts_test.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested_and_says_what_happened() -> None:
    rules = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    tried = {
        each["alertname"]
        for test in yaml.safe_load((ROOT / "tests/deploy/alerts_test.yml").read_text())["tests"]
        for each in test["alert_rule_test"]
        if each.get("exp_alerts")
    }
    assert tried == {rule["alert"] for rule in rules}
    for rule in rules:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["remedy"]


def test_the_chart_brings_the_same_alerts() -> None:
    assert (CHART / "files/alerts.yml").read_text() == ALERTS.read_text()


def test_every_process_of_the_compose_file_is_scraped() -> None:
    jobs = {job["job_name"]: job for job in yaml.safe_load(SCRAPES.read_text())["scrape_configs"]}
    found = {
        name: {(each, sd["port"]) for sd in job["dns_sd_configs"] for each in sd["names"]} for name, job in jobs.items()
    }
    assert found["prognetwork-edge"] == {("edge", 8000)}
    assert found["prognetwork"] == {
        (name, 9100) for name in ("relay", "scheduler", *(f"worker-{domain}" for domain in DOMAINS))
    }
    assert jobs["prognetwork"]["honor_labels"] is True, "prog_jobs_total has a label `job` of its own"


@pytest.mark.parametrize("name", ["prog_consumer_lag", "prog_http_in_flight"])
def test_what_autoscaling_relies_on_is_a_gauge(name: str) -> None:
    collector: Any = REGISTRY._names_to_collectors[name]
    assert collector._type == "gauge"
