"""Logs: lines that come by the thousand, and what every line carries."""

from __future__ import annotations

import json
import logging as standard
from collections.abc import Iterator
from datetime import datetime

import pytest
import structlog

from prog_edge.context import RequestContext, serving
from prog_kit import logging
from prog_kit.telemetry import new_traceparent
from tests.waiting import wait_until


@pytest.fixture
def restored() -> Iterator[None]:
    """Puts back how logs were before."""
    root = standard.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    logging.Lines.process = None
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("restored")
async def test_lines_that_come_by_the_thousand_look_like_all_others(capsys: pytest.CaptureFixture[str]) -> None:
    logging.configure("info", "edge-1")
    lines = logging.Lines("prog_edge.access")
    lines.write("request", {"path": "/v1/me", "status": 200})
    logging.get("prog_edge.access").info("request", path="/v1/me", status=200)
    assert capsys.readouterr().err.count("\n") == 1, "they are written together"
    lines.flush()
    quick = json.loads(capsys.readouterr().err)
    logging.get("prog_edge.access").info("request", path="/v1/me", status=200)
    usual = json.loads(capsys.readouterr().err)
    assert datetime.fromisoformat(quick.pop("timestamp")).tzinfo is not None
    assert usual.pop("timestamp").endswith("Z")
    assert quick == usual


async def test_no_line_waits_long(capsys: pytest.CaptureFixture[str]) -> None:
    lines = logging.Lines("prog_edge.access")
    lines.write("request", {})
    told: list[str] = []

    def written() -> bool:
        told.append(capsys.readouterr().err)
        return any(told)

    await wait_until(written, what="the line")
    for _ in range(logging.MOST_WAITING):
        lines.write("request", {})
    assert capsys.readouterr().err.count("\n") == logging.MOST_WAITING


@pytest.mark.usefixtures("restored")
def test_every_line_tells_of_the_request_at_work(capsys: pytest.CaptureFixture[str]) -> None:
    logging.configure("info", "edge-1")
    with serving(RequestContext("req_1", new_traceparent(), "https://prog.example")):
        logging.get("prog_broker").warning("late")
    logging.get("prog_broker").warning("later")
    within, outside = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (within["request_id"], len(within["trace_id"])) == ("req_1", 32)
    assert "request_id" not in outside
