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
from pathlib import Path

import pytest

from prog_infra.servers import free_port
from tests import forking
from tests.up import PROCESSES, Up

pytestmark = [pytest.mark.faults, pytest.mark.slow]

STEPS = 12
SEED = int(os.environ.get("PROG_FAULTS_SEED", random.SystemRandom().randrange(10**6)))


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    up = Up(tmp_path_factory.mktemp("killed") / "data", free_port())
    up.wait_ready()
    yield up
    up.stop(signal.SIGINT)


@pytest.mark.parametrize("victim", [*PROCESSES, "postgres", "valkey-server"])
def test_the_story_outlives_a_killed_process(up: Up, victim: str) -> None:
    """The victim dies with SIGKILL right after a step drawn from the seed has been told."""
    fatal_step = random.Random(f"{SEED}/{victim}").randrange(1, STEPS - 1)
    told: list[str] = []
    killed = False
    with _start_demo(up.data) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            told.append(line)
            if not killed and sum("✓" in each for each in told) >= fatal_step:
                _kill(up, victim)
                killed = True
    code = demo.returncode
    story = "".join(told)
    assert killed, f"seed {SEED}: step {fatal_step} never came\n{story}"
    assert code == 0, f"seed {SEED}, killed {victim} after step {fatal_step}\n{story}"
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
    process = up.server(victim) if victim in ("postgres", "valkey-server") else up.find(victim)
    assert process is not None, f"{victim} does not run"
    process.kill()
