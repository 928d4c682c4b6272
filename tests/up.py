"""A whole platform for a test, as a person has it: one `prog up` with data and a port of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from tests.clusters import Clusters
from tests.forking import Popen

PROCESSES = ("edge", "mailbox", "relay", "scheduler", "worker users tenants payments email", "worker monitoring events")


class Up:
    """One `prog up`, and everything it started."""

    def __init__(
        self, data: Path, port: int, *options: str, forked: bool = True, clusters: Clusters | None = None
    ) -> None:
        """`forked` saves what Python takes to begin and to import it all: see `tests.forking`. `clusters`, where its
        first start is not what the test is about, save most of that in the usual depth."""
        if clusters is not None:
            clusters.spare_the_first_start(data)
        self.data = data
        self.port = port
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PROG_")}
        begin = Popen if forked else subprocess.Popen
        self.process: subprocess.Popen[str] = begin(
            [sys.executable, "-m", "prog_infra.cli", "up", "--data", str(data), "--port", str(port), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=clean,
        )
        self.lines: list[str] = []
        self._rest: str | None = None

    def wait_ready(self) -> None:
        assert self.process.stdout is not None
        while not any(line.startswith("  Next ") for line in self.lines):
            line = self.process.stdout.readline()
            assert line, "".join(self.lines)
            self.lines.append(line)

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def find(self, title: str) -> psutil.Process | None:
        return next((member for member in self.family() if title_of(member) == f"prog {title}"), None)

    def server(self, name: str) -> psutil.Process | None:
        mine = psutil.Process(self.process.pid).children()
        return next((member for member in mine if lives(member) and member.name() == name), None)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to stop, which it must do well."""
        self.process.send_signal(number)
        try:
            code = self.process.wait(60)
        finally:
            said = self.close()
        assert code == 0, said

    def close(self) -> str:
        """Kill it if it still runs; what it said after the last line that was read."""
        if self._rest is None:
            self.process.kill()
            self._rest, _ = self.process.communicate()
        return self._rest


def title_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()).rstrip()
    except psutil.NoSuchProcess:
        return ""


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
