"""What the events domain writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias, cast
from uuid import UUID

import orjson

from prog_broker.transaction import Transaction
from prog_contracts.events import Compatibility
from prog_kit.database import Connection

Mention: TypeAlias = tuple[str, UUID, str, UUID, datetime]
"""Object id, message id, tenant id, correlation id, time on the tenant's clock."""

# Without a conflict target the insert needs no right to read; sorted rows let two indexers meet without a deadlock.
_INDEX: Final = """
INSERT INTO events.subjects (object_id, message_id, tenant_id, correlation_id, occurred_at)
SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::uuid[], $5::timestamptz[]) AS u (o, m, t, c, at)
ORDER BY o, m
ON CONFLICT DO NOTHING
"""


async def index(tx: Transaction, mentions: Sequence[Mention]) -> None:
    """Remembers which objects the messages of a batch name; what is there already stays as it is."""
    if mentions:
        await tx.execute(_INDEX, *(list(column) for column in zip(*mentions, strict=True)))


async def empty_index(connection: Connection, tenant_id: str | None) -> None:
    """Forgets which messages name which objects, of one tenant or of all; a replay finds them again."""
    if tenant_id is None:
        await connection.execute("TRUNCATE events.subjects")
    else:
        await connection.execute("DELETE FROM events.subjects WHERE tenant_id = $1", tenant_id, timeout=600.0)


_NEWEST_SCHEMAS: Final = """
SELECT DISTINCT ON (type) type, version, schema FROM bus.event_schemas
WHERE tenant_id = $1 AND type = ANY ($2::text[]) ORDER BY type, version DESC
"""
_NAMED_SCHEMAS: Final = """
SELECT s.type, s.version, s.schema FROM bus.event_schemas AS s
JOIN unnest($2::text[], $3::int[]) AS u (type, version) USING (type, version) WHERE s.tenant_id = $1
"""
_SCHEMA_VERSIONS: Final = """
SELECT version, schema, compatibility FROM bus.event_schemas WHERE tenant_id = $1 AND type = $2 ORDER BY version
"""
_KEEP_SCHEMA: Final = """
INSERT INTO bus.event_schemas (tenant_id, type, version, schema, compatibility, registered_at, registered_by)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (tenant_id, type, version) DO UPDATE SET compatibility = EXCLUDED.compatibility
"""


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    """One version of the schema of a type, and what it allows to follow."""

    version: int
    document: dict[str, Any]
    compatibility: Compatibility


async def schemas_for(
    tx: Transaction, wanted: Sequence[tuple[str, int | None]]
) -> dict[tuple[str, int | None], tuple[int, str]]:
    """Version and text of the schemas of types: of the newest version, or of the one that is named with the type."""
    newest = sorted({name for name, version in wanted if version is None})
    named = sorted({(name, version) for name, version in wanted if version is not None})
    found: dict[tuple[str, int | None], tuple[int, str]] = {}
    if newest:
        for row in await tx.fetch(_NEWEST_SCHEMAS, tx.tenant_id, newest):
            found[row["type"], None] = (row["version"], row["schema"])
    if named:
        types, versions = (list(column) for column in zip(*named, strict=True))
        for row in await tx.fetch(_NAMED_SCHEMAS, tx.tenant_id, types, versions):
            found[row["type"], row["version"]] = (row["version"], row["schema"])
    return found


async def schema_versions(tx: Transaction, type_name: str) -> list[SchemaVersion]:
    """All versions of a type's schema, oldest first."""
    rows = await tx.fetch(_SCHEMA_VERSIONS, tx.tenant_id, type_name)
    return [
        SchemaVersion(row["version"], orjson.loads(row["schema"]), cast("Compatibility", row["compatibility"]))
        for row in rows
    ]


async def keep_schema(tx: Transaction, type_name: str, version: int, schema: str, compatibility: Compatibility) -> None:
    """Stores a version, or what is allowed to follow one that is there."""
    await tx.execute(_KEEP_SCHEMA, tx.tenant_id, type_name, version, schema, compatibility, tx.now, tx.actor)


async def note_deletion(tx: Transaction) -> None:
    """From now on the tenant's streams and schemas may be purged."""
    await tx.execute(
        "INSERT INTO events.deleted_tenants (tenant_id, deleted_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        tx.tenant_id,
        tx.now,
    )


async def is_deleted(tx: Transaction) -> bool:
    query = "SELECT EXISTS (SELECT FROM events.deleted_tenants WHERE tenant_id = $1)"
    return bool(await tx.fetchval(query, tx.tenant_id))
