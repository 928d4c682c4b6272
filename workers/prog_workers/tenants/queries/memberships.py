"""Where a person is a member. There may be thousands, of whoever looks after other people's tenants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from prog_contracts.tenants import TenantRole, TenantStatus
from prog_kit.database import Connection
from prog_kit.pages import Page, Where, bounded, decode_cursor, page_of


@dataclass(frozen=True, slots=True)
class MembershipRow:
    """One of a person's tenants, with the person's role there."""

    tenant_id: str
    name: str
    slug: str
    status: TenantStatus
    plan: str | None
    member_count: int
    created_at: datetime
    role: TenantRole
    joined_at: datetime


@dataclass(frozen=True, slots=True)
class OwnedRow:
    """A tenant that is somebody's alone."""

    tenant_id: str
    name: str


async def roles_of(connection: Connection, user_id: str) -> Mapping[str, TenantRole]:
    """A person's role in each of their tenants that are not deleted, in the order of joining."""
    rows = await connection.fetch(
        """
        SELECT m.tenant_id, m.role FROM tenants.members AS m JOIN tenants.tenants AS t USING (tenant_id)
        WHERE m.user_id = $1 AND t.status <> 'deleted' ORDER BY m.joined_at, m.tenant_id
        """,
        user_id,
    )
    return {row["tenant_id"]: row["role"] for row in rows}


async def tenants_of(
    connection: Connection,
    user_id: str,
    *,
    search: str = "",
    status: TenantStatus | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[MembershipRow]:
    """A person's tenants that are not deleted, in the order of joining. `search` is part of a name or slug.

    Raises Invalid for a cursor of another list.
    """
    where = Where()
    where.add("m.user_id = {}", user_id)
    where.add("t.status <> 'deleted'")
    if status is not None:
        where.add("t.status = {}", status)
    if search:
        where.add("(strpos(lower(t.name), lower({})) > 0 OR strpos(t.slug, lower({})) > 0)", search, search)
    if cursor is not None:
        where.add("(m.joined_at, m.tenant_id) > ({}, {})", *decode_cursor(cursor, datetime, str))
    size = bounded(limit)
    rows = await connection.fetch(
        f"""
        SELECT t.tenant_id, t.name, t.slug, t.status, t.plan, t.member_count, t.created_at, m.role, m.joined_at
        FROM tenants.members AS m JOIN tenants.tenants AS t USING (tenant_id)
        WHERE {where} ORDER BY m.joined_at, m.tenant_id LIMIT {where.value(size + 1)}
        """,
        *where.values,
    )
    return page_of([MembershipRow(**dict(row)) for row in rows], size, lambda row: (row.joined_at, row.tenant_id))


async def owned_alone(connection: Connection, user_id: str) -> Sequence[OwnedRow]:
    """The tenants that would have no owner without a person, but for those that are being deleted, at most 100.

    Asks with the rights of `Database.operator`, for it takes other people's memberships.
    """
    rows = await connection.fetch(
        """
        SELECT t.tenant_id, t.name FROM tenants.members AS m JOIN tenants.tenants AS t USING (tenant_id)
        WHERE m.user_id = $1 AND m.role = 'owner' AND t.status NOT IN ('deleting', 'deleted')
          AND NOT EXISTS (SELECT FROM tenants.members AS o
                          WHERE o.tenant_id = m.tenant_id AND o.role = 'owner' AND o.user_id <> m.user_id)
        ORDER BY m.joined_at, t.tenant_id LIMIT 100
        """,
        user_id,
    )
    return [OwnedRow(**dict(row)) for row in rows]
