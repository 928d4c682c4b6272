"""Months of the event log that are past their time, as files: JSON lines, compressed with gzip, one file a month.

A month is written, synced and counted before its table goes; stopped at any point, the next run begins that month anew.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import asyncpg
import orjson

from prog_infra import migrations
from prog_infra.durable import sync
from prog_infra.errors import OperatorError

BATCH: Final = 1000
_DETACHED: Final = "SELECT name, from_at, until_at FROM bus.event_partitions WHERE state = 'detached' ORDER BY until_at"
_DONE: Final = """
UPDATE bus.event_partitions
SET state = 'archived', archived_at = clock_timestamp(), file = $2, row_count = $3, sha256 = $4 WHERE name = $1
"""


@dataclass(frozen=True, slots=True)
class Month:
    """One file, as `bus.event_partitions` remembers it."""

    name: str
    until: datetime
    file: Path
    rows: int
    sha256: str


async def archive(url: str, directory: Path) -> list[Month]:
    """Writes every detached month into `directory` and drops its table; returns what was written, oldest first.

    `url` is the administrator's. Raises OperatorError when a file of that name is there.
    """
    connection = await migrations.connect(url)
    try:
        return [await _archive(connection, row, directory) for row in await connection.fetch(_DETACHED)]
    finally:
        await connection.close()


async def _archive(connection: asyncpg.Connection[asyncpg.Record], row: asyncpg.Record, directory: Path) -> Month:
    name: str = row["name"]
    file = _place(directory, name)
    async with connection.transaction():
        # The owner is bound by row-level security where it is forced, unless it is a superuser.
        await connection.execute(f'ALTER TABLE bus."{name}" NO FORCE ROW LEVEL SECURITY')
        await connection.execute(f'LOCK TABLE bus."{name}" IN ACCESS EXCLUSIVE MODE')
        unfinished = file.with_suffix(".part")
        rows = 0
        with unfinished.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", filename=name, mtime=0) as packed:
            async for found in connection.cursor(f'SELECT * FROM bus."{name}" ORDER BY position', prefetch=BATCH):
                packed.write(_line(found))
                rows += 1
        _keep(unfinished, file)
        digest = _sha256(file)
        await connection.execute(_DONE, name, str(file), rows, digest)
        await connection.execute(f'DROP TABLE bus."{name}"')
    return Month(name, row["until_at"], file, rows, digest)


def read(file: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file, oldest first."""
    with gzip.open(file, "rb") as lines:
        for line in lines:
            yield orjson.loads(line)


def _place(directory: Path, name: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    file = directory.resolve() / f"{name}.jsonl.gz"
    if file.exists():
        raise OperatorError(f"{file} is there already", remedy="move it away, or name another directory")
    return file


def _line(row: asyncpg.Record) -> bytes:
    fields = dict(row)
    fields["txid"] = str(fields["txid"])
    fields["data"] = orjson.Fragment(fields["data"])
    if fields["extensions"] is not None:
        fields["extensions"] = orjson.Fragment(fields["extensions"])
    return orjson.dumps(fields, default=str, option=orjson.OPT_APPEND_NEWLINE)


def _keep(unfinished: Path, file: Path) -> None:
    """Gives the file its name once all of it is on the disk."""
    sync(unfinished)
    unfinished.rename(file)
    sync(file.parent)


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
