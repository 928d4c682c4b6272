"""An entry of the audit trail as the person is told who it is about: others by what they are, not by name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from prog_edge.devices import device_name
from prog_workers.events.queries import AuditOutcome, AuditRow

By = Literal["you", "operator", "impersonator", "somebody", "system", "nobody"]


@dataclass(frozen=True, slots=True)
class Act:
    """Something that happened. It stands for `count` alike, from `at` until `until`."""

    at: datetime
    until: datetime | None
    action: str
    outcome: AuditOutcome
    code: str | None
    by: By
    tenant_id: str
    subject: str | None
    session_id: str | None
    client_address: str | None
    device: str | None
    count: int


def act_of(row: AuditRow, user_id: str) -> Act:
    """The entry as this person is told."""
    return Act(
        at=row.at,
        until=row.until,
        action=row.action,
        outcome=row.outcome,
        code=row.code,
        by=_by(row, user_id),
        tenant_id=row.tenant_id,
        subject=row.subject,
        session_id=row.session_id if row.actor == user_id else None,
        client_address=row.client_address,
        device=None if row.user_agent is None else device_name(row.user_agent),
        count=row.count,
    )


def _by(row: AuditRow, user_id: str) -> By:
    if row.actor == user_id:
        return "you"
    match row.actor_kind:
        case "operator":
            return "operator"
        case "impersonator":
            return "impersonator"
        case "system":
            return "system"
        case "nobody":
            return "nobody"
        case _:
            return "somebody"
