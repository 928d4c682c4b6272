"""What the edge reads of sign-outs that clients did not hear of, across tenants (`Database.operator`)."""

from __future__ import annotations

from dataclasses import dataclass

from prog_kit.database import Connection


@dataclass(frozen=True, slots=True)
class UnheardSignOuts:
    """How many there are, and clients of how many tenants they were for."""

    count: int
    tenants: int


async def unheard_sign_outs(connection: Connection) -> UnheardSignOuts:
    """Those that can be sent again, of the last week; counted up to 1000."""
    row = await connection.fetchrow(
        """
        SELECT count(*) AS count, count(DISTINCT client_tenant) AS tenants
        FROM (SELECT client_tenant FROM users.logout_notices WHERE failed_at IS NOT NULL
              ORDER BY failed_at DESC LIMIT 1000) AS newest
        """
    )
    assert row is not None
    return UnheardSignOuts(**dict(row))
