"""The read side of the tenants domain. The edge calls these with a connection of its own role.

What a caller sees follows from the connection: `Database.scope(tenant_id=…)` shows one tenant, `scope(user_id=…)` a
person's own memberships and tenants, `Database.operator()` all. No query here takes that decision.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from prog_contracts.tenants import TenantRole, TenantStatus
from prog_kit.database import Connection
from prog_kit.pages import Page, Where, bounded, decode_cursor, page_of
from prog_workers.tenants.queries.analytics import tenants_by
from prog_workers.tenants.queries.configuration import (
    Logo,
    VersionRow,
    api_version,
    config,
    config_history,
    config_version,
    logo,
)
from prog_workers.tenants.queries.exports import (
    WITHHELD,
    ExportFile,
    ExportRow,
    export,
    export_content,
    export_files,
    exports,
)
from prog_workers.tenants.queries.memberships import (
    MembershipRow,
    OwnedRow,
    owned_alone,
    roles_of,
    tenants_of,
)
from prog_workers.tenants.queries.sign_on import (
    DomainRow,
    SignOnRow,
    client_secret,
    domains,
    sign_on,
    sign_on_tenant,
)
from prog_workers.tenants.queries.usage import limits, seats_taken
from prog_workers.tenants.rules.analytics import MINIMUM, Disclosed

__all__ = [
    "MEMBERS_AT_ONCE",
    "MINIMUM",
    "WITHHELD",
    "ClockRow",
    "Disclosed",
    "DomainRow",
    "ExportFile",
    "ExportRow",
    "InvitationRow",
    "Logo",
    "MemberRow",
    "MembershipRow",
    "OwnedRow",
    "SignOnRow",
    "TenantRow",
    "VersionRow",
    "api_version",
    "client_secret",
    "clock",
    "config",
    "config_history",
    "config_version",
    "count",
    "count_owners",
    "domains",
    "export",
    "export_content",
    "export_files",
    "exports",
    "limits",
    "list_tenants",
    "logo",
    "member",
    "member_names",
    "members",
    "members_page",
    "names_of",
    "open_invitations",
    "owned_alone",
    "role_of",
    "roles_of",
    "seats_taken",
    "sign_on",
    "sign_on_tenant",
    "tenant",
    "tenants_by",
    "tenants_of",
]

MEMBERS_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class TenantRow:
    """A tenant. `clock_at` is where its test clock stands, None on the wall clock; `clock_advancing_to` is set while
    that is being moved. `purge_at` is when the grace period of its deletion ends, on its own clock."""

    tenant_id: str
    name: str
    slug: str
    status: TenantStatus
    plan: str | None
    owner_user_id: str | None
    owner_email: str | None
    owner_name: str | None
    member_count: int
    first_paid_at: datetime | None
    created_at: datetime
    updated_at: datetime
    suspension_reason: str | None
    purge_at: datetime | None
    clock_at: datetime | None
    clock_advancing_to: datetime | None


@dataclass(frozen=True, slots=True)
class MemberRow:
    user_id: str
    email: str
    name: str
    role: TenantRole
    joined_at: datetime


@dataclass(frozen=True, slots=True)
class InvitationRow:
    """An open invitation; `expires_at` is on the tenant's clock. One that has `expired` can be sent again."""

    invitation_id: str
    email: str
    role: TenantRole
    inviter_name: str
    created_at: datetime
    expires_at: datetime
    expired: bool


@dataclass(frozen=True, slots=True)
class NamingInvitation:
    """An invitation to somebody, or by them."""

    invitation_id: str
    tenant_id: str
    email: str
    role: TenantRole
    status: str
    inviter_name: str
    created_at: datetime
    expires_at: datetime
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class ClockRow:
    stands_at: datetime
    advancing_to: datetime | None
    fired_timers: int


_TENANTS: Final = """
SELECT t.tenant_id, t.name, t.slug, t.status, t.plan, t.owner_user_id, t.owner_email, t.owner_name, t.member_count,
       t.first_paid_at, t.created_at, t.updated_at, t.suspension_reason, t.purge_at,
       c.stands_at AS clock_at, c.advancing_to AS clock_advancing_to
FROM tenants.tenants AS t LEFT JOIN bus.tenant_clocks AS c USING (tenant_id)
"""


async def tenant(connection: Connection, tenant_id: str) -> TenantRow | None:
    """One tenant; None when it is not there, or not the viewer's."""
    row = await connection.fetchrow(f"{_TENANTS} WHERE t.tenant_id = $1", tenant_id)
    return None if row is None else TenantRow(**dict(row))


async def role_of(connection: Connection, tenant_id: str, user_id: str) -> TenantRole | None:
    """A person's role in a tenant; None for somebody who is no member."""
    role: TenantRole | None = await connection.fetchval(
        "SELECT role FROM tenants.members WHERE tenant_id = $1 AND user_id = $2", tenant_id, user_id
    )
    return role


async def members(connection: Connection, tenant_id: str) -> Sequence[MemberRow]:
    """The members in the order of joining, at most MEMBERS_AT_ONCE."""
    return (await members_page(connection, tenant_id)).rows


async def members_page(
    connection: Connection, tenant_id: str, *, limit: int = MEMBERS_AT_ONCE, cursor: str | None = None
) -> Page[MemberRow]:
    """The same a page at a time. Raises Invalid for a cursor of another list."""
    where = Where()
    where.add("tenant_id = {}", tenant_id)
    if cursor is not None:
        where.add("(joined_at, user_id) > ({}, {})", *decode_cursor(cursor, datetime, str))
    rows = await connection.fetch(
        "SELECT user_id, email, name, role, joined_at FROM tenants.members"
        f" WHERE {where} ORDER BY joined_at, user_id LIMIT {where.value(limit + 1)}",
        *where.values,
    )
    return page_of([MemberRow(**dict(row)) for row in rows], limit, lambda row: (row.joined_at, row.user_id))


async def member(connection: Connection, tenant_id: str, user_id: str) -> MemberRow | None:
    row = await connection.fetchrow(
        "SELECT user_id, email, name, role, joined_at FROM tenants.members WHERE tenant_id = $1 AND user_id = $2",
        tenant_id,
        user_id,
    )
    return None if row is None else MemberRow(**dict(row))


async def member_names(connection: Connection, tenant_id: str, user_ids: Iterable[str]) -> Mapping[str, str]:
    """The names of those among these who are members, by id."""
    rows = await connection.fetch(
        "SELECT user_id, name FROM tenants.members WHERE tenant_id = $1 AND user_id = ANY ($2::text[])",
        tenant_id,
        list(user_ids),
    )
    return {row["user_id"]: row["name"] for row in rows}


async def count_owners(connection: Connection, tenant_id: str) -> int:
    return int(
        await connection.fetchval(
            "SELECT count(*) FROM tenants.members WHERE tenant_id = $1 AND role = 'owner'", tenant_id
        )
    )


async def invitations_naming(connection: Connection, user_id: str, email: str) -> Sequence[NamingInvitation]:
    """The invitations to a person, and those that they sent, newest first, at most 10,000.

    Asks with the rights of `Database.operator`, for they are of many tenants.
    """
    rows = await connection.fetch(
        """
        SELECT invitation_id, tenant_id, email, role, status, inviter_name, created_at, expires_at, settled_at
        FROM tenants.invitations WHERE email = $2 OR invited_by COLLATE "C" = $1 ORDER BY created_at DESC LIMIT 10000
        """,
        user_id,
        email,
    )
    return [NamingInvitation(**dict(row)) for row in rows]


async def open_invitations(connection: Connection, tenant_id: str, now: datetime) -> Sequence[InvitationRow]:
    """Invitations that were neither accepted nor taken back, newest first, at most 1000; `now` is on the tenant's
    clock."""
    rows = await connection.fetch(
        """
        SELECT invitation_id, email, role, inviter_name, created_at, expires_at, expires_at <= $2 AS expired
        FROM tenants.invitations WHERE tenant_id = $1 AND status = 'open'
        ORDER BY created_at DESC, invitation_id DESC LIMIT 1000
        """,
        tenant_id,
        now,
    )
    return [InvitationRow(**dict(row)) for row in rows]


async def clock(connection: Connection, tenant_id: str) -> ClockRow | None:
    """The tenant's test clock; None on the wall clock."""
    row = await connection.fetchrow(
        "SELECT stands_at, advancing_to, fired_timers FROM bus.tenant_clocks WHERE tenant_id = $1", tenant_id
    )
    return None if row is None else ClockRow(**dict(row))


async def list_tenants(
    connection: Connection,
    *,
    search: str = "",
    status: TenantStatus | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[TenantRow]:
    """Tenants, newest first. `search` is part of a name, a slug or an owner's address, or a whole id.

    Raises Invalid for a cursor of another list.
    """
    where = Where()
    if status is not None:
        where.add("t.status = {}", status)
    if search:
        pattern = f"%{_literal(search.lower())}%"
        where.add(
            "(lower(t.name) LIKE {} OR t.slug LIKE {} OR t.owner_email LIKE {} OR t.tenant_id = {})",
            pattern,
            pattern,
            pattern,
            search,
        )
    if cursor is not None:
        where.add("(t.created_at, t.tenant_id) < ({}, {})", *decode_cursor(cursor, datetime, str))
    size = bounded(limit)
    query = f"{_TENANTS} WHERE {where} ORDER BY t.created_at DESC, t.tenant_id DESC LIMIT {where.value(size + 1)}"
    rows = [TenantRow(**dict(row)) for row in await connection.fetch(query, *where.values)]
    return page_of(rows, size, lambda row: (row.created_at, row.tenant_id))


async def names_of(connection: Connection, tenant_ids: Sequence[str]) -> Mapping[str, str]:
    """The names of tenants by id, for lists that show many."""
    rows = await connection.fetch(
        "SELECT tenant_id, name FROM tenants.tenants WHERE tenant_id = ANY ($1::text[])", list(set(tenant_ids))
    )
    return {row["tenant_id"]: row["name"] for row in rows}


async def count(connection: Connection) -> int:
    """How many tenants there are that are not deleted, the platform's own among them."""
    return int(await connection.fetchval("SELECT count(*) FROM tenants.tenants WHERE status <> 'deleted'"))


def _literal(text: str) -> str:
    """`text` without meaning to LIKE."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
