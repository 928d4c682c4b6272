"""kill -9 of any one process in the middle of the customer story: it still ends well, and every mail came once.

The demo itself counts: it fails when a step does not hold, a mail came twice or not at all, or a message died.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from prog_infra.servers import free_port
from tests import forking
from tests.clusters import Clusters
from tests.depth import by_depth
from tests.running import run
from tests.up import PROCESSES, Up
from tests.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.slow]

STEPS = 12
VICTIMS = (*PROCESSES, "postgres", "valkey-server")
STORIES: list[tuple[str, ...]] = by_depth(
    usual=[VICTIMS[::2], VICTIMS[1::2]],
    thorough=[(victim,) for victim in VICTIMS],
)
"""Who dies in each story."""
SEED = int(os.environ.get("PROG_FAULTS_SEED", random.SystemRandom().randrange(10**6)))


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, clusters: Clusters) -> Iterator[Up]:
    up = Up(tmp_path_factory.mktemp("killed") / "data", free_port(), clusters=clusters)
    up.wait_ready()
    yield up
    up.stop(signal.SIGINT)


@pytest.mark.parametrize("victims", STORIES, ids=" and ".join)
def test_the_story_outlives_a_killed_process(up: Up, victims: tuple[str, ...]) -> None:
    """Each victim dies with SIGKILL right after a step drawn from the seed has been told."""
    drawn = random.Random(f"{SEED}/{'/'.join(victims)}").sample(range(1, STEPS - 1), len(victims))
    waiting = dict(zip(sorted(drawn), victims, strict=True))
    fatal = str(waiting)
    told: list[str] = []
    with _start_demo(up.data) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            told.append(line)
            step = sum("✓" in each for each in told)
            while waiting and step >= min(waiting):
                _kill(up, waiting.pop(min(waiting)))
    code = demo.returncode
    story = "".join(told)
    assert not waiting, f"seed {SEED}: step {min(waiting)} never came\n{story}"
    assert code == 0, f"seed {SEED}, killed after steps {fatal}\n{story}"
    assert "each once, 0 dead letters" in story


def test_an_undisturbed_story_says_ok_in_json(up: Up) -> None:
    done = forking.run([sys.executable, "-m", "prog_infra.cli", "demo", "--data", str(up.data), "--json"], timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["ok"] is True
    assert result["dead_letters"] == 0
    assert result["messages"] > 50
    assert all(step["ok"] and step["seconds"] >= 0 for step in result["steps"])


def _start_demo(data: Path) -> subprocess.Popen[str]:
    return forking.Popen(
        [sys.executable, "-u", "-m", "prog_infra.cli", "demo", "--data", str(data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _kill(up: Up, victim: str) -> None:
    """As soon as it runs: who died before may have taken it along."""

    def is_killed() -> bool:
        process = up.server(victim) if victim in ("postgres", "valkey-server") else up.find(victim)
        if process is None:
            return False
        with suppress(psutil.NoSuchProcess):
            process.kill()
            return True
        return False

    run(wait_until(is_killed, within_seconds=60, what=f"{victim} to run"))
