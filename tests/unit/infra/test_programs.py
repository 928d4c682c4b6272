"""What `prog up` starts, and what it imports before it forks."""

import subprocess
import sys
from importlib.util import find_spec

from prog_contracts.topics import DOMAINS
from prog_infra.local.programs import PRELOADED, PROCESSES


def test_preloaded_modules_start_no_thread() -> None:
    code = (
        "import os; from prog_infra.local.programs import preload; preload(); print(len(os.listdir('/proc/self/task')))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "1"


def test_every_preloaded_module_exists() -> None:
    assert [name for name in PRELOADED if find_spec(name) is None] == []


def test_every_domain_is_served_by_one_process() -> None:
    served = [domain for process in PROCESSES if process.arguments[0] == "worker" for domain in process.arguments[1:]]
    assert sorted(served) == sorted(DOMAINS)


def test_names_are_stable_and_no_two_processes_share_one() -> None:
    names = [process.name for process in PROCESSES]
    assert sorted(names) == sorted({"worker-core", "worker-observe", "edge", "relay", "scheduler", "mailbox"})
