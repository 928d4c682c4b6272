"""`prog tail` as a person types it, on a real broker."""

from __future__ import annotations

import asyncio
import json

import pytest
from typer.testing import CliRunner

from prog_contracts.ids import new_id
from prog_infra.commands import publish, tail
from prog_kit.tasks import cancelled
from tests.running import run
from tests.waiting import wait_until

TOPIC = "prog.tenants.events"


@pytest.fixture
def broker(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


async def update(name: str) -> None:
    body = json.dumps({"tenant_id": new_id("tenant"), "name": name, "status": "active"})
    await publish._publish("prognetwork.tenants.tenant_updated", body, None, "test", 0, None)


@pytest.mark.usefixtures("broker")
def test_without_following_it_ends_behind_what_there_is() -> None:
    for name in ("one", "two"):
        run(update(name))
    done = CliRunner().invoke(tail.app, [TOPIC, "--from-start", "--no-follow", "--count", "5", "--json"])
    assert done.exit_code == 0, done.exception
    assert sorted(json.loads(line)["data"]["name"] for line in done.stdout.splitlines()) == ["one", "two"]
    assert done.stderr == ""


@pytest.mark.usefixtures("broker")
async def test_fewer_than_were_asked_for_are_no_silence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tail, "QUIET_SECONDS", 0.2)
    await update("one")
    extent = tail.Extent(from_start=True, count=2)
    following = asyncio.create_task(tail._tail([TOPIC], tail.Wanted(), extent, None, True))
    said: list[str] = []

    def waits() -> bool:
        said.append(capsys.readouterr().err)
        return "waiting for more" in said[-1]

    await wait_until(waits, within_seconds=60, what="the notice")
    assert said[-1].startswith("prog: 1 of 2 so far")
    assert "--no-follow" in said[-1]
    await update("two")
    await asyncio.wait_for(following, 60)
    assert json.loads(capsys.readouterr().out)["data"]["name"] == "two"


@pytest.mark.usefixtures("broker")
async def test_whoever_follows_where_nothing_passes_is_told_that_it_waits(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tail, "QUIET_SECONDS", 0.2)
    following = asyncio.create_task(tail._tail([TOPIC], tail.Wanted(), tail.Extent(), None, True))
    said: list[str] = []

    def waits() -> bool:
        said.append(capsys.readouterr().err)
        return "prog: waiting for messages - Ctrl-C ends" in said[-1]

    await wait_until(waits, within_seconds=60, what="the notice")
    await cancelled([following])
