"""`prog audit` as a person types it, on a real database."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from prog_contracts.ids import new_id
from prog_infra.commands import audit
from prog_kit.database import Database
from prog_workers.events.audit import writing
from prog_workers.events.audit.entries import Happening, Outcome
from tests.running import run

OURS, THEIRS, ADA = new_id("tenant"), new_id("tenant"), new_id("user")


@pytest.fixture(autouse=True)
def written(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    run(write(environment["PROG_DATABASE_URL"]))


async def write(url: str) -> None:
    outcomes: list[tuple[str, Outcome, str | None]] = [
        (OURS, "success", None), (OURS, "failure", "name_taken"), (OURS, "denial", "denied"), (THEIRS, "success", None)
    ]  # fmt: skip
    database = await Database.connect(url, "prog_events", max_size=1)
    try:
        async with database.transaction() as connection:
            await connection.execute("SET LOCAL ROLE prog_auditor")
            happenings = [
                Happening(
                    tenant_id=tenant_id, at=datetime(2026, 11, 26, tzinfo=UTC), action=f"tenants.{outcome}",
                    outcome=outcome, code=code, actor_kind="person", actor=ADA,
                )
                for tenant_id, outcome, code in outcomes
            ]  # fmt: skip
            await writing.append(connection, happenings)
    finally:
        await database.close()


async def tamper(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(statement)
    finally:
        await connection.close()


def prog(*arguments: str) -> Result:
    return CliRunner().invoke(audit.app, list(arguments))


def told(*arguments: str) -> Any:
    return json.loads(prog(*arguments, "--json").stdout)


def test_verify_tells_the_end_of_each_chain() -> None:
    done = prog("verify")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("4 entries in 2 chains: intact.")
    answer = told("verify")
    assert (answer["intact"], answer["entries"]) == (True, 4)
    assert {chain["tenant_id"]: chain["sequence"] for chain in answer["data"]} == {OURS: 3, THEIRS: 1}
    assert [chain["tenant_id"] for chain in told("verify", "--tenant", OURS)["data"]] == [OURS]


def test_verify_fails_and_tells_where(environment: dict[str, str]) -> None:
    run(
        tamper(environment["PROG_DATABASE_URL"], "UPDATE events.audit_entries SET code = 'x' WHERE outcome = 'failure'")
    )
    done = prog("verify")
    assert done.exit_code == 1
    assert f"{OURS}  changed             Entry 2 says something else than when it was written." in done.stdout
    [chain] = [chain for chain in told("verify")["data"] if chain["findings"]]
    assert (chain["tenant_id"], chain["findings"][0]["kind"], chain["findings"][0]["sequence"]) == (OURS, "changed", 2)


def test_an_earlier_verification_is_an_anchor(environment: dict[str, str], tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text(prog("verify", "--json").stdout)
    assert prog("verify", "--against", str(kept)).exit_code == 0
    for table in ("entries", "heads"):
        run(tamper(environment["PROG_DATABASE_URL"], f"DELETE FROM events.audit_{table} WHERE tenant_id = '{THEIRS}'"))
    assert prog("verify").exit_code == 0, "the database alone shows nothing of it"
    done = prog("verify", "--against", str(kept))
    assert done.exit_code == 1
    assert "The chain is gone that an earlier verification has seen." in done.stdout


@pytest.mark.parametrize("content", ["", "[]", '{"data": [{}]}', '{"data": [{"tenant_id": 1}]}'])
def test_what_is_no_earlier_verification_is_refused(content: str, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text(content)
    done = prog("verify", "--against", str(wrong))
    assert "prog audit verify --json" in str(done.exception)
    assert "there is no" in str(prog("verify", "--against", str(tmp_path / "nowhere")).exception)


def test_list_shows_who_did_what_and_why_it_failed() -> None:
    lines = prog("list").stdout.splitlines()
    assert len(lines) == 4
    [line] = prog("list", "--outcome", "failure").stdout.splitlines()
    assert line.split() == ["2026-11-26", "00:00:00", "failure", "tenants.failure", ADA, "-", "name_taken"]
    assert [row["tenant_id"] for row in told("list", "--tenant", THEIRS)["data"]] == [THEIRS]
    assert prog("list", "--actor", new_id("user")).stdout == "No entries.\n"
    assert prog("list", "--outcome", "maybe").exit_code == 2


def test_an_export_can_be_verified_without_the_platform(tmp_path: Path) -> None:
    file = tmp_path / "trail.jsonl"
    assert told("export", str(file), "--tenant", OURS)["entries"] == 3
    previous = "00" * 32
    for number, line in enumerate(file.read_text().splitlines(), 1):
        entry = json.loads(line)
        digest = entry.pop("hash")
        text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert sha256(b"prognetwork audit entry\n" + text.encode()).hexdigest() == digest
        assert (entry["sequence"], entry["previous"]) == (number, previous)
        previous = digest
    again = prog("export", str(file))
    assert "is there already" in str(again.exception)
