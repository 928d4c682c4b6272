"""SQL of tenants: their life, provisioning, plan and limits; and who acts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from prog_broker.transaction import Transaction
from prog_contracts.actors import person_of
from prog_contracts.tenants import CreateTenant, TenantRole, TenantStatus
from prog_contracts.users import PlatformRole
from prog_workers.tenants.rules import Step


@dataclass(frozen=True, slots=True)
class Tenant:
    name: str
    slug: str
    status: TenantStatus
    plan: str | None
    owner_email: str | None
    owner_name: str | None
    purge_at: datetime | None


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: their membership in this tenant, if any, and their role in the platform's staff, if any."""

    member_role: TenantRole | None
    member_name: str | None
    staff_role: PlatformRole | None


Inserted = Literal["made", "taken", "too_many"]

_TENANT = "name, slug, status, plan, owner_email, owner_name, purge_at"


async def insert_tenant(tx: Transaction, command: CreateTenant, name: str, slug: str, *, most: int) -> Inserted:
    """Adds the tenant and its owner in one statement, unless the id or the slug is taken, or the owner has `most`
    tenants and no operator sends for another; 0 is no limit."""
    row = await tx.fetchrow(
        """
        WITH room AS MATERIALIZED (
            SELECT CASE
                WHEN $8 = 0 OR EXISTS (SELECT FROM tenants.staff WHERE user_id = $9 AND role = 'operator') THEN true
                ELSE tenants.count_tenants_of($4) < $8
            END AS is_left
        ), tenant AS (
            INSERT INTO tenants.tenants (tenant_id, name, slug, status, owner_user_id, owner_email, owner_name,
                                         member_count, created_at, updated_at)
            SELECT $1, $2, $3, 'provisioning', $4, $5, $6, 1, $7, $7 FROM room WHERE is_left
            ON CONFLICT DO NOTHING
            RETURNING tenant_id
        ), member AS (
            INSERT INTO tenants.members (tenant_id, user_id, email, name, role, joined_at)
            SELECT tenant_id, $4, $5, $6, 'owner', $7 FROM tenant
            RETURNING true
        )
        SELECT is_left, EXISTS (SELECT FROM member) AS is_made FROM room
        """,
        command.tenant_id,
        name,
        slug,
        command.owner_user_id,
        command.owner_email,
        command.owner_name,
        tx.now,
        most,
        tx.actor,
    )
    assert row is not None
    return "made" if row["is_made"] else "taken" if row["is_left"] else "too_many"


async def tenant(tx: Transaction) -> Tenant | None:
    row = await tx.fetchrow(f"SELECT {_TENANT} FROM tenants.tenants WHERE tenant_id = $1", tx.tenant_id)
    return None if row is None else Tenant(**dict(row))


async def lock_tenant(tx: Transaction) -> Tenant | None:
    """The tenant, locked until the transaction ends."""
    row = await tx.fetchrow(f"SELECT {_TENANT} FROM tenants.tenants WHERE tenant_id = $1 FOR UPDATE", tx.tenant_id)
    return None if row is None else Tenant(**dict(row))


async def rename(tx: Transaction, name: str) -> None:
    await tx.execute(
        "UPDATE tenants.tenants SET name = $2, updated_at = $3 WHERE tenant_id = $1", tx.tenant_id, name, tx.now
    )


async def actor(tx: Transaction) -> Actor:
    """The person in whose name the command was sent: what they are here, and on the platform."""
    row = await tx.fetchrow(
        """
        SELECT m.role AS member_role, m.name AS member_name, s.role AS staff_role
        FROM (SELECT $2::text AS user_id) AS who
        LEFT JOIN tenants.members AS m ON m.tenant_id = $1 AND m.user_id = who.user_id
        LEFT JOIN tenants.staff AS s ON s.user_id = who.user_id
        """,
        tx.tenant_id,
        person_of(tx.actor),
    )
    assert row is not None
    return Actor(**dict(row))


async def is_operator(tx: Transaction, user_id: str) -> bool:
    query = "SELECT EXISTS (SELECT FROM tenants.staff WHERE user_id = $1 AND role = 'operator')"
    return bool(await tx.fetchval(query, user_id))


# -- provisioning ------------------------------------------------------------------------------------------------------


async def steps_done(tx: Transaction) -> set[str]:
    rows = await tx.fetch("SELECT step FROM tenants.provisioning_steps WHERE tenant_id = $1", tx.tenant_id)
    return {row["step"] for row in rows}


async def mark_step(tx: Transaction, step: Step) -> None:
    await tx.execute(
        "INSERT INTO tenants.provisioning_steps (tenant_id, step, done_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        tx.tenant_id,
        step,
        tx.now,
    )


async def activate(tx: Transaction) -> bool:
    """Opens a tenant that was being provisioned; False when it was not."""
    return (
        await tx.fetchval(
            "UPDATE tenants.tenants SET status = 'active', updated_at = $2"
            " WHERE tenant_id = $1 AND status = 'provisioning' RETURNING true",
            tx.tenant_id,
            tx.now,
        )
        is True
    )


# -- plan --------------------------------------------------------------------------------------------------------------


async def set_plan(tx: Transaction, plan: str | None) -> bool:
    """Writes the plan; False when the tenant had it already, or was deleted."""
    return (
        await tx.fetchval(
            "UPDATE tenants.tenants SET plan = $2, updated_at = $3"
            " WHERE tenant_id = $1 AND plan IS DISTINCT FROM $2 AND status <> 'deleted' RETURNING true",
            tx.tenant_id,
            plan,
            tx.now,
        )
        is True
    )


async def set_paid(tx: Transaction, paid_at: datetime) -> None:
    await tx.execute(
        "UPDATE tenants.tenants SET first_paid_at = $2 WHERE tenant_id = $1 AND first_paid_at IS NULL",
        tx.tenant_id,
        paid_at,
    )


# -- the end -----------------------------------------------------------------------------------------------------------


async def suspend(tx: Transaction, reason: str) -> None:
    await tx.execute(
        "UPDATE tenants.tenants SET status = 'suspended', suspension_reason = $2, suspended_at = $3, updated_at = $3"
        " WHERE tenant_id = $1",
        tx.tenant_id,
        reason,
        tx.now,
    )


async def resume(tx: Transaction) -> None:
    await tx.execute(
        "UPDATE tenants.tenants SET status = 'active', suspension_reason = NULL, suspended_at = NULL, updated_at = $2"
        " WHERE tenant_id = $1",
        tx.tenant_id,
        tx.now,
    )


async def begin_deletion(tx: Transaction, purge_at: datetime) -> None:
    await tx.execute(
        "UPDATE tenants.tenants SET status = 'deleting', status_before = status, purge_at = $2, updated_at = $3"
        " WHERE tenant_id = $1",
        tx.tenant_id,
        purge_at,
        tx.now,
    )


async def restore(tx: Transaction) -> TenantStatus:
    """Gives the tenant the status back that it had; tells which."""
    status: TenantStatus = await tx.fetchval(
        "UPDATE tenants.tenants SET status = status_before, status_before = NULL, purge_at = NULL, updated_at = $2"
        " WHERE tenant_id = $1 RETURNING status",
        tx.tenant_id,
        tx.now,
    )
    return status


async def bury(tx: Transaction, name: str, slug: str) -> None:
    """Leaves of the tenant's own row what names nobody."""
    await tx.execute(
        """
        UPDATE tenants.tenants
        SET status = 'deleted', name = $2, slug = $3, plan = NULL, owner_user_id = NULL, owner_email = NULL,
            owner_name = NULL, member_count = 0, suspension_reason = NULL, suspended_at = NULL, status_before = NULL,
            purge_at = NULL, deleted_at = $4, updated_at = $4
        WHERE tenant_id = $1
        """,
        tx.tenant_id,
        name,
        slug,
        tx.now,
    )
