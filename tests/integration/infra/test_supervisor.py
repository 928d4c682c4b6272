"""The supervisor, run as a process of its own and watched from outside."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.forking import Popen, run
from tests.waiting import wait_until

# `steady` is a fork that waits for its signal, `keeper` one that has a grandchild, `doomed` one that dies at once,
# `stubborn` one that ignores SIGTERM. Which of them run, the arguments say.
DRIVER = """
import os, signal, subprocess, sys, time
from pathlib import Path
from prog_infra.errors import OperatorError
from prog_infra.local import children, programs
from prog_infra.local.supervisor import StopRequested, Supervisor

def steady():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("steady is", os.environ["PROG_PROCESS_NAME"], flush=True)
    while True:
        time.sleep(60)

def keeper():
    subprocess.Popen(["sleep", "600"])
    steady()

def doomed():
    print("no bread today", flush=True)
    return 3

def stubborn():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(60)

supervisor = Supervisor(Path(sys.argv[1]), lambda line: print(line, flush=True))
supervisor.watch_signals()
try:
    for name in sys.argv[2:]:
        program = programs.task(supervisor, name, globals()[name], os.environ, title=f"test {name}")
        program.once, program.grace_seconds = False, 1.0
        supervisor.start(program)
    supervisor.wait_ready(["steady"], within_seconds=10)
    print("up", flush=True)
    supervisor.run()
except (OperatorError, StopRequested) as error:
    print("error:", error, flush=True)
finally:
    supervisor.stop()
print("stopped", flush=True)
"""


class Driver:
    """The process above. `children` are the live forks by name."""

    def __init__(self, logs: Path, *names: str) -> None:
        self.logs = logs
        self.process = Popen([sys.executable, "-c", DRIVER, str(logs), *names], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.output = self.process.stdout
        while self.output.readline() != "up\n":
            assert self.process.poll() is None

    def children(self) -> dict[str, psutil.Process]:
        found = {}
        for child in psutil.Process(self.process.pid).children():
            title = " ".join(child.cmdline())
            if title.startswith("test "):
                found[title.split()[1]] = child
        return found

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.output.close()


@pytest.fixture
def driver(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Driver]:
    driver = Driver(tmp_path, *request.param)
    yield driver
    driver.close()


runs = pytest.mark.parametrize


@runs("driver", [("steady",)], indirect=True)
async def test_a_killed_process_is_started_again_under_its_name(driver: Driver) -> None:
    first = driver.children()["steady"]
    first.kill()
    assert "steady was ended by SIGKILL; starting it again" in driver.output.readline()
    await wait_until(lambda: driver.children().get("steady", first).pid != first.pid)
    await wait_until(lambda: (driver.logs / "steady.log").read_text() == "steady is steady\n" * 2)


@runs("driver", [("steady", "keeper")], indirect=True)
async def test_one_signal_ends_all_and_leaves_no_grandchild(driver: Driver) -> None:
    await wait_until(lambda: len(psutil.Process(driver.process.pid).children(recursive=True)) == 3)
    family = psutil.Process(driver.process.pid).children(recursive=True)
    driver.process.send_signal(signal.SIGINT)
    assert driver.process.wait(10) == 0
    assert not [member for member in family if _lives(member)]


@runs("driver", [("steady", "stubborn")], indirect=True)
async def test_one_who_will_not_end_is_killed_after_its_grace(driver: Driver) -> None:
    stubborn = driver.children()["stubborn"]
    driver.process.send_signal(signal.SIGTERM)
    assert driver.process.wait(10) == 0
    assert not _lives(stubborn)


@runs("driver", [("steady", "keeper")], indirect=True)
async def test_forks_do_not_outlive_a_killed_supervisor(driver: Driver) -> None:
    forks = driver.children()
    driver.process.kill()
    await wait_until(lambda: not any(_lives(fork) for fork in forks.values()))


def test_one_that_keeps_dying_is_named_with_its_last_words(tmp_path: Path) -> None:
    ended = run(
        [sys.executable, "-c", DRIVER.replace('["steady"], within', '["doomed"], within'), str(tmp_path), "doomed"],
        check=True,
        timeout=60,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("doomed ended with code 3; starting it again (log:")
    assert "starting it again in 0.1 s" in lines[1]
    assert lines[-2] == f"error: doomed keeps dying: no bread today - see {tmp_path / 'doomed.log'}"
    assert lines[-1] == "stopped"


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
