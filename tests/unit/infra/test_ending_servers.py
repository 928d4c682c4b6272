"""In which order the processes of a server that nobody supervises are ended."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from prog_infra.servers.process import end_servers, servers_in, wait_until_ready

# A server and its child. The server needs a moment to end, and its child outlives it.
CHILD = """trap 'echo child >> told; exit' TERM; echo >> ready; while :; do sleep 0.02; done"""
SERVER = f"""trap 'sleep 0.2; echo server >> told; exit' TERM
sh -c "{CHILD}" & echo >> ready; while :; do sleep 0.02; done"""


def test_a_child_is_asked_when_its_server_is_gone(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    with subprocess.Popen(["sh", "-c", SERVER], cwd=tmp_path) as server:
        wait_until_ready(lambda: ready.exists() and len(ready.read_text()) == 2, server, tmp_path / "log", 60)
        assert len(servers_in(tmp_path, "sh")) == 2
        end_servers(tmp_path, "sh", first=signal.SIGTERM, grace_seconds=60)
        assert server.wait(60) == 0
    assert (tmp_path / "told").read_text().split() == ["server", "child"]
    assert servers_in(tmp_path, "sh") == []


def test_what_does_not_heed_is_killed(tmp_path: Path) -> None:
    deaf = "trap '' TERM; echo >> ready; while :; do sleep 0.02; done"
    with subprocess.Popen(["sh", "-c", deaf], cwd=tmp_path) as server:
        wait_until_ready((tmp_path / "ready").exists, server, tmp_path / "log", 60)
        end_servers(tmp_path, "sh", first=signal.SIGTERM, grace_seconds=0.1)
        assert server.wait(60) == -signal.SIGKILL
