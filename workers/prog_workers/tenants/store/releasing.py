"""SQL of letting a person go from every tenant.

Each statement is bound to one tenant at a time, but for invitations, which name people who are no members.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import msgspec

from prog_broker.transaction import Transaction
from prog_contracts.tenants import TenantRole


@dataclass(frozen=True, slots=True)
class Membership:
    tenant_id: str
    role: TenantRole


async def memberships_of(tx: Transaction, user_id: str) -> list[Membership]:
    """Where a person is a member, in the order in which whoever locks them does so."""
    await tx.execute("SELECT set_config('prog.user_id', $1, true)", user_id)
    rows = await tx.fetch("SELECT tenant_id, role FROM tenants.members WHERE user_id = $1 ORDER BY tenant_id", user_id)
    await tx.execute("SELECT set_config('prog.user_id', '', true)")
    return [Membership(**dict(row)) for row in rows]


@asynccontextmanager
async def in_tenant(tx: Transaction, tenant_id: str) -> AsyncIterator[Transaction]:
    """The same transaction, bound to another tenant until the block ends."""
    await tx.execute("SELECT set_config('prog.tenant_id', $1, true)", tenant_id)
    yield replace(tx, envelope=msgspec.structs.replace(tx.envelope, tenant_id=tenant_id))
    # Where the block raises, the transaction takes no statement any more, and the setting ends with it.
    await tx.execute("SELECT set_config('prog.tenant_id', $1, true)", tx.tenant_id)


async def hand_over(tx: Transaction, user_id: str) -> bool:
    """Writes to another owner what was written to this one; nobody where there is none. Whether anything changed."""
    return (
        await tx.fetchval(
            """
            UPDATE tenants.tenants AS t SET owner_user_id = o.user_id, owner_email = o.email, owner_name = o.name,
                                            updated_at = $3
            FROM (SELECT) AS one LEFT JOIN LATERAL (
                SELECT user_id, email, name FROM tenants.members
                WHERE tenant_id = $1 AND role = 'owner' AND user_id <> $2 ORDER BY joined_at, user_id LIMIT 1
            ) AS o ON true
            WHERE t.tenant_id = $1 AND t.owner_user_id = $2 RETURNING true
            """,
            tx.tenant_id,
            user_id,
            tx.now,
        )
        is True
    )


async def drop_staff(tx: Transaction, user_id: str) -> None:
    await tx.execute("DELETE FROM tenants.staff WHERE user_id = $1", user_id)


async def forget_invitations(tx: Transaction, user_id: str, *, email: str, forgotten: str) -> None:
    """Takes a person's address out of invitations to it, whichever tenant's, and the name out of those they sent.

    What keys of theirs sent is a range of an index ('0' comes behind '/'): a function of the column would be called
    behind the policies alone, and so for every row.
    """
    await tx.execute("SELECT set_config('prog.erased_person', $1, true)", user_id)
    await tx.execute(
        """
        UPDATE tenants.invitations
        SET email = CASE WHEN email = $2 THEN invitation_id ELSE email END,
            status = CASE WHEN email = $2 AND status = 'open' THEN 'revoked' ELSE status END,
            settled_at = CASE WHEN email = $2 AND status = 'open' THEN $4 ELSE settled_at END,
            inviter_name = CASE WHEN split_part(invited_by, '/', 1) = $1 THEN $3 ELSE inviter_name END
        WHERE email = $2 OR invited_by COLLATE "C" = $1
           OR (invited_by COLLATE "C" > $1 || '/' AND invited_by COLLATE "C" < $1 || '0')
        """,
        user_id,
        email,
        forgotten,
        tx.now,
    )
    await tx.execute("SELECT set_config('prog.erased_person', '', true)")


async def forget_directory_users(tx: Transaction, user_id: str, *, email: str) -> None:
    """Deletes what identity providers of tenants have said of a person. They may say it again."""
    await tx.execute("SELECT set_config('prog.erased_person', $1, true)", user_id)
    await tx.execute(
        "DELETE FROM tenants.directory_users WHERE user_id = $1 OR email = $2 OR account_email = $2", user_id, email
    )
    await tx.execute("SELECT set_config('prog.erased_person', '', true)")
