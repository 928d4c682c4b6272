"""In which order the processes of a server that nobody supervises are ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prog_infra.servers.process import end_servers, servers_in, wait_until_ready

NAME = Path(sys.executable).name

# A server and its child, neither of which has another for even a moment. The server needs one to end, and its child
# outlives it.
PROGRAM = """
import signal, subprocess, sys, time

signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGTERM}})
{first}
with open("ready", "a") as ready:
    ready.write(".")
signal.sigwait({{{heeds}}})
time.sleep({pause})
with open("told", "a") as told:
    told.write("{name} ")
"""
CHILD = PROGRAM.format(name="child", pause=0, heeds="signal.SIGTERM", first="")
BEGIN_CHILD = f"subprocess.Popen([sys.executable, '-S', '-c', {CHILD!r}])"
SERVER = PROGRAM.format(name="server", pause=0.2, heeds="signal.SIGTERM", first=BEGIN_CHILD)
DEAF = PROGRAM.format(name="deaf", pause=0, heeds="signal.SIGUSR1", first="")


@contextmanager
def working(program: str, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-S", "-c", program], cwd=directory) as server:
        try:
            yield server
        finally:
            for pid in servers_in(directory, NAME):  # such as after a failure
                os.kill(pid, signal.SIGKILL)


def test_a_child_is_asked_when_its_server_is_gone(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    with working(SERVER, tmp_path) as server:
        wait_until_ready(lambda: ready.exists() and len(ready.read_text()) == 2, server, tmp_path / "log", 60)
        assert len(servers_in(tmp_path, NAME)) == 2
        end_servers(tmp_path, NAME, first=signal.SIGTERM, grace_seconds=60)
        assert server.wait(60) == 0
    assert (tmp_path / "told").read_text().split() == ["server", "child"]
    assert servers_in(tmp_path, NAME) == []


def test_what_does_not_heed_is_killed(tmp_path: Path) -> None:
    with working(DEAF, tmp_path) as server:
        wait_until_ready((tmp_path / "ready").exists, server, tmp_path / "log", 60)
        end_servers(tmp_path, NAME, first=signal.SIGTERM, grace_seconds=0.1)
        assert server.wait(60) == -signal.SIGKILL
