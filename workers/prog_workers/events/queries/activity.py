"""A person's own part of the audit trail: what they did, and what was done to them, in whichever tenant's chain."""

from __future__ import annotations

from prog_kit.database import Connection
from prog_kit.pages import Page, Where, bounded, decode_cursor, page_of
from prog_workers.events.queries.audit import ENTRIES, AuditRow


async def activity(
    connection: Connection, user_id: str, *, limit: int = 50, cursor: str | None = None
) -> Page[AuditRow]:
    """Entries, the last written first, in `Database.scope(user_id=…)`: the person's own, and nothing else.

    What support did in their name is among it; what their API keys did is their tenants' to read. Raises Invalid for a
    cursor of another list.
    """
    where = Where()
    where.add(
        "(e.actor = {} OR e.subject = {} OR (e.actor_kind = 'impersonator' AND split_part(e.actor, '/', 1) = {}))",
        user_id,
        user_id,
        user_id,
    )
    if cursor is not None:
        where.add("e.position < {}", *decode_cursor(cursor, int))
    size = bounded(limit)
    rows = await connection.fetch(
        f"{ENTRIES} WHERE {where} ORDER BY e.position DESC LIMIT {where.value(size + 1)}", *where.values
    )
    found = [AuditRow.of(row) for row in rows]
    return page_of(found, size, lambda row: (row.position,))
