"""All SQL that the tenants domain writes with. Row-level security binds each statement to the command's tenant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from prog_broker.transaction import Transaction
from prog_contracts.tenants import CreateTenant, TenantRole, TenantStatus
from prog_contracts.users import PlatformRole
from prog_workers.tenants.rules import Limits, Seats, Step


@dataclass(frozen=True, slots=True)
class Tenant:
    name: str
    slug: str
    status: TenantStatus
    plan: str | None
    owner_email: str | None
    owner_name: str | None


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: their membership in this tenant, if any, and their role in the platform's staff, if any."""

    member_role: TenantRole | None
    member_name: str | None
    staff_role: PlatformRole | None


@dataclass(frozen=True, slots=True)
class OpenInvitation:
    invitation_id: str
    email: str
    role: TenantRole
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class TestClock:
    """`operation_id` is set from the advance's command until its completion is recorded."""

    __test__ = False

    stands_at: datetime
    operation_id: UUID | None


_TENANT = "name, slug, status, plan, owner_email, owner_name"


async def insert_tenant(tx: Transaction, command: CreateTenant, name: str, slug: str) -> bool:
    """Adds the tenant and its owner in one statement; False when the id or the slug is taken."""
    return (
        await tx.fetchval(
            """
        WITH tenant AS (
            INSERT INTO tenants.tenants (tenant_id, name, slug, status, owner_user_id, owner_email, owner_name,
                                         member_count, created_at, updated_at)
            VALUES ($1, $2, $3, 'provisioning', $4, $5, $6, 1, $7, $7)
            ON CONFLICT DO NOTHING
            RETURNING tenant_id
        )
        INSERT INTO tenants.members (tenant_id, user_id, email, name, role, joined_at)
        SELECT tenant_id, $4, $5, $6, 'owner', $7 FROM tenant
        RETURNING true
        """,
            command.tenant_id,
            name,
            slug,
            command.owner_user_id,
            command.owner_email,
            command.owner_name,
            tx.now,
        )
        is True
    )


async def tenant(tx: Transaction) -> Tenant | None:
    row = await tx.fetchrow(f"SELECT {_TENANT} FROM tenants.tenants WHERE tenant_id = $1", tx.tenant_id)
    return None if row is None else Tenant(**dict(row))


async def rename(tx: Transaction, name: str) -> None:
    await tx.execute(
        "UPDATE tenants.tenants SET name = $2, updated_at = $3 WHERE tenant_id = $1", tx.tenant_id, name, tx.now
    )


async def actor(tx: Transaction) -> Actor:
    row = await tx.fetchrow(
        """
        SELECT m.role AS member_role, m.name AS member_name, s.role AS staff_role
        FROM (SELECT $2::text AS user_id) AS who
        LEFT JOIN tenants.members AS m ON m.tenant_id = $1 AND m.user_id = who.user_id
        LEFT JOIN tenants.staff AS s ON s.user_id = who.user_id
        """,
        tx.tenant_id,
        tx.actor,
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


async def insert_config(tx: Transaction) -> None:
    await tx.execute(
        "INSERT INTO tenants.configs (tenant_id, updated_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        tx.tenant_id,
        tx.now,
    )


async def set_limits(tx: Transaction, limits: Limits) -> None:
    await tx.execute(
        """
        INSERT INTO tenants.limits (tenant_id, name, value)
        SELECT $1, u.name, u.value FROM unnest($2::text[], $3::bigint[]) AS u (name, value)
        ON CONFLICT (tenant_id, name) DO UPDATE SET value = EXCLUDED.value
        """,
        tx.tenant_id,
        list(limits),
        list(limits.values()),
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


# -- members and invitations -------------------------------------------------------------------------------------------


async def is_member(tx: Transaction, email: str) -> bool:
    query = "SELECT EXISTS (SELECT FROM tenants.members WHERE tenant_id = $1 AND email = $2)"
    return bool(await tx.fetchval(query, tx.tenant_id, email))


async def seats(tx: Transaction, inviting: str) -> Seats:
    """The tenant's seats, without an open invitation to the address `inviting`, which a new one replaces."""
    row = await tx.fetchrow(
        """
        SELECT (SELECT count(*) FROM tenants.members WHERE tenant_id = $1) AS members,
               (SELECT count(*) FROM tenants.invitations
                WHERE tenant_id = $1 AND status = 'open' AND expires_at > $3 AND email <> $2) AS invited,
               (SELECT value FROM tenants.limits WHERE tenant_id = $1 AND name = 'members') AS "limit"
        """,
        tx.tenant_id,
        inviting,
        tx.now,
    )
    assert row is not None
    return Seats(**dict(row))


async def replace_invitation(
    tx: Transaction,
    invitation_id: str,
    *,
    email: str,
    role: TenantRole,
    token_digest: str,
    inviter_name: str,
    expires_at: datetime,
) -> None:
    """Opens an invitation; an open one to the same address is revoked, and its link with it."""
    await tx.execute(
        "UPDATE tenants.invitations SET status = 'revoked', settled_at = $3"
        " WHERE tenant_id = $1 AND email = $2 AND status = 'open'",
        tx.tenant_id,
        email,
        tx.now,
    )
    await tx.execute(
        """
        INSERT INTO tenants.invitations (invitation_id, tenant_id, email, role, token_digest, invited_by, inviter_name,
                                         created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        """,
        invitation_id,
        tx.tenant_id,
        email,
        role,
        token_digest,
        tx.actor,
        inviter_name,
        tx.now,
        expires_at,
    )


async def open_invitation(tx: Transaction, token_digests: list[str]) -> OpenInvitation | None:
    """The open invitation of a token, whose digests under all secret keys these are; locked until the end."""
    row = await tx.fetchrow(
        "SELECT invitation_id, email, role, expires_at FROM tenants.invitations"
        " WHERE tenant_id = $1 AND token_digest = ANY ($2::text[]) AND status = 'open' FOR UPDATE",
        tx.tenant_id,
        token_digests,
    )
    return None if row is None else OpenInvitation(**dict(row))


async def accept(tx: Transaction, invitation_id: str, user_id: str) -> None:
    await tx.execute(
        "UPDATE tenants.invitations SET status = 'accepted', accepted_by = $3, settled_at = $4"
        " WHERE tenant_id = $1 AND invitation_id = $2",
        tx.tenant_id,
        invitation_id,
        user_id,
        tx.now,
    )


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


# -- plan --------------------------------------------------------------------------------------------------------------


async def set_plan(tx: Transaction, plan: str | None) -> bool:
    """Writes the plan; False when the tenant had it already."""
    return (
        await tx.fetchval(
            "UPDATE tenants.tenants SET plan = $2, updated_at = $3"
            " WHERE tenant_id = $1 AND plan IS DISTINCT FROM $2 RETURNING true",
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


# -- clock -------------------------------------------------------------------------------------------------------------


async def clock(tx: Transaction) -> TestClock | None:
    """The tenant's test clock, locked until the transaction ends; None on the wall clock."""
    row = await tx.fetchrow(
        "SELECT stands_at, operation_id FROM bus.tenant_clocks WHERE tenant_id = $1 FOR UPDATE", tx.tenant_id
    )
    return None if row is None else TestClock(**dict(row))


async def insert_clock(tx: Transaction, at: datetime) -> None:
    await tx.execute("INSERT INTO bus.tenant_clocks (tenant_id, stands_at) VALUES ($1, $2)", tx.tenant_id, at)


async def start_advance(tx: Transaction, to: datetime) -> None:
    """Leaves the advance to the scheduler, which finds it here; the envelope lets it answer in the same story."""
    await tx.execute(
        """
        UPDATE bus.tenant_clocks
        SET advancing_to = $2, operation_id = $3, operation_attributes = $4, fired_timers = 0,
            advance_started_at = clock_timestamp()
        WHERE tenant_id = $1
        """,
        tx.tenant_id,
        to,
        tx.message_id,
        tx.envelope.attributes().decode(),
    )


async def finish_advance(tx: Transaction, operation_id: UUID) -> bool:
    """Closes an advance; False when it is closed already."""
    values: tuple[Any, ...] = (tx.tenant_id, operation_id)
    return (
        await tx.fetchval(
            """
        UPDATE bus.tenant_clocks
        SET advancing_to = NULL, operation_id = NULL, operation_attributes = NULL, advance_started_at = NULL
        WHERE tenant_id = $1 AND operation_id = $2 RETURNING true
        """,
            *values,
        )
        is True
    )
