"""A program that is forked is like one that is begun anew: what it is given, what it leaves, how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import forking

LOOK = """
import json, os, signal, sys, threading
from setproctitle import getproctitle
print(json.dumps({
    "arguments": sys.argv, "directory": os.getcwd(), "variables": dict(os.environ), "parent": os.getppid(),
    "name": __name__, "first path": sys.path[0], "leads a session": os.getsid(0) == os.getpid(),
    "interrupt": str(signal.getsignal(signal.SIGINT)), "threads": threading.active_count(),
    "open": [int(n) for n in os.listdir("/proc/self/fd") if int(n) > 2 and os.path.exists(f"/proc/self/fd/{n}")],
    "heard": sys.stdin.read(), "title": getproctitle(),
}))
"""


def look(begin: Any, directory: Path, **options: Any) -> dict[str, Any]:
    options = {"cwd": directory, "env": {"LANG": "C.UTF-8", "ONE": "1"}, **options}
    argv = [sys.executable, "-c", LOOK, "an argument", "é"]
    program = begin(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)
    told, _ = program.communicate("heard", timeout=60)
    assert program.returncode == 0
    found: dict[str, Any] = json.loads(told)
    return found


@pytest.fixture
def ignored_interrupts() -> Iterator[None]:
    """As in what a shell without a terminal begins in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


def test_it_ignores_interrupts_where_a_new_one_does(tmp_path: Path, ignored_interrupts: None) -> None:
    forked = look(forking.Popen, tmp_path)
    assert forked["interrupt"] == look(subprocess.Popen, tmp_path)["interrupt"] == str(signal.SIG_IGN)


@pytest.mark.parametrize("session", [False, True])
def test_it_is_given_what_a_new_one_is_given(tmp_path: Path, session: bool) -> None:
    forked = look(forking.Popen, tmp_path, start_new_session=session)
    anew = look(subprocess.Popen, tmp_path, start_new_session=session)
    assert forked["parent"] == os.getpid()
    assert forked.pop("first path") == str(tmp_path)
    assert anew.pop("first path") == ""
    assert forked == anew


def test_it_has_the_files_that_are_passed_and_no_other(tmp_path: Path) -> None:
    with tempfile.TemporaryFile() as file:
        number = file.fileno()
        code = f"import os; os.write({number}, b'written'); found = map(int, os.listdir('/proc/self/fd'))"
        code += "; print(sorted(n for n in found if os.path.exists(f'/proc/self/fd/{n}')))"
        told = forking.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, pass_fds=[number]
        ).communicate(timeout=60)[0]
        assert told == f"{[0, 1, 2, number]}\n"
        file.seek(0)
        assert file.read() == b"written"


def test_each_has_the_random_ids_of_its_own() -> None:
    code = "import random; from prog_contracts.ids import new_id, new_message_id; "
    code += "print(new_id('user'), new_message_id(), random.random())"
    first, second = (forking.run([sys.executable, "-c", code], timeout=60).stdout.split() for _ in range(2))
    assert len({*first, *second}) == 6


@pytest.mark.parametrize(
    ("code", "ends", "complains"),
    [
        ("", 0, ""),
        ("raise SystemExit(3)", 3, ""),
        ("raise SystemExit('no bread today')", 1, "no bread today\n"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9, ""),
        ("raise KeyboardInterrupt", -2, ""),
        ("import atexit, sys; atexit.register(lambda: sys.stderr.write('bye'))", 0, "bye"),
        ("import sys; sys.stderr.write('é')", 0, "é"),
    ],
)
def test_it_ends_as_a_new_one_ends(code: str, ends: int, complains: str) -> None:
    ended = forking.run([sys.executable, "-c", code], timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (ends, "", complains)


def test_an_error_is_told_and_can_be_raised() -> None:
    code = "print('before', flush=True); {}['absent']"
    with pytest.raises(subprocess.CalledProcessError) as told:
        forking.run([sys.executable, "-c", code], timeout=60, check=True)
    assert told.value.output == "before\n"
    assert told.value.stderr.startswith("Traceback")
    assert told.value.stderr.endswith("KeyError: 'absent'\n")


def test_modules_and_files_are_run_as_python_does(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text("import sys; print(__name__, *sys.argv)")
    (tmp_path / "some_module.py").write_text("import sys; print(__name__, *sys.argv)")
    assert forking.run([sys.executable, "-u", str(file), "1"], timeout=60).stdout == f"__main__ {file} 1\n"
    told = forking.run([sys.executable, "-m", "some_module", "2"], timeout=60, cwd=tmp_path).stdout
    assert told == f"__main__ {tmp_path / 'some_module.py'} 2\n"
    preloaded = forking.run([sys.executable, "-m", "prog_infra.cli", "nothing"], timeout=60)
    assert (preloaded.returncode, preloaded.stdout) == (2, "")
    assert "There is no command nothing." in preloaded.stderr
    assert "RuntimeWarning" not in preloaded.stderr
    assert forking.run([sys.executable, "-V"], timeout=60).stdout.startswith("Python 3")
    assert forking.run(["true"], timeout=60).returncode == 0


def test_one_that_does_not_end_in_time_is_killed() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        forking.run([sys.executable, "-c", "import time; time.sleep(600)"], timeout=0.01)


async def test_asyncio_starts_them_too_and_the_server_as_well(
    forked_programs: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forking, "_server", None)
    monkeypatch.setattr(forking, "PRELOADED", ("colorsys",))
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "print(input(), 'colorsys' in __import__('sys').modules)",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        told, _ = await program.communicate(b"forked:\n")
    assert told == b"forked: True\n"
    assert program.returncode == 0
