"""SQL of invitations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from prog_broker.transaction import Transaction
from prog_contracts.actors import person_of
from prog_contracts.tenants import TenantRole
from prog_workers.tenants.rules import Seats


@dataclass(frozen=True, slots=True)
class OpenInvitation:
    """An invitation that was neither accepted nor taken back; it may have expired."""

    invitation_id: str
    email: str
    role: TenantRole
    expires_at: datetime


async def seats(tx: Transaction, inviting: str) -> Seats:
    """The tenant's seats, without an open invitation to the address `inviting`, which a new one replaces."""
    row = await tx.fetchrow(
        """
        SELECT (SELECT member_count FROM tenants.tenants WHERE tenant_id = $1) AS members,
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
                                         created_at, expires_at, mailed_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, ARRAY[$8::timestamptz])
        """,
        invitation_id,
        tx.tenant_id,
        email,
        role,
        token_digest,
        person_of(tx.actor) or tx.actor,
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


async def invitation(tx: Transaction, invitation_id: str) -> OpenInvitation | None:
    """An open invitation by its id; locked until the end."""
    row = await tx.fetchrow(
        "SELECT invitation_id, email, role, expires_at FROM tenants.invitations"
        " WHERE tenant_id = $1 AND invitation_id = $2 AND status = 'open' FOR UPDATE",
        tx.tenant_id,
        invitation_id,
    )
    return None if row is None else OpenInvitation(**dict(row))


async def invitations_by(tx: Transaction, inviter: str) -> list[OpenInvitation]:
    """The open invitations that a person has sent, or sent again."""
    rows = await tx.fetch(
        "SELECT invitation_id, email, role, expires_at FROM tenants.invitations"
        " WHERE tenant_id = $1 AND invited_by = $2 AND status = 'open' ORDER BY invitation_id FOR UPDATE",
        tx.tenant_id,
        inviter,
    )
    return [OpenInvitation(**dict(row)) for row in rows]


async def renew(
    tx: Transaction, invitation_id: str, *, token_digest: str, inviter_name: str, expires_at: datetime
) -> None:
    """Gives an invitation a new token and time; whoever sends it again has invited."""
    await tx.execute(
        "UPDATE tenants.invitations SET token_digest = $3, invited_by = $4, inviter_name = $5, expires_at = $6,"
        " mailed_at = array_append(ARRAY(SELECT at FROM unnest(mailed_at) AS at WHERE at > $8), $7::timestamptz)"
        " WHERE tenant_id = $1 AND invitation_id = $2",
        tx.tenant_id,
        invitation_id,
        token_digest,
        person_of(tx.actor) or tx.actor,
        inviter_name,
        expires_at,
        tx.now,
        tx.now - timedelta(days=1),
    )


async def invitations_mailed(tx: Transaction, email: str, since: datetime) -> int:
    """How many mails have gone to an address since then, of invitations that are open or were."""
    query = (
        "SELECT count(*) FROM tenants.invitations AS i, unnest(i.mailed_at) AS at"
        " WHERE i.tenant_id = $1 AND i.email = $2 AND at > $3"
    )
    return int(await tx.fetchval(query, tx.tenant_id, email, since))


async def revoke(tx: Transaction, invitation_id: str) -> None:
    await tx.execute(
        "UPDATE tenants.invitations SET status = 'revoked', settled_at = $3"
        " WHERE tenant_id = $1 AND invitation_id = $2",
        tx.tenant_id,
        invitation_id,
        tx.now,
    )


async def open_invitation_at(tx: Transaction, email: str) -> OpenInvitation | None:
    """The open invitation to an address; locked until the end."""
    row = await tx.fetchrow(
        "SELECT invitation_id, email, role, expires_at FROM tenants.invitations"
        " WHERE tenant_id = $1 AND email = $2 AND status = 'open' FOR UPDATE",
        tx.tenant_id,
        email,
    )
    return None if row is None else OpenInvitation(**dict(row))


async def of_directory(tx: Transaction, invitation_id: str, directory_user_id: str) -> None:
    """Says that an invitation follows from an entry of the directory."""
    await tx.execute(
        "UPDATE tenants.invitations SET directory_user_id = $3 WHERE tenant_id = $1 AND invitation_id = $2",
        tx.tenant_id,
        invitation_id,
        directory_user_id,
    )


async def directory_invitations(tx: Transaction, directory_user_id: str) -> list[OpenInvitation]:
    """The open invitations that follow from an entry of the directory."""
    rows = await tx.fetch(
        "SELECT invitation_id, email, role, expires_at FROM tenants.invitations"
        " WHERE tenant_id = $1 AND directory_user_id = $2 AND status = 'open' ORDER BY invitation_id FOR UPDATE",
        tx.tenant_id,
        directory_user_id,
    )
    return [OpenInvitation(**dict(row)) for row in rows]


async def set_invited_role(tx: Transaction, directory_user_id: str, role: TenantRole) -> None:
    """Changes what those are invited for who follow from an entry of the directory. Their links stay."""
    await tx.execute(
        "UPDATE tenants.invitations SET role = $3 WHERE tenant_id = $1 AND directory_user_id = $2 AND status = 'open'",
        tx.tenant_id,
        directory_user_id,
        role,
    )
