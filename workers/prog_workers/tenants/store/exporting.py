"""Reading a tenant's rows for an export, as the role `prog_exporter`, which may read these and nothing else.

Which tables and columns there are the catalogue tells, by what migrations have granted to that role
(`bus.let_tenants_export`). So a new table needs no change here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from prog_broker.transaction import Transaction

ROLE: Final = "prog_exporter"
_AHEAD: Final = 50
"""Rows that are read at a time."""

_KEYS: Final[Mapping[str, tuple[str, ...]]] = {"bus.event_log": ("position",)}
"""Of tables that have no primary key."""
_BYTES: Final[Mapping[str, str]] = {
    "bus.event_log.data": "CASE WHEN r.data IS JSON THEN convert_from(r.data, 'UTF8')::json"
    " ELSE to_json(translate(encode(r.data, 'base64'), E'\\n', '')) END",
    "tenants.logos.content": "translate(encode(r.content, 'base64'), E'\\n', '')",
}
"""How columns of bytes are shown that are not shown in hexadecimal digits."""

_TABLES: Final = """
SELECT n.nspname || '.' || c.relname AS name, array_agg(a.attname::text ORDER BY a.attnum) AS columns,
       array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum) AS types,
       (SELECT array_agg(k.attname::text ORDER BY i.place) FROM pg_index AS x
        CROSS JOIN LATERAL unnest(x.indkey::int2[]) WITH ORDINALITY AS i (attnum, place)
        JOIN pg_attribute AS k ON k.attrelid = x.indrelid AND k.attnum = i.attnum
        WHERE x.indrelid = c.oid AND x.indisprimary) AS key
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = c.oid AND p.polname = 'tenant_export')
  AND has_column_privilege($1, c.oid, a.attnum, 'SELECT')
GROUP BY c.oid, n.nspname, c.relname ORDER BY (n.nspname || '.' || c.relname) COLLATE "C"
"""


@dataclass(frozen=True, slots=True)
class ExportedTable:
    """A table that exports read: its columns with their types, and those by which its rows are in order."""

    name: str
    columns: Mapping[str, str]
    key: Sequence[str]


@dataclass(frozen=True, slots=True)
class Lines:
    """Some rows as lines of JSON. `after` is the key of the last one, None where there are no more."""

    content: bytes
    rows: int
    after: Sequence[str] | None


async def exported_tables(tx: Transaction) -> list[ExportedTable]:
    """All of them, by name."""
    rows = await tx.fetch(_TABLES, ROLE)
    return [
        ExportedTable(
            row["name"], dict(zip(row["columns"], row["types"], strict=True)), row["key"] or _KEYS[row["name"]]
        )
        for row in rows
    ]


async def read_lines(tx: Transaction, table: ExportedTable, after: Sequence[str] | None, most_bytes: int) -> Lines:
    """The tenant's next rows of a table, until they have `most_bytes`; one row at least, if there is one."""
    lines: list[str] = []
    size = 0
    async with _exporter(tx):
        async for row in tx.connection.cursor(_statement(table, after), tx.tenant_id, *(after or ()), prefetch=_AHEAD):
            lines.append(row["line"])
            size += len(row["line"])
            if size >= most_bytes:
                return Lines(_joined(lines), len(lines), row["key"])
    return Lines(_joined(lines), len(lines), None)


@asynccontextmanager
async def _exporter(tx: Transaction) -> AsyncIterator[None]:
    """Plans are made for this tenant, and not once for all: of a table that is another's for the most part, a small
    tenant's rows are asked of its index."""
    await tx.execute(f"SET LOCAL ROLE {ROLE}")
    await tx.execute("SET LOCAL plan_cache_mode = force_custom_plan")
    yield
    # Where the block raises, the transaction takes no statement any more, and both end with it.
    await tx.execute("SET LOCAL plan_cache_mode = DEFAULT")
    await tx.execute("SET LOCAL ROLE NONE")


def _statement(table: ExportedTable, after: Sequence[str] | None) -> str:
    """All names are the catalogue's."""
    shown = ", ".join(_shown(table.name, name, kind) for name, kind in table.columns.items())
    key = ", ".join(f'r."{name}"' for name in table.key)
    texts = ", ".join(f'r."{name}"::text' for name in table.key)
    beyond = ""
    if after is not None:
        values = ", ".join(f"${place}::text::{table.columns[name]}" for place, name in enumerate(table.key, 2))
        beyond = f" AND ({key}) > ({values})"
    return (
        f"SELECT row_to_json(s)::text AS line, ARRAY[{texts}] AS key FROM {table.name} AS r"
        f" CROSS JOIN LATERAL (SELECT {shown}) AS s WHERE r.tenant_id = $1{beyond} ORDER BY {key}"
    )


def _shown(table: str, column: str, kind: str) -> str:
    if kind != "bytea":
        return f'r."{column}"'
    expression = _BYTES.get(f"{table}.{column}", f"encode(r.\"{column}\", 'hex')")
    return f'{expression} AS "{column}"'


def _joined(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
