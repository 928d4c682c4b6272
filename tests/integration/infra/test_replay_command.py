"""`prog replay` and `prog dead` as an operator types them, on a real database."""

from __future__ import annotations

import json
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from prog_broker import sql
from prog_contracts.envelope import wrap
from prog_contracts.ids import new_id, new_message_id
from prog_contracts.tenants import RenameTenant
from prog_infra.commands import dead, replay
from tests.integration.broker.replays import write_history
from tests.running import run


@pytest.fixture
def database(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment["PROG_DATABASE_URL"]


def typed(app: Any, *words: str, code: int = 0) -> Any:
    """Runs a command with --json; what it printed."""
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == code, (result.output, result.exception)
    return json.loads(result.stdout)


async def with_admin(url: str, work: Any) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await work(connection)
    finally:
        await connection.close()


def test_a_replay_is_asked_for_listed_paused_resumed_and_cancelled(database: str) -> None:
    tenant = new_id("tenant")
    run(with_admin(database, lambda c: write_history(c, [tenant], 5)))
    started = typed(replay.app, "start", "events", "--reason", "a test", "--tenant", tenant, "--by", "ada")
    assert (started["state"], started["waits_for_worker"], started["scope"]["tenant_id"]) == ("pending", True, tenant)
    identity = started["id"]
    assert [item["id"] for item in typed(replay.app, "list")["data"]] == [identity]
    assert typed(replay.app, "pause", identity)["state"] == "paused"
    assert typed(replay.app, "resume", identity)["state"] == "pending"
    assert typed(replay.app, "cancel", identity, "--by", "bob")["state"] == "cancelled"
    shown = typed(replay.app, "show", identity)
    assert [(entry["what"], entry["by"]) for entry in shown["history"]] == [
        ("requested", "ada"), ("paused", "prog replay"), ("resumed", "prog replay"), ("cancelled", "bob")]  # fmt: skip
    told = CliRunner().invoke(replay.app, ["show", identity])
    assert "cancelled" in told.stdout
    assert "a test" in CliRunner().invoke(replay.app, ["list"]).stdout


def test_a_replay_that_is_over_is_told_in_the_line_of_the_list(database: str) -> None:
    tenant = new_id("tenant")
    run(with_admin(database, lambda c: write_history(c, [tenant], 5)))
    identity = typed(replay.app, "start", "events", "--reason", "a test", "--tenant", tenant)["id"]
    failure = {"type": "acme.order.paid", "position": 7, "reason": "RuntimeError: no", "traceback": "Traceback"}
    run(
        with_admin(
            database,
            lambda c: c.execute(
                "UPDATE bus.replays SET state = 'failed', failed = 2, failure = $1, ended_at = clock_timestamp()",
                json.dumps(failure),
            ),
        )
    )
    followed = CliRunner().invoke(replay.app, ["show", identity, "--follow"])
    assert followed.exit_code == 1
    (listed,) = CliRunner().invoke(replay.app, ["list"]).stdout.splitlines()
    assert followed.stdout.splitlines() == [
        listed,
        "Messages that were passed over, since their handler raised: 2.",
        "It stopped: acme.order.paid at position 7, RuntimeError: no",
        f"`prog replay show {identity}` tells all of it.",
    ]
    shown = CliRunner().invoke(replay.app, ["show", identity]).stdout
    assert f"requested_by{'':<6}prog replay" in shown
    assert "Traceback" in shown
    assert typed(replay.app, "show", identity, "--follow", code=1)["failure"] == failure


@pytest.mark.parametrize("words", [["show", "nonsense"], ["start", "nobody", "--reason", "x"]])
def test_what_is_unknown_is_told(words: list[str], database: str) -> None:
    result = CliRunner().invoke(replay.app, words)
    assert result.exit_code == 1
    assert "nonsense" in str(result.exception) or "nobody" in str(result.exception)


async def bury(connection: Any) -> None:
    for _ in range(3):
        tenant = new_id("tenant")
        envelope = wrap(RenameTenant(tenant_id=tenant, name="Acme"), tenant_id=tenant, source="/test")
        await connection.execute(
            sql.BURY, new_message_id(), "tenants", tenant, envelope.id, envelope.type, "prog.tenants.commands", 0,
            tenant, envelope.correlation_id, 8, "unexpected_exception", "RuntimeError: no", "cause1", "Traceback",
            envelope.attributes(), envelope.data, '{"what": "buried", "attempt": 8}',
        )  # fmt: skip


def test_dead_letters_of_one_cause_are_redriven_and_dropped(database: str) -> None:
    run(with_admin(database, bury))
    (group,) = typed(dead.app, "groups")["data"]
    assert (group["fingerprint"], group["count"]) == ("cause1", 3)
    letters = typed(dead.app, "list", "--group", "cause1", "--consumer", "tenants")["data"]
    assert len(letters) == 3
    assert typed(dead.app, "list", "--tenant", letters[0]["tenant_id"])["data"] == letters[:1]
    assert typed(dead.app, "drop", letters[0]["id"])["done"] == [letters[0]["id"]]
    done = typed(dead.app, "redrive", "--group", "cause1", "--by", "ada")
    assert sorted(done["done"]) == sorted(letter["id"] for letter in letters[1:])
    assert typed(dead.app, "groups")["data"] == []
    history = typed(dead.app, "show", letters[1]["id"])["history"]
    assert [entry["what"] for entry in history] == ["buried", "redriven"]
    for words in (["redrive"], ["drop", letters[0]["id"], "--group", "cause1"]):
        assert CliRunner().invoke(dead.app, words).exit_code == 2
    assert CliRunner().invoke(dead.app, ["drop", "--group", "cause1"]).exit_code == 1
