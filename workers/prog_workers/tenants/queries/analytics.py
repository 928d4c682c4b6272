"""Tenants counted, for `Database.analyst`. No count leaves this module but as the rules disclose it."""

from __future__ import annotations

from datetime import date
from typing import Final

from prog_kit.database import Connection
from prog_workers.tenants.rules.analytics import (
    Counted,
    Dimension,
    Disclosed,
    disclosed,
    group_of,
    groups_of,
    tallied,
)

_COLUMNS: Final[dict[Dimension, str]] = {
    "status": "status",
    "plan": "lower(plan)",
    "size": "member_count",
    "month": "date_trunc('month', created_at AT TIME ZONE 'UTC')::date",
}


async def tenants_by(connection: Connection, dimension: Dimension, today: date) -> tuple[Disclosed, list[Disclosed]]:
    """All tenants but the platform's own and those that are deleted: the total, and each group."""
    groups = groups_of(dimension, today)
    rows = await connection.fetch(
        f"SELECT {_COLUMNS[dimension]} AS value, count(*) AS tenants, sum(member_count) AS members,"
        " max(member_count) AS largest FROM tenants.tenants GROUP BY 1"
    )
    counted = tallied(
        (group_of(dimension, row["value"], groups), Counted(row["tenants"], row["members"], row["largest"]))
        for row in rows
    )
    return disclosed(counted, groups)
