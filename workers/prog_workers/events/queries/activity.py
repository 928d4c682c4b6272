"""A person's own part of the audit trail: what they did, and what was done to them, in whichever tenant's chain."""

from __future__ import annotations

from typing import Final

from prog_kit.database import Connection
from prog_kit.pages import Page, bounded, decode_cursor, page_of
from prog_workers.events.queries.audit import ENTRIES, MAX_POSITION, AuditRow

# Each branch reads its own index from the newest on. Who acts in somebody's name is written behind that person's id
# and a '/', and '0' comes behind that: in the order of bytes it is a range.
_ACTIVITY: Final = f"""
WITH mine AS (
    (SELECT position FROM events.audit_entries WHERE actor = $1 AND position < $2 ORDER BY position DESC LIMIT $3)
    UNION
    (SELECT position FROM events.audit_entries WHERE subject = $1 AND position < $2 ORDER BY position DESC LIMIT $3)
    UNION
    (SELECT position FROM events.audit_entries
     WHERE actor_kind = 'impersonator' AND actor COLLATE "C" > $1 || '/' AND actor COLLATE "C" < $1 || '0'
       AND position < $2 ORDER BY position DESC LIMIT $3)
)
{ENTRIES} WHERE e.position = ANY (ARRAY(SELECT position FROM mine ORDER BY position DESC LIMIT $3))
ORDER BY e.position DESC
"""


async def activity(
    connection: Connection, user_id: str, *, limit: int = 50, cursor: str | None = None
) -> Page[AuditRow]:
    """Entries, the last written first, in `Database.scope(user_id=…)`: the person's own, and nothing else.

    What support did in their name is among it; what their API keys did is their tenants' to read. Raises Invalid for a
    cursor of another list.
    """
    size = bounded(limit)
    before = MAX_POSITION if cursor is None else decode_cursor(cursor, int)[0]
    rows = await connection.fetch(_ACTIVITY, user_id, before, size + 1)
    found = [AuditRow.of(row) for row in rows]
    return page_of(found, size, lambda row: (row.position,))
