"""`prog up` as a person meets it: the whole platform, started, killed and stopped from outside."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest

from prog_infra.servers import free_port, is_free
from tests.clusters import Clusters
from tests.up import PROCESSES, Up, lives, title_of
from tests.waiting import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data of ours"


@pytest.fixture
def up(data: Path) -> Iterator[Up]:
    up = Up(data, free_port(), forked=False)
    yield up
    up.close()


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory, clusters: Clusters) -> Iterator[Up]:
    """One that runs, with two edges, for tests that leave it running."""
    data = tmp_path_factory.mktemp("standing") / "data of ours"
    up = Up(data, free_port(), "--edges", "2", clusters=clusters)
    up.wait_ready()
    yield up
    up.stop()
    assert is_free(up.port)


async def test_it_comes_up_says_where_it_is_and_ctrl_c_leaves_nothing_behind(up: Up, data: Path) -> None:
    up.wait_ready()
    told = "".join(up.lines)
    sign_in = json.loads((data / "administrator.json").read_text())
    assert f"http://127.0.0.1:{up.port}/admin" in told
    assert sign_in["email"] in told
    assert sign_in["password"] in told
    assert {title for title in PROCESSES if up.find(title)} == set(PROCESSES)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{up.port}", verify=False) as client:
        assert (await client.get("/readyz")).json()["status"] == "ok"
        credentials = {"email": sign_in["email"], "password": sign_in["password"]}
        assert (await client.post("/v1/auth/login", json=credentials)).status_code == 200
    family = up.family()
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(30) == 0
    assert not [member for member in family if lives(member)]
    assert is_free(up.port)
    assert up.close().splitlines()[-1] == "prog up: stopped; nothing is left running"


async def test_edges_share_the_port_and_one_that_dies_is_not_missed(standing: Up) -> None:
    up = standing
    edges = titled(up, "edge")
    assert len(edges) == 2
    for killed in edges:
        killed.kill()
        killed.wait(30)
        answers = []
        for _ in range(20):
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{up.port}", timeout=60, verify=False) as client:
                answers.append((await client.get("/v1/prices")).status_code)
        assert answers == [200] * 20, "each connection is taken by the other one, or by the one that comes back"
    await wait_until(lambda: len(titled(up, "edge")) == 2, within_seconds=60, what="both edges to be back")


async def test_data_survives_a_killed_supervisor_and_the_next_start_is_clean(data: Path, clusters: Clusters) -> None:
    up = Up(data, free_port(), clusters=clusters)
    try:
        up.wait_ready()
        sign_in = (data / "administrator.json").read_text()
    finally:
        up.close()
    again = Up(data, up.port)
    try:
        again.wait_ready()
        assert (data / "administrator.json").read_text() == sign_in
        assert {title for title in PROCESSES if again.find(title)} == set(PROCESSES)
    finally:
        again.stop()


async def test_every_killed_process_is_back_at_once_and_so_are_the_servers(standing: Up) -> None:
    up = standing
    for title in PROCESSES:
        those = titled(up, title)
        assert those
        those[0].kill()
        await wait_until(partial(_all_are_back, up, title, those), what=title)
    for name in ("postgres", "valkey-server"):
        before = up.server(name)
        assert before is not None
        before.kill()
        await wait_until(partial(_replaced, partial(up.server, name), before), what=name)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{up.port}", verify=False) as client:
        await wait_until(lambda: _is_ok(client), within_seconds=20, what="readiness after the servers came back")


async def test_with_its_parent_it_ends_too(data: Path) -> None:
    command = [sys.executable, "-m", "prog_infra.cli", "up", "--with-parent", "--data", str(data)]
    shell = f"{shlex.join([*command, '--port', str(free_port())])}; true"
    with _shell(shell) as parent:
        assert parent.stdout is not None
        assert "servers" in parent.stdout.readline()
        family = psutil.Process(parent.pid).children(recursive=True)
        parent.kill()
        await wait_until(lambda: not any(lives(member) for member in family), within_seconds=30)


def test_data_in_use_is_refused_in_one_line(standing: Up) -> None:
    second = Up(standing.data, free_port())
    assert second.process.wait(20) == 1
    [line] = second.close().splitlines()
    used_by = f"in use by another `prog up` (process {standing.process.pid})"
    assert line.startswith(f"prog: the data in {standing.data} is {used_by} - stop")


def test_a_taken_port_is_refused_in_one_line_before_anything_starts(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        up = Up(data, port)
        assert up.process.wait(20) == 1
        [line] = up.close().splitlines()
    assert line == (
        f"prog: port {port} of 127.0.0.1 is taken by process {os.getpid()} ({psutil.Process().name()})"
        " - stop that program, or use another one with --port"
    )
    assert not (data / "postgres").exists()


def _shell(line: str) -> subprocess.Popen[str]:
    return subprocess.Popen(["sh", "-c", line], stdout=subprocess.PIPE, text=True)


def titled(up: Up, title: str) -> list[psutil.Process]:
    """Its processes of this name that live."""
    return [member for member in up.family() if title_of(member) == f"prog {title}" and lives(member)]


def _all_are_back(up: Up, title: str, before: list[psutil.Process]) -> bool:
    """As many as before, and the first of them another one."""
    now = titled(up, title)
    return len(now) == len(before) and before[0].pid not in [member.pid for member in now]


def _replaced(find: Callable[[], psutil.Process | None], before: psutil.Process) -> bool:
    now = find()
    return now is not None and now.pid != before.pid and lives(now)


async def _is_ok(client: httpx.AsyncClient) -> bool:
    try:
        answer = await client.get("/readyz")
    except httpx.TransportError:
        return False
    return answer.status_code == 200 and bool(answer.json()["status"] == "ok")
