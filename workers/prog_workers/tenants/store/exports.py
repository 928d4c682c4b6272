"""SQL of a tenant's exports, and of what was collected for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from prog_broker.transaction import Transaction

PARTS_AT_ONCE: Final = 256
"""A part has about 1 MiB: half a second of the database."""

ExportStatus = Literal["running", "ready", "expired"]


@dataclass(frozen=True, slots=True)
class Export:
    """`idle_seconds` is how long ago on the machine's clock it came on last."""

    export_id: str
    status: ExportStatus
    requested_by: str
    at_table: str
    after: Sequence[str] | None
    part_count: int
    row_count: int
    byte_count: int
    idle_seconds: float


_EXPORT = (
    "export_id, status, requested_by, at_table, after, part_count, row_count, byte_count,"
    " extract(epoch FROM clock_timestamp() - moved_at)::double precision AS idle_seconds"
)


async def live_export(tx: Transaction) -> Export | None:
    """The one that runs or is ready, locked until the transaction ends."""
    row = await tx.fetchrow(
        f"SELECT {_EXPORT} FROM tenants.exports WHERE tenant_id = $1 AND status <> 'expired' FOR UPDATE", tx.tenant_id
    )
    return None if row is None else Export(**dict(row))


async def insert_export(tx: Transaction, export_id: str, requested_by: str) -> bool:
    """False when there is one with this id."""
    status = await tx.execute(
        """
        INSERT INTO tenants.exports (tenant_id, export_id, status, requested_by, requested_at, schema_versions,
                                     moved_at)
        SELECT $1, $2, 'running', $3, $4, jsonb_object_agg(owner, number), clock_timestamp()
        FROM (SELECT owner, max(number) AS number FROM bus.schema_migrations GROUP BY owner) AS versions
        ON CONFLICT DO NOTHING
        """,
        tx.tenant_id,
        export_id,
        requested_by,
        tx.now,
    )
    return status != "INSERT 0 0"


async def add_export_part(tx: Transaction, export_id: str, number: int, table: str, content: bytes, rows: int) -> None:
    await tx.execute(
        "INSERT INTO tenants.export_parts (tenant_id, export_id, number, table_name, row_count, content)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        tx.tenant_id,
        export_id,
        number,
        table,
        rows,
        content,
    )


async def move_export(tx: Transaction, export: Export, *, tables_done: int, tables_all: int) -> None:
    """Keeps how far an export has come."""
    await tx.execute(
        """
        UPDATE tenants.exports
        SET at_table = $3, after = $4, part_count = $5, row_count = $6, byte_count = $7, tables_done = $8,
            tables_all = $9, moved_at = clock_timestamp()
        WHERE tenant_id = $1 AND export_id = $2
        """,
        tx.tenant_id,
        export.export_id,
        export.at_table,
        export.after,
        export.part_count,
        export.row_count,
        export.byte_count,
        tables_done,
        tables_all,
    )


async def finish_export(tx: Transaction, export_id: str, expires_at: datetime) -> None:
    await tx.execute(
        "UPDATE tenants.exports SET status = 'ready', ready_at = $3, expires_at = $4, moved_at = clock_timestamp()"
        " WHERE tenant_id = $1 AND export_id = $2",
        tx.tenant_id,
        export_id,
        tx.now,
        expires_at,
    )


async def fail_export(tx: Transaction, export: Export, reason: Literal["too_large"]) -> None:
    """Ends an export that comes to no file, and deletes what was collected for it."""
    await tx.execute(
        """
        UPDATE tenants.exports SET end_reason = $3, row_count = $4, byte_count = $5, moved_at = clock_timestamp()
        WHERE tenant_id = $1 AND export_id = $2
        """,
        tx.tenant_id,
        export.export_id,
        reason,
        export.row_count,
        export.byte_count,
    )
    await expire_export(tx, export.export_id)


async def has_failed_within(tx: Transaction, seconds: float) -> bool:
    """Whether an export has come to no file just now, on the machine's clock."""
    query = (
        "SELECT EXISTS (SELECT FROM tenants.exports WHERE tenant_id = $1 AND end_reason IS NOT NULL"
        " AND moved_at > clock_timestamp() - make_interval(secs => $2))"
    )
    return bool(await tx.fetchval(query, tx.tenant_id, seconds))


async def note_fetched(tx: Transaction, export_id: str) -> bool:
    """False for an export that is not ready, or is none of the tenant's."""
    status = await tx.execute(
        "UPDATE tenants.exports SET fetched_at = $3"
        " WHERE tenant_id = $1 AND export_id = $2 AND status = 'ready' AND expires_at > $3",
        tx.tenant_id,
        export_id,
        tx.now,
    )
    return status != "UPDATE 0"


async def expire_export(tx: Transaction, export_id: str) -> bool:
    """Deletes what was collected for an export; False for one that had ended."""
    status = await tx.execute(
        "UPDATE tenants.exports SET status = 'expired' WHERE tenant_id = $1 AND export_id = $2 AND status <> 'expired'",
        tx.tenant_id,
        export_id,
    )
    await tx.execute(
        "DELETE FROM tenants.export_parts WHERE tenant_id = $1 AND export_id = $2", tx.tenant_id, export_id
    )
    return status != "UPDATE 0"


async def expire_exports_naming(tx: Transaction, user_id: str, email: str) -> list[tuple[str, str]]:
    """The same for those of all tenants that have a person's address in them; tenants and exports by their ids.

    All that was collected is looked through, `PARTS_AT_ONCE` a statement: how long one may take, it takes no longer
    however much there is.
    """
    await tx.execute("SELECT set_config('prog.erased_person', $1, true)", user_id)
    naming: set[tuple[str, str]] = set()
    last = ("", "", 0)
    more = True
    while more:
        parts = await tx.fetch(
            """
            SELECT tenant_id, export_id, number,
                   position(convert_to(btrim(to_json($1::text)::text, '"'), 'UTF8') IN content) > 0 AS names
            FROM (SELECT * FROM tenants.export_parts WHERE (tenant_id, export_id, number) > ($2, $3, $4)
                  ORDER BY tenant_id, export_id, number LIMIT $5) AS next
            ORDER BY tenant_id, export_id, number
            """,
            email,
            *last,
            PARTS_AT_ONCE,
        )
        naming |= {(part["tenant_id"], part["export_id"]) for part in parts if part["names"]}
        more = len(parts) >= PARTS_AT_ONCE
        if more:
            last = (parts[-1]["tenant_id"], parts[-1]["export_id"], parts[-1]["number"])
    rows = await tx.fetch(
        """
        UPDATE tenants.exports AS e SET status = 'expired'
        FROM unnest($1::text[], $2::text[]) AS n (tenant_id, export_id)
        WHERE e.tenant_id = n.tenant_id AND e.export_id = n.export_id AND e.status <> 'expired'
        RETURNING e.tenant_id, e.export_id
        """,
        *_columns(naming),
    )
    await tx.execute(
        "DELETE FROM tenants.export_parts AS p USING unnest($1::text[], $2::text[]) AS e (tenant_id, export_id)"
        " WHERE p.tenant_id = e.tenant_id AND p.export_id = e.export_id",
        *_columns(naming),
    )
    await tx.execute("SELECT set_config('prog.erased_person', '', true)")
    return [(row["tenant_id"], row["export_id"]) for row in rows]


def _columns(exports: Iterable[tuple[str, str]]) -> tuple[list[str], list[str]]:
    rows = sorted(exports)
    return [tenant_id for tenant_id, _ in rows], [export_id for _, export_id in rows]
