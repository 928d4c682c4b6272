"""The fault rig's short form, or, in the usual depth of the tests, its brief one: every kind of fault at least once,
and a ledger without a flaw.

And the proof that it can fail: with the inbox switched off in the rig's own workers it must tell of what was doubled.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.depth import by_depth
from tests.forking import Popen

pytestmark = [pytest.mark.faults, pytest.mark.slow(12), pytest.mark.timeout(600)]

FORM, LEAST_MESSAGES = by_depth(usual=("--brief", 700), thorough=("--short", 3_000))
TOLD_BY = by_depth(usual="300", thorough="600")
"""Messages among which the broken guarantee shows."""
ROOT = Path(__file__).resolve().parents[2]
WITHIN_SECONDS = 480


def run_rig(directory: Path, *options: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, what it reported, and what it showed. Fails with what it has shown when it does not end."""
    told, shown = directory / "told", directory / "shown"
    # Into files: the rig's own processes have its standard error too, and a pipe ends with the last of them.
    with told.open("wb") as stdout, shown.open("wb") as stderr:
        rig = Popen(
            [sys.executable, "-m", "tests.faults.rig", "--json", *options], cwd=ROOT, stdout=stdout, stderr=stderr
        )
        try:
            code = rig.wait(WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the rig did not end within {WITHIN_SECONDS} s:\n{shown.read_text()}")
        finally:
            rig.kill()
            rig.wait()
    assert told.stat().st_size, shown.read_text()
    return code, json.loads(told.read_bytes()), shown.read_text()


def test_nothing_is_lost_doubled_or_reordered_whatever_fails(tmp_path: Path) -> None:
    seed = os.environ.get("PROG_FAULTS_SEED")
    code, report, shown = run_rig(tmp_path, FORM, *(() if seed is None else ("--seed", seed)))
    assert (report["lost"], report["duplicated"], report["reordered"]) == (0, 0, 0), shown
    assert report["problems"] == [], shown
    assert code == 0, shown
    assert report["messages"] >= LEAST_MESSAGES
    assert report["applied"] > report["messages"]
    assert min(report["faults"].values()) >= 1
    assert len(report["faults"]) >= 20
    assert 0 < report["longest_recovery_seconds"] < 60
    assert report["dead"] > 0, "some messages were meant to die"
    assert report["outside_calls"] > 0


def test_a_broken_guarantee_is_told(tmp_path: Path) -> None:
    """A broker that comes back with nothing is given everything again, which the inbox alone makes once."""
    fault = "broker_emptied"
    code, report, shown = run_rig(tmp_path, "--short", "--break", "inbox", "--only", fault, "--messages", TOLD_BY)
    assert report["faults"].keys() == {fault}
    assert report["duplicated"] > 0, shown
    assert code == 1
    assert any(line.startswith("duplicated: ") for line in report["problems"])
    assert f"--seed {report['seed']} --only {fault}" in shown, "how to have it again is told"
    kept = re.search(r"kept in\s+(\S+)", shown)
    assert kept is not None, "a run that fails leaves its data and logs"
    shutil.rmtree(kept[1])
