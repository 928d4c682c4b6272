"""`prog demo` as a person runs it: against a platform that `prog up` has started, again and again."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from prog_infra.servers import free_port
from tests.clusters import Clusters
from tests.depth import by_depth
from tests.forking import run
from tests.up import Up

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, clusters: Clusters) -> Iterator[Up]:
    up = Up(tmp_path_factory.mktemp("demo") / "data", free_port(), clusters=clusters)
    up.wait_ready()
    yield up
    up.process.send_signal(signal.SIGINT)
    up.process.wait(60)
    up.close()


def demo(*options: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PROG_", "COLUMNS"))}
    return run([sys.executable, "-m", "prog_infra.cli", "demo", *options], timeout=300, env=clean)


@pytest.fixture(scope="module")
def first(up: Up) -> subprocess.CompletedProcess[str]:
    """The story as it is told the first time."""
    return demo("--data", str(up.data))


def test_the_story_is_told_again_and_again_on_the_same_data(up: Up, first: subprocess.CompletedProcess[str]) -> None:
    assert first.returncode == 0, first.stdout + first.stderr
    for _ in range(by_depth(usual=1, thorough=2)):
        done = demo("--data", str(up.data), "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        result = json.loads(done.stdout)
        assert result["ok"] is True
        assert result["dead_letters"] == 0
        assert result["mails"] == 14
        assert result["messages"] > 80
        assert [step["name"] for step in result["steps"]] == [
            "lead", "sign_up", "verify", "sign_in", "tenant", "invite", "subscribe", "renew", "past_due", "dunning",
            "recover", "account",
        ]  # fmt: skip
        assert sum(step["seconds"] for step in result["steps"]) < 30


def test_it_ends_with_the_timeline(first: subprocess.CompletedProcess[str]) -> None:
    done = first
    assert done.returncode == 0, done.stdout + done.stderr
    for place, who in (
        ("account/tenants", r"ada\.\w+@engines\.example"),
        ("admin/story", r"admin@prognetwork\.example"),
    ):
        assert re.search(rf"/{place}/tenant_\w+\n\s+as {who}, password \S+\n", done.stdout)
    _, _, timeline = done.stdout.partition("What happened")
    for told in (
        "account of Ada Lovelace",
        "mail to Ada Lovelace: Verify your e-mail address",
        "Grace Hopper joins as member",
        "payment failed: insufficient funds",
        "subscription recovered",
        "14 mails, each once, 0 dead letters",
    ):
        assert told in timeline
    rows = [re.split(r" {2,}", line.strip()) for line in timeline.splitlines()]
    why = {row[-3]: row[-2] for row in rows if len(row) >= 4 and ":" in row[0]}
    assert why["account of Ada Lovelace"] == "asked: register user"
    assert why["mail to Ada Lovelace: Verify your e-mail address"] == "asked: register user"
    assert why["mail to Ada Lovelace: Your payment of $29.00 failed"] == "after payment failed"
    assert why["payment failed: insufficient funds"] == "charge invoice"
    assert why["subscription renewed"] == "renew subscription"
    moved = [row for row in rows if row[-3:-2] == ["subscription renewed"]]
    assert moved
    assert all(row[-4].endswith("*") for row in moved), "on the tenant's clock"
    assert not any(row[-4].endswith("*") for row in rows if row[-3:-2] == ["signed in"]), "on the machine's"


def test_a_platform_that_never_ran_is_told_in_one_line(tmp_path: Path) -> None:
    done = demo("--data", str(tmp_path / "nothing"))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "prog up" in done.stderr


def test_an_address_where_nothing_answers_is_told_in_one_line(up: Up) -> None:
    done = demo("--data", str(up.data), "--url", f"http://127.0.0.1:{free_port()}", "--json")
    assert done.returncode == 1
    assert "nothing answers" in json.loads(done.stdout)["error"]


def test_a_wrong_option_is_wrong_usage() -> None:
    assert demo("--no-such-option").returncode == 2
