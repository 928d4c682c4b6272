"""The read side of a tenant's directory: for SCIM as it writes users and groups, and for pages."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import orjson

from prog_contracts.directory import DEFAULT_ROLE, DefaultRole, MappedRole
from prog_contracts.errors import Invalid
from prog_kit.database import Connection
from prog_kit.pages import Where

Kind = Literal["User", "Group"]


@dataclass(frozen=True, slots=True)
class EntryRow:
    """A user or a group. `related` are, of a user, the groups with their names, and, of a group, the members."""

    id: str
    resource: Mapping[str, Any]
    version: int
    created_at: datetime
    updated_at: datetime
    related: Sequence[tuple[str, str | None]] = ()


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group as a page shows it; `role` is what it gives its people."""

    directory_group_id: str
    name: str
    role: MappedRole | None
    members: int


@dataclass(frozen=True, slots=True)
class DirectoryRow:
    """How many entries there are, by where they stand: joined, invited by now, shut out."""

    default_role: DefaultRole
    users: int
    active: int
    joined: int


@dataclass(frozen=True, slots=True)
class Search:
    """Which entries, in which order. `condition` and `order` are SQL that `directory_filters` has made.

    `parts` is how much is asked of each entry of the directory; 0 where an index finds those that are meant.
    """

    condition: str = "true"
    values: Sequence[object] = ()
    order: str = ""
    offset: int = 0
    limit: int = 100
    parts: int = 0


LOOKS_MAX: Final = 500_000
"""How many entries a search may read, times what it asks of each: about a second of the database."""

_TABLES: Final[Mapping[Kind, tuple[str, str]]] = {
    "User": ("tenants.directory_users", "directory_user_id"),
    "Group": ("tenants.directory_groups", "directory_group_id"),
}
_RELATED: Final[Mapping[Kind, str]] = {
    "User": """
        SELECT m.directory_user_id AS id, g.directory_group_id AS other, g.resource ->> 'displayName' AS name
        FROM tenants.directory_group_members AS m
        JOIN tenants.directory_groups AS g USING (tenant_id, directory_group_id)
        WHERE m.tenant_id = $1 AND m.directory_user_id = ANY ($2::text[]) ORDER BY other
    """,
    "Group": """
        SELECT m.directory_group_id AS id, m.directory_user_id AS other, NULL AS name
        FROM tenants.directory_group_members AS m
        WHERE m.tenant_id = $1 AND m.directory_group_id = ANY ($2::text[]) ORDER BY other
    """,
}


async def entry(
    connection: Connection, kind: Kind, tenant_id: str, entry_id: str, *, related: bool = True
) -> EntryRow | None:
    """One entry; without `related` its groups or members are left out."""
    table, key = _TABLES[kind]
    row = await connection.fetchrow(
        f"SELECT {key} AS id, resource, version, created_at, updated_at FROM {table}"
        f" WHERE tenant_id = $1 AND {key} = $2",
        tenant_id,
        entry_id,
    )
    if row is None:
        return None
    return _entry(row, (await _related(connection, kind, tenant_id, [entry_id])).get(entry_id, ()) if related else ())


async def entries(
    connection: Connection, kind: Kind, tenant_id: str, search: Search, *, related: bool = True
) -> tuple[int, Sequence[EntryRow]]:
    """How many entries there are like this, and one page of them: in the order of their making where none is asked.

    Raises Invalid with code `too_many` for what would read too much of a large directory.
    """
    table, key = _TABLES[kind]
    if search.parts:
        await _check_size(connection, table, tenant_id, LOOKS_MAX // search.parts)
    where = Where()
    where.add("tenant_id = {}", tenant_id)
    where.add(search.condition, *search.values)
    total = int(await connection.fetchval(f"SELECT count(*) FROM {table} AS e WHERE {where}", *where.values))
    if search.limit == 0 or search.offset >= total:
        return total, []
    order = f"{search.order}, " if search.order else ""
    rows = await connection.fetch(
        f"SELECT {key} AS id, resource, version, created_at, updated_at FROM {table} AS e WHERE {where}"
        f" ORDER BY {order}created_at, {key} LIMIT {where.value(search.limit)} OFFSET {where.value(search.offset)}",
        *where.values,
    )
    others = await _related(connection, kind, tenant_id, [row["id"] for row in rows]) if related else {}
    return total, [_entry(row, others.get(row["id"], ())) for row in rows]


async def groups(connection: Connection, tenant_id: str) -> Sequence[GroupRow]:
    """The groups by name, at most 1000."""
    rows = await connection.fetch(
        """
        SELECT directory_group_id, resource ->> 'displayName' AS name, role,
               (SELECT count(*) FROM tenants.directory_group_members AS m
                WHERE m.tenant_id = $1 AND m.directory_group_id = g.directory_group_id) AS members
        FROM tenants.directory_groups AS g WHERE tenant_id = $1 ORDER BY name_key, directory_group_id LIMIT 1000
        """,
        tenant_id,
    )
    return [GroupRow(**dict(row)) for row in rows]


async def group(connection: Connection, tenant_id: str, directory_group_id: str) -> GroupRow | None:
    row = await connection.fetchrow(
        """
        SELECT directory_group_id, resource ->> 'displayName' AS name, role,
               (SELECT count(*) FROM tenants.directory_group_members AS m
                WHERE m.tenant_id = $1 AND m.directory_group_id = $2) AS members
        FROM tenants.directory_groups WHERE tenant_id = $1 AND directory_group_id = $2
        """,
        tenant_id,
        directory_group_id,
    )
    return None if row is None else GroupRow(**dict(row))


async def directory(connection: Connection, tenant_id: str) -> DirectoryRow:
    """The directory as a whole; it is there, if empty, for every tenant."""
    row = await connection.fetchrow(
        """
        SELECT coalesce((SELECT default_role FROM tenants.directories WHERE tenant_id = $1), $2) AS default_role,
               count(*) AS users, count(*) FILTER (WHERE active) AS active,
               count(*) FILTER (WHERE active AND user_id IS NOT NULL) AS joined
        FROM tenants.directory_users WHERE tenant_id = $1
        """,
        tenant_id,
        DEFAULT_ROLE,
    )
    assert row is not None
    return DirectoryRow(**dict(row))


async def _check_size(connection: Connection, table: str, tenant_id: str, most: int) -> None:
    size = await connection.fetchval(
        f"SELECT count(*) FROM (SELECT FROM {table} WHERE tenant_id = $1 LIMIT $2) AS first", tenant_id, most + 1
    )
    if size > most:
        raise Invalid(
            "This would read every entry, and there are too many. Ask with eq for id, userName, externalId,"
            " emails.value or a group's displayName, or read all pages without filter and order.",
            code="too_many",
        )


async def _related(
    connection: Connection, kind: Kind, tenant_id: str, ids: Collection[str]
) -> Mapping[str, Sequence[tuple[str, str | None]]]:
    found: dict[str, list[tuple[str, str | None]]] = {}
    for row in await connection.fetch(_RELATED[kind], tenant_id, list(ids)):
        found.setdefault(row["id"], []).append((row["other"], row["name"]))
    return found


def _entry(row: Any, related: Sequence[tuple[str, str | None]]) -> EntryRow:
    return EntryRow(
        row["id"], orjson.loads(row["resource"]), row["version"], row["created_at"], row["updated_at"], related
    )
