"""A tenant's exports, and what was collected for them, in the tenant's own scope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import orjson

from prog_kit.database import Connection
from prog_workers.tenants.rules.exporting import WITHHELD

__all__ = ["WITHHELD", "ExportFile", "ExportRow", "export", "export_content", "export_files", "exports"]


@dataclass(frozen=True, slots=True)
class ExportRow:
    """An export, and how far it has come; `expires_at` is on the tenant's clock. `end_reason` is why one has failed."""

    export_id: str
    status: Literal["running", "ready", "expired", "failed"]
    requested_by: str
    requested_at: datetime
    schema_versions: Mapping[str, int]
    tables_done: int
    tables_all: int
    row_count: int
    byte_count: int
    ready_at: datetime | None
    expires_at: datetime | None
    fetched_at: datetime | None
    end_reason: Literal["too_large"] | None


@dataclass(frozen=True, slots=True)
class ExportFile:
    """What was collected of one table: so many rows, in these parts."""

    table: str
    rows: int
    parts: Sequence[int]


_EXPORTS: Final = """
SELECT export_id, CASE WHEN end_reason IS NULL THEN status ELSE 'failed' END AS status, end_reason, requested_by,
       requested_at, schema_versions, tables_done, tables_all, row_count, byte_count,
       ready_at, expires_at, fetched_at
FROM tenants.exports WHERE tenant_id = $1
"""


async def exports(connection: Connection, tenant_id: str) -> Sequence[ExportRow]:
    """The newest first, at most 50."""
    rows = await connection.fetch(f"{_EXPORTS} ORDER BY requested_at DESC, export_id DESC LIMIT 50", tenant_id)
    return [_of(dict(row)) for row in rows]


async def export(connection: Connection, tenant_id: str, export_id: str) -> ExportRow | None:
    row = await connection.fetchrow(f"{_EXPORTS} AND export_id = $2", tenant_id, export_id)
    return None if row is None else _of(dict(row))


async def export_files(connection: Connection, tenant_id: str, export_id: str) -> Sequence[ExportFile]:
    """One for each table, by name."""
    rows = await connection.fetch(
        "SELECT table_name, sum(row_count)::bigint AS rows, array_agg(number ORDER BY number) AS parts"
        " FROM tenants.export_parts WHERE tenant_id = $1 AND export_id = $2 GROUP BY table_name ORDER BY table_name",
        tenant_id,
        export_id,
    )
    return [ExportFile(row["table_name"], row["rows"], row["parts"]) for row in rows]


async def export_content(connection: Connection, tenant_id: str, export_id: str, number: int) -> bytes | None:
    """The lines of one part; None when the export has ended meanwhile."""
    content: bytes | None = await connection.fetchval(
        "SELECT content FROM tenants.export_parts WHERE tenant_id = $1 AND export_id = $2 AND number = $3",
        tenant_id,
        export_id,
        number,
    )
    return content


def _of(values: dict[str, object]) -> ExportRow:
    versions = values.pop("schema_versions")
    return ExportRow(**values, schema_versions=orjson.loads(str(versions)))  # type: ignore[arg-type]
