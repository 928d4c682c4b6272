"""Who acts, or acted, in whose name. `Database.operator()` shows all of them, `Database.scope(user_id=…)` those in the
person's own name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from prog_contracts.impersonation import ImpersonationEnd
from prog_kit.database import Connection
from prog_kit.pages import Page, Where, bounded, decode_cursor, page_of


@dataclass(frozen=True, slots=True)
class ImpersonationRow:
    """`operator_name` and `operator_email` are None where the operator's account is gone."""

    impersonation_id: str
    user_id: str
    user_name: str
    user_email: str
    operator_id: str
    operator_name: str | None
    operator_email: str | None
    by_session_id: str
    reason: str
    began_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    end_reason: ImpersonationEnd | None

    def over_at(self, now: datetime) -> datetime | None:
        """Since when it is over; None for one that goes on. The limit counts before anybody has recorded it."""
        if self.ended_at is not None:
            return self.ended_at
        return self.expires_at if now >= self.expires_at else None

    def end(self, now: datetime) -> ImpersonationEnd | None:
        """Why it is over."""
        return self.end_reason or ("time_limit" if self.over_at(now) is not None else None)


@dataclass(frozen=True, slots=True)
class OwnImpersonationRow:
    """What a person takes along of those in their name: not who it was."""

    impersonation_id: str
    reason: str
    began_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    end_reason: ImpersonationEnd | None


_ROWS: Final = """
SELECT i.impersonation_id, i.user_id, u.name AS user_name, u.email AS user_email, i.operator_id,
       o.name AS operator_name, o.email AS operator_email, i.by_session_id, i.reason, i.began_at, i.expires_at,
       i.ended_at, i.end_reason
FROM users.impersonations AS i JOIN users.users AS u ON u.user_id = i.user_id
LEFT JOIN users.users AS o ON o.user_id = i.operator_id
"""
_LIVE: Final = """
WHERE i.impersonation_id = $1 AND i.ended_at IS NULL AND i.expires_at > $2
  AND u.status = 'active' AND u.platform_role IS NULL AND u.erase_at IS NULL
  AND o.status = 'active' AND o.platform_role = 'operator'
  AND EXISTS (SELECT FROM users.sessions AS s WHERE s.session_id = i.by_session_id AND s.user_id = i.operator_id
              AND s.ended_at IS NULL AND least(s.idle_until, s.expires_at) > $2)
"""


async def impersonation(connection: Connection, impersonation_id: str) -> ImpersonationRow | None:
    row = await connection.fetchrow(f"{_ROWS} WHERE i.impersonation_id = $1", impersonation_id)
    return None if row is None else ImpersonationRow(**dict(row))


async def live_impersonation(connection: Connection, impersonation_id: str, now: datetime) -> ImpersonationRow | None:
    """One that goes on, and on which everything that it stands on still does: the limit, the operator's session and
    office, and that the account is nobody's of the staff and neither disabled nor to be deleted.

    Asks with the rights of `Database.operator`.
    """
    row = await connection.fetchrow(_ROWS + _LIVE, impersonation_id, now)
    return None if row is None else ImpersonationRow(**dict(row))


async def list_impersonations(
    connection: Connection,
    now: datetime,
    *,
    user_id: str | None = None,
    operator_id: str | None = None,
    concerning: str | None = None,
    active: bool | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[ImpersonationRow]:
    """The latest first. `concerning` is the id of either person. Raises Invalid for a cursor of another list."""
    where = Where()
    conditions: dict[str, Any] = {"i.user_id = {}": user_id, "i.operator_id = {}": operator_id}
    for condition, value in conditions.items():
        if value is not None:
            where.add(condition, value)
    if concerning is not None:
        where.add("(i.user_id = {} OR i.operator_id = {})", concerning, concerning)
    if active is not None:
        goes_on = "(i.ended_at IS NULL AND i.expires_at > {})"
        where.add(goes_on if active else f"NOT {goes_on}", now)
    if cursor is not None:
        where.add("(i.began_at, i.impersonation_id) < ({}, {})", *decode_cursor(cursor, datetime, str))
    size = bounded(limit)
    order = f"ORDER BY i.began_at DESC, i.impersonation_id DESC LIMIT {where.value(size + 1)}"
    rows = [
        ImpersonationRow(**dict(row)) for row in await connection.fetch(f"{_ROWS} WHERE {where} {order}", *where.values)
    ]
    return page_of(rows, size, lambda row: (row.began_at, row.impersonation_id))


async def own_impersonations(connection: Connection, user_id: str) -> Sequence[OwnImpersonationRow]:
    """All in the viewer's own name that are kept, the latest first."""
    rows = await connection.fetch(
        "SELECT impersonation_id, reason, began_at, expires_at, ended_at, end_reason FROM users.impersonations"
        " WHERE user_id = $1 ORDER BY began_at DESC, impersonation_id DESC",
        user_id,
    )
    return [OwnImpersonationRow(**dict(row)) for row in rows]
