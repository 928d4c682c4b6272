"""The benchmarks run, tell what INTERFACE promises, and fail below what must be; their figures are not judged here."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from prog_infra import bench
from prog_infra.bench import Options, Result, Row, command, edge, kernels
from prog_infra.bench.client import Connection
from prog_infra.bench.edge import storms
from prog_infra.bench.edge.driving import Load, drive
from prog_infra.bench.figures import percentile, row_of_times
from prog_infra.commands.bench import app
from prog_infra.errors import OperatorError
from prog_kit.settings import PasswordHashing
from tests.depth import by_depth
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("forked_programs")

ROW_FIELDS = {"path", "ours", "reference", "unit", "ratio", "at_least", "aim", "runs"}
PEER_FIELDS = {"name", "version", "path", "value", "unit"}


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300))
def test_a_percentile_is_one_of_the_values(values: list[float]) -> None:
    ordered = sorted(values)
    assert percentile(values, 0.0) == ordered[0]
    assert percentile(values, 0.5) == ordered[(len(values) - 1) // 2]
    assert percentile(values, 1.0) == ordered[-1]


def test_the_ratio_of_times_is_the_reference_over_ours_and_the_median_of_the_rounds() -> None:
    row = row_of_times("median", [4.0, 8.0, 100.0], [2.0, 2.0, 2.0], unit="ms", at_least=0.25, aim=0.5)
    assert (row.ours, row.reference, row.ratio, row.runs) == (8.0, 2.0, 0.25, 3)
    assert row.spread == (0.5, 0.25, 0.02)
    assert row.ok


def result(ratio: float) -> Result:
    return Result("kernels", {"cpu": "c", "cores": 2, "python": "3"}, [Row("p", 1, 2, "ms", ratio, 1.0, 2.0, 3)])


@pytest.mark.parametrize(("ratio", "code"), [(0.99, 1), (1.0, 0)])
@pytest.mark.parametrize("arguments", [["kernels"], ["kernels", "--json", "--short"]])
def test_the_exit_code_tells_whether_every_ratio_is_high_enough(
    monkeypatch: pytest.MonkeyPatch, ratio: float, code: int, arguments: list[str]
) -> None:
    monkeypatch.setattr(kernels, "run", lambda options: result(ratio))
    assert CliRunner().invoke(app, arguments).exit_code == code


def test_an_unknown_benchmark_is_told_with_those_there_are() -> None:
    with pytest.raises(OperatorError) as told:
        bench.find("speed")
    assert all(name in told.value.remedy for name in bench.NAMES)


def promised(text: str, name: str, paths: list[str], *, with_peers: bool = True) -> None:
    told: dict[str, Any] = json.loads(text)
    assert told["bench"] == name
    assert set(told) == {"bench", "machine", "rows", "peers"}
    assert [row["path"] for row in told["rows"]] == paths
    assert all(set(row) >= ROW_FIELDS for row in told["rows"])
    assert all(row["ratio"] > 0 for row in told["rows"])
    assert bool(told["peers"]) is with_peers
    assert all(set(peer) == PEER_FIELDS for peer in told["peers"])


def test_the_kernels_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(kernels.ROUNDS, "short", 1)
    monkeypatch.setattr(kernels, "CASES", (("few", 100, 3), ("more", 10_000, 10)))
    told = kernels.run(Options(length="short"))
    promised(json.dumps(told.json()), "kernels", ["few", "more"])


@pytest.mark.slow
def test_a_command_is_measured_on_a_platform_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(command.ROUNDS, "short", (2, by_depth(usual=2, thorough=3)))
    monkeypatch.setattr(command, "WARM_UP", 1)
    monkeypatch.setattr(command, "BACK_TO_BACK", 2)
    told = command.run(Options(length="short"))
    promised(json.dumps(told.json()), "command", ["median", "p99"])
    assert [row.runs for row in told.rows] == [2, 2]


@pytest.mark.slow(13)
@pytest.mark.usefixtures("strong_hashing")
def test_the_edge_is_measured_on_a_platform_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds, seconds = by_depth(usual=(1, 0.05), thorough=(2, 0.3))
    monkeypatch.setitem(edge.ROUNDS, "short", (rounds, seconds))
    monkeypatch.setattr(storms, "PEOPLE", by_depth(usual=2, thorough=storms.PEOPLE))
    for module in (edge, storms):
        monkeypatch.setattr(module, "STORM", by_depth(usual=2, thorough=storms.STORM))
    few: dict[PasswordHashing, int] = {"owasp": 2, "rfc9106": 2}
    monkeypatch.setattr(storms, "AT_ONCE", by_depth(usual=few, thorough=storms.AT_ONCE))
    told = edge.run(Options(length="short"))
    paths = [
        "authenticated get",
        "read of the database",
        "command post",
        "jwt check",
        "login",
        "reader in a login storm",
        "login, rfc9106",
        "reader in a login storm, rfc9106",
    ]
    promised(json.dumps(told.json()), "edge", paths)
    assert [row.runs for row in told.rows] == [rounds] * len(paths)
    ratios = {row.path: row.ratio for row in told.rows}
    # Guards against what is badly wrong, on any machine: a token check or a sign-in that costs many times what it must.
    assert ratios["jwt check"] > 0.2
    assert ratios["login"] > 0.05


async def test_clients_that_drive_tell_a_wrong_answer() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                status = b"200 OK" if b" /good " in await reader.readuntil(b"\r\n\r\n") else b"429 Too Many Requests"
                writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    driven = await drive(Load(url, lambda client: client.get("/good"), 200), 3, 0.05)
    assert len(driven.milliseconds) >= 3
    assert 0 < driven.rate <= len(driven.milliseconds) / 0.05
    with pytest.raises(OperatorError, match="429 instead of 200"):
        await drive(Load(url, lambda client: client.get("/bad"), 200), 1, 0.05)
    server.close()
    await server.wait_closed()


async def test_the_client_reads_answers_one_after_the_other_and_refuses_a_wrong_status() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for status in (b"201 Created", b"201 Created", b"503 Service Unavailable"):
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]))
            writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\n{}")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connection = await Connection.open(f"http://127.0.0.1:{port}")
    request = connection.request("/v1/x", {"name": "é"}, "token")
    assert await connection.send(request) == (201, b"{}")
    assert await connection.timed(request, 201) > 0
    with pytest.raises(OperatorError, match="503 instead of 201"):
        await connection.timed(request, 201)
    await connection.close()
    server.close()
    await server.wait_closed()


STARTS_ONE = """
import os
from prog_infra.bench.targets import running
with running(["http.server", "0", "--bind", "127.0.0.1"], os.environ) as child:
    print(child.pid, flush=True)
    input()
"""


async def test_what_a_benchmark_started_ends_when_it_is_killed() -> None:
    bench = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STARTS_ONE, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert bench.stdout is not None
    started = psutil.Process(int(await asyncio.wait_for(bench.stdout.readline(), 60)))
    assert started.is_running()
    bench.kill()
    await asyncio.wait_for(bench.wait(), 60)
    with contextlib.suppress(psutil.NoSuchProcess):
        await wait_until(lambda: started.status() == psutil.STATUS_ZOMBIE, within_seconds=60)
