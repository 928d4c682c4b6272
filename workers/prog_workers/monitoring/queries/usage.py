"""What a tenant has published. Unlike the rest here it is read under the tenant, by `Database.scope`."""

from __future__ import annotations

from datetime import date

from prog_kit.database import Connection


async def events_published(connection: Connection, tenant_id: str, month: date) -> int:
    """How many events the tenant has published in the month that begins on this day."""
    events: int | None = await connection.fetchval(
        "SELECT events FROM bus.tenant_usage WHERE tenant_id = $1 AND month = $2", tenant_id, month
    )
    return events or 0
