"""The file of a tenant's export: what was collected, with a manifest that says what is in it and how to verify it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Final

import orjson

from prog_contracts.errors import Conflict
from prog_edge.archives import ArchiveResponse, Content, once
from prog_edge.platform import Platform
from prog_workers.tenants import queries

README: Final = """All that ProgNetwork has of one tenant. Each file is a table with one JSON object a line; times: UTC.

manifest.json says of each file how many rows and bytes it has and its SHA-256, which versions of the schema the rows
are of, and what is left out and why. Secrets are in no file: they are kept sealed, or as digests, or not at all.

The tables were read one after the other while the platform went on: what changed meanwhile may be in one and not yet
in another. bus.event_log has the events that the tenant has published, events.audit_entries what was done in it.
"""
FORMAT: Final = 1


@dataclass(slots=True)
class _Written:
    """What a file has turned out to be."""

    file: queries.ExportFile
    size: int = 0
    digest: str = ""


async def export_response(platform: Platform, tenant_id: str, export_id: str) -> ArchiveResponse:
    """The file of an export that its domain has let somebody fetch. Raises Conflict where it has ended meanwhile."""
    async with platform.database.scope(tenant_id=tenant_id) as connection:
        row = await queries.export(connection, tenant_id, export_id)
        files = await queries.export_files(connection, tenant_id, export_id)
    if row is None or row.status != "ready":
        raise Conflict("This export is not ready, or was deleted.", code="export_not_ready")
    written = [_Written(file) for file in files]
    return ArchiveResponse(f"{tenant_id}-{row.requested_at:%Y-%m-%d}.zip", _files(platform, tenant_id, row, written))


async def _files(
    platform: Platform, tenant_id: str, row: queries.ExportRow, written: Sequence[_Written]
) -> AsyncIterator[tuple[str, Content]]:
    yield "README.txt", once(README)
    for each in written:
        yield f"{each.file.table}.jsonl", _content(platform, tenant_id, row.export_id, each)
    yield "manifest.json", _manifest(tenant_id, row, written)


def _content(platform: Platform, tenant_id: str, export_id: str, written: _Written) -> Content:
    async def parts() -> AsyncIterator[bytes]:
        digest = hashlib.sha256()
        for number in written.file.parts:
            async with platform.database.scope(tenant_id=tenant_id) as connection:
                lines = await queries.export_content(connection, tenant_id, export_id, number)
            if lines is None:  # the answer breaks off: better no file than one with a hole
                raise Conflict("The export has ended meanwhile.", code="export_not_ready")
            digest.update(lines)
            written.size += len(lines)
            yield lines
        written.digest = digest.hexdigest()

    return parts


def _manifest(tenant_id: str, row: queries.ExportRow, written: Sequence[_Written]) -> Content:
    """Asked for when all other files are done."""

    async def document() -> AsyncIterator[bytes]:
        told = {
            "format": FORMAT,
            "platform": {"name": "prognetwork", "version": metadata.version("prognetwork")},
            "tenant_id": tenant_id,
            "export_id": row.export_id,
            "requested_at": row.requested_at,
            "collected_at": row.ready_at,
            "schema_versions": row.schema_versions,
            "files": [
                {
                    "name": f"{each.file.table}.jsonl",
                    "table": each.file.table,
                    "rows": each.file.rows,
                    "bytes": each.size,
                    "sha256": each.digest,
                }
                for each in written
            ],
            "left_out": queries.WITHHELD,
        }
        yield orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z)

    return document
