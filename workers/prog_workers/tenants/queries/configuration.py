"""A tenant's configuration, its history, and the pictures that it names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from prog_contracts.configuration import Configuration
from prog_kit.database import Connection
from prog_kit.pages import Page, bounded, decode_cursor, page_of


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One version. `changed_by` is an actor, None for what a tenant begins with; `changed` are dotted names."""

    version: int
    configuration: Configuration
    changed: Sequence[str]
    changed_by: str | None
    reason: str | None
    restored_version: int | None
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Logo:
    content: bytes
    width: int
    height: int


_VERSIONS = """
SELECT version, settings, changed, changed_by, reason, restored_version, changed_at
FROM tenants.config_versions WHERE tenant_id = $1
"""


async def config(connection: Connection, tenant_id: str) -> VersionRow | None:
    """The version that holds; None for a tenant that never had one."""
    row = await connection.fetchrow(f"{_VERSIONS} ORDER BY version DESC LIMIT 1", tenant_id)
    return None if row is None else _of_row(row)


async def api_version(connection: Connection, tenant_id: str) -> str | None:
    """The version of the API that the tenant has set for requests that name none."""
    name: str | None = await connection.fetchval(
        "SELECT settings ->> 'api_version' FROM tenants.config_versions WHERE tenant_id = $1"
        " ORDER BY version DESC LIMIT 1",
        tenant_id,
    )
    return name


async def config_version(connection: Connection, tenant_id: str, version: int) -> VersionRow | None:
    row = await connection.fetchrow(f"{_VERSIONS} AND version = $2", tenant_id, version)
    return None if row is None else _of_row(row)


async def config_history(
    connection: Connection, tenant_id: str, *, limit: int = 50, cursor: str | None = None
) -> Page[VersionRow]:
    """The versions, newest first. Raises Invalid for a cursor of another list."""
    before = 2**31 - 1
    if cursor is not None:
        [before] = decode_cursor(cursor, int)
    size = bounded(limit)
    found = await connection.fetch(
        f"{_VERSIONS} AND version < $2 ORDER BY version DESC LIMIT $3", tenant_id, before, size + 1
    )
    rows = [_of_row(row) for row in found]
    return page_of(rows, size, lambda row: (row.version,))


async def logo(connection: Connection, tenant_id: str, logo_id: str) -> Logo | None:
    row = await connection.fetchrow(
        "SELECT content, width, height FROM tenants.logos WHERE tenant_id = $1 AND logo_id = $2", tenant_id, logo_id
    )
    return None if row is None else Logo(**dict(row))


def _of_row(row: object) -> VersionRow:
    values = dict(row)  # type: ignore[call-overload]  # a record is a mapping
    return VersionRow(configuration=Configuration.model_validate_json(values.pop("settings")), **values)
