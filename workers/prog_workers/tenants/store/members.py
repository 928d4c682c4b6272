"""SQL of members, and of the platform's staff."""

from __future__ import annotations

from dataclasses import dataclass

from prog_broker.transaction import Transaction
from prog_contracts.tenants import TenantRole
from prog_contracts.users import PlatformRole


@dataclass(frozen=True, slots=True)
class Member:
    user_id: str
    email: str
    name: str
    role: TenantRole


async def is_member(tx: Transaction, email: str) -> bool:
    query = "SELECT EXISTS (SELECT FROM tenants.members WHERE tenant_id = $1 AND email = $2)"
    return bool(await tx.fetchval(query, tx.tenant_id, email))


async def insert_member(
    tx: Transaction, user_id: str, *, email: str, name: str, role: TenantRole, invitation_id: str | None = None
) -> bool:
    """Adds a member and counts; False when the person is one already."""
    return (
        await tx.fetchval(
            """
        WITH member AS (
            INSERT INTO tenants.members (tenant_id, user_id, email, name, role, invitation_id, joined_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT DO NOTHING
            RETURNING tenant_id
        )
        UPDATE tenants.tenants SET member_count = member_count + 1
        WHERE tenant_id = (SELECT tenant_id FROM member) RETURNING true
        """,
            tx.tenant_id,
            user_id,
            email,
            name,
            role,
            invitation_id,
            tx.now,
        )
        is True
    )


async def member(tx: Transaction, user_id: str) -> Member | None:
    """A member, locked until the transaction ends."""
    row = await tx.fetchrow(
        "SELECT user_id, email, name, role FROM tenants.members WHERE tenant_id = $1 AND user_id = $2 FOR UPDATE",
        tx.tenant_id,
        user_id,
    )
    return None if row is None else Member(**dict(row))


async def member_at(tx: Transaction, email: str) -> Member | None:
    """The member with an address, locked until the transaction ends."""
    row = await tx.fetchrow(
        "SELECT user_id, email, name, role FROM tenants.members WHERE tenant_id = $1 AND email = $2"
        " ORDER BY joined_at LIMIT 1 FOR UPDATE",
        tx.tenant_id,
        email,
    )
    return None if row is None else Member(**dict(row))


async def lock_owners(tx: Transaction) -> int:
    """How many owners there are. They are locked until the transaction ends, so that two never go at once."""
    rows = await tx.fetch(
        "SELECT user_id FROM tenants.members WHERE tenant_id = $1 AND role = 'owner' ORDER BY user_id FOR UPDATE",
        tx.tenant_id,
    )
    return len(rows)


async def owners(tx: Transaction) -> list[Member]:
    rows = await tx.fetch(
        "SELECT user_id, email, name, role FROM tenants.members WHERE tenant_id = $1 AND role = 'owner'"
        " ORDER BY joined_at, user_id",
        tx.tenant_id,
    )
    return [Member(**dict(row)) for row in rows]


async def managers(tx: Transaction) -> list[Member]:
    """Owners and admins."""
    rows = await tx.fetch(
        "SELECT user_id, email, name, role FROM tenants.members WHERE tenant_id = $1 AND role IN ('owner', 'admin')"
        " ORDER BY joined_at, user_id",
        tx.tenant_id,
    )
    return [Member(**dict(row)) for row in rows]


async def set_role(tx: Transaction, user_id: str, role: TenantRole) -> None:
    await tx.execute(
        "UPDATE tenants.members SET role = $3 WHERE tenant_id = $1 AND user_id = $2", tx.tenant_id, user_id, role
    )


async def delete_member(tx: Transaction, user_id: str) -> None:
    await tx.execute(
        """
        WITH member AS (DELETE FROM tenants.members WHERE tenant_id = $1 AND user_id = $2 RETURNING tenant_id)
        UPDATE tenants.tenants SET member_count = member_count - 1 WHERE tenant_id = (SELECT tenant_id FROM member)
        """,
        tx.tenant_id,
        user_id,
    )


async def rename_person(tx: Transaction, user_id: str, name: str) -> None:
    """Writes a person's new name into all of their memberships, whichever the tenant."""
    await tx.execute("SELECT set_config('prog.user_id', $1, true)", user_id)
    await tx.execute("UPDATE tenants.members SET name = $2 WHERE user_id = $1 AND name <> $2", user_id, name)
    await tx.execute("SELECT set_config('prog.user_id', '', true)")


async def put_staff(tx: Transaction, user_id: str, role: PlatformRole) -> None:
    await tx.execute(
        "INSERT INTO tenants.staff (user_id, role) VALUES ($1, $2)"
        " ON CONFLICT (user_id) DO UPDATE SET role = EXCLUDED.role",
        user_id,
        role,
    )
