"""Schemas that tenants have registered for their own event types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg
import orjson

from prog_kit.database import Connection

MAX_LISTED: Final = 5000

_COLUMNS: Final = "tenant_id, type, version, compatibility, registered_at, registered_by, schema"


@dataclass(frozen=True, slots=True)
class SchemaRow:
    """One version. `compatibility` rules what may follow, if it is the newest."""

    tenant_id: str
    type: str
    version: int
    compatibility: str
    registered_at: datetime
    registered_by: str | None
    schema: Mapping[str, Any]

    @classmethod
    def of(cls, row: asyncpg.Record) -> SchemaRow:
        fields = dict(row)
        return cls(**{**fields, "schema": orjson.loads(fields["schema"])})


async def schemas(connection: Connection, *, type_name: str | None = None) -> list[SchemaRow]:
    """All versions of all types (or of one), by type and version."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM bus.event_schemas WHERE type = coalesce($1, type)"
        f" ORDER BY type, tenant_id, version LIMIT {MAX_LISTED}",
        type_name,
    )
    return [SchemaRow.of(row) for row in rows]


async def schema(connection: Connection, type_name: str, version: int | None = None) -> SchemaRow | None:
    """One version of a type's schema, the newest by default; None when there is none that the viewer may see."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM bus.event_schemas WHERE type = $1 AND version = coalesce($2, version)"
        " ORDER BY version DESC LIMIT 1",
        type_name,
        version,
    )
    return None if row is None else SchemaRow.of(row)
