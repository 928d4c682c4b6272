"""Old months of the event log become files that hold all of their rows, and only then do their tables go."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from prog_contracts.ids import new_id, new_message_id
from prog_infra import archiving
from prog_infra.commands import events
from prog_infra.errors import OperatorError

TENANT = new_id("tenant")
APPEND = """
INSERT INTO bus.event_log (message_id, kind, topic, source_domain, type, schema_version, tenant_id, partition_key,
                           correlation_id, occurred_at, recorded_at, data, extensions)
VALUES ($1, 'event', 'prog.tenants.events', 'tenants', 'x', 1, $2, 'k', $1, $3, $3, $4, '{"region": "eu"}')
"""


@pytest.fixture
async def old_month(postgres: str) -> Any:
    """A database whose first partition has ended long ago, holds 2,500 events and was detached."""
    admin = await asyncpg.connect(postgres)
    end = datetime.now(UTC) - timedelta(days=500)
    for number in range(2500):
        body = json.dumps({"number": number, "text": "ä\n"}).encode()
        await admin.execute(APPEND, new_message_id(), TENANT, end - timedelta(seconds=3000 - number), body)
    await admin.execute(
        "UPDATE bus.relay_cursors SET (txid, position) ="
        " (SELECT txid, position FROM bus.event_log ORDER BY txid DESC, position DESC LIMIT 1)"
    )
    await admin.execute("ALTER TABLE bus.event_log DETACH PARTITION bus.event_log_first")
    await admin.execute(
        f"ALTER TABLE bus.event_log ATTACH PARTITION bus.event_log_first FOR VALUES FROM (MINVALUE) TO ('{end}')"
    )
    await admin.execute("UPDATE bus.event_partitions SET until_at = $1 WHERE name = 'event_log_first'", end)
    assert await admin.fetchval("SELECT bus.retire_event_partitions(400)") == ["event_log_first"]
    yield admin, postgres
    await admin.close()


async def test_a_month_is_a_file_with_all_rows_and_no_table_any_more(old_month: Any, tmp_path: Path) -> None:
    admin, url = old_month
    [month] = await archiving.archive(url, tmp_path / "archive")
    rows = list(archiving.read(month.file))
    assert month.rows == len(rows) == 2500
    assert [row["data"]["number"] for row in rows] == list(range(2500))
    assert (rows[0]["tenant_id"], rows[0]["data"]["text"], rows[0]["extensions"]) == (TENANT, "ä\n", {"region": "eu"})
    assert month.sha256 == hashlib.sha256(month.file.read_bytes()).hexdigest()
    assert await admin.fetchval("SELECT to_regclass('bus.event_log_first')") is None
    kept = await admin.fetchrow("SELECT * FROM bus.event_partitions WHERE name = 'event_log_first'")
    assert (kept["state"], kept["row_count"], kept["sha256"]) == ("archived", 2500, month.sha256)
    assert kept["file"] == str(month.file)
    assert await archiving.archive(url, tmp_path / "archive") == []


async def test_a_file_that_is_there_is_never_written_over(old_month: Any, tmp_path: Path) -> None:
    admin, url = old_month
    (tmp_path / "event_log_first.jsonl.gz").write_bytes(b"mine")
    with pytest.raises(OperatorError, match="is there already"):
        await archiving.archive(url, tmp_path)
    assert await admin.fetchval("SELECT count(*) FROM bus.event_log_first") == 2500


async def test_stopped_in_the_middle_it_begins_anew(
    old_month: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin, url = old_month

    def full(_: Path) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(archiving, "sync", full)
        with pytest.raises(OSError, match="no space left"):
            await archiving.archive(url, tmp_path)
    assert await admin.fetchval("SELECT count(*) FROM bus.event_log_first") == 2500
    [month] = await archiving.archive(url, tmp_path)
    assert month.rows == 2500


def test_the_command_tells_when_there_is_nothing(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(events.app, ["archive", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "Nothing to archive" in done.output
    listed = CliRunner().invoke(events.app, ["months", "--json"])
    names = [row["name"] for row in json.loads(listed.output)["data"]]
    assert names[0] == "event_log_first"
    assert len(names) == 4
