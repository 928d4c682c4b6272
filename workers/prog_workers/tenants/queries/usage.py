"""What a tenant may use, and the seats that it has taken."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from prog_kit.database import Connection


async def limits(connection: Connection, tenant_id: str) -> Mapping[str, int | None]:
    """What the tenant may use, by name; None is without limit."""
    rows = await connection.fetch(
        "SELECT name, value FROM tenants.limits WHERE tenant_id = $1 ORDER BY name", tenant_id
    )
    return {row["name"]: row["value"] for row in rows}


async def seats_taken(connection: Connection, tenant_id: str, now: datetime) -> int:
    """Members and open invitations; `now` is on the tenant's clock."""
    return int(
        await connection.fetchval(
            """
            SELECT (SELECT member_count FROM tenants.tenants WHERE tenant_id = $1)
                 + (SELECT count(*) FROM tenants.invitations
                    WHERE tenant_id = $1 AND status = 'open' AND expires_at > $2)
            """,
            tenant_id,
            now,
        )
    )
