"""The audit trail: entries, the last written first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

import asyncpg

from prog_contracts.actors import is_acted_by
from prog_contracts.ids import is_id
from prog_kit.database import Connection
from prog_kit.pages import Page, Where, bounded, decode_cursor, page_of

MAX_POSITION: Final = (1 << 63) - 1
OUT_OF_ORDER: Final = timedelta(hours=1)
"""More than any two entries of a chain are apart that stand in the wrong order of their times."""

AuditOutcome = Literal["success", "failure", "denial"]

_COLUMNS: Final = (
    "e.position, e.tenant_id, e.sequence, e.at, e.until, e.action, e.outcome, e.code, e.permission, e.actor_kind,"
    " e.actor, e.session_id, e.subject, e.message_id, e.correlation_id, e.causation_id, e.trace_id, e.request_id,"
    " e.count, e.hash, o.client_address, o.user_agent"
)


_ACTED: Final = (
    "e.actor = {} OR (strpos(e.actor, '/') > 0 AND split_part(e.actor, '/', 2) = {})"
    " OR (e.actor_kind = 'impersonator' AND split_part(e.actor, '/', 1) = {})"
)
"""In step with the indexes audit_entries_actor, _by and _impersonated."""

_KINDS_IN_A_NAME: Final = "e.actor_kind IN ('api_key', 'client', 'impersonator')"
"""Of whoever acts in somebody's name; in step with the index audit_entries_in_a_name."""

# One after the other, each a look into the index: there are as many as keys and supporters, however much they did.
_IN_A_NAME: Final = f"""
WITH RECURSIVE acted (actor) AS (
    (SELECT e.actor FROM events.audit_entries AS e WHERE e.tenant_id = $1 AND {_KINDS_IN_A_NAME}
     ORDER BY e.actor COLLATE "C" LIMIT 1)
    UNION ALL
    SELECT (SELECT e.actor FROM events.audit_entries AS e
            WHERE e.tenant_id = $1 AND {_KINDS_IN_A_NAME} AND e.actor COLLATE "C" > acted.actor
            ORDER BY e.actor COLLATE "C" LIMIT 1)
    FROM acted WHERE acted.actor IS NOT NULL
)
SELECT actor FROM acted WHERE actor IS NOT NULL
"""

ENTRIES: Final = (
    f"SELECT {_COLUMNS} FROM events.audit_entries AS e LEFT JOIN events.audit_origins AS o USING (tenant_id, sequence)"
)


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An entry, with where its request came from while that is kept.

    `sequence` is its number in the tenant's chain. It stands for `count` alike, from `at` until `until`.
    """

    position: int
    tenant_id: str
    sequence: int
    at: datetime
    until: datetime | None
    action: str
    outcome: AuditOutcome
    code: str | None
    permission: str | None
    actor_kind: str
    actor: str | None
    session_id: str | None
    subject: str | None
    message_id: UUID | None
    correlation_id: UUID | None
    causation_id: UUID | None
    trace_id: str | None
    request_id: str | None
    count: int
    hash: bytes
    client_address: str | None
    user_agent: str | None

    @classmethod
    def of(cls, row: asyncpg.Record) -> AuditRow:
        return cls(**dict(row))


async def audit_entries(
    connection: Connection,
    *,
    tenant_id: str | None = None,
    actor: str | None = None,
    action: str | None = None,
    outcome: AuditOutcome | None = None,
    subject: str | None = None,
    concerning: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[AuditRow]:
    """Entries, the last written first. `since` and `until` bound the time at which it happened.

    `actor` is who acted: a person by themselves, a key, a process, whoever acted in somebody's name, and the person in
    whose name somebody did. An `action` that ends in `*` stands for all that begin so; `concerning` is who acted, or
    what it was about. Raises Invalid for a cursor of another list.
    """
    where = Where()
    conditions: dict[str, Any] = {
        "e.outcome = {}": outcome,
        "e.subject = {}": subject,
        "e.at >= {}": since,
        "e.at < {}": until,
    }
    for condition, value in conditions.items():
        if value is not None:
            where.add(condition, value)
    if action is not None and action.endswith("*"):
        where.add("starts_with(e.action, {})", action.removesuffix("*"))
    elif action is not None:
        where.add("e.action = {}", action)
    if outcome is not None and outcome != "success":
        where.add("e.outcome <> 'success'")  # in step with the index audit_entries_refused
    if cursor is not None:
        where.add("e.position < {}", *decode_cursor(cursor, int))
    size, who, refused = bounded(limit), actor or concerning, outcome not in (None, "success")
    if tenant_id is not None:
        _between(where, tenant_id, since, until)
    if tenant_id is not None and (who is not None or refused):
        actors = None if who is None else await _actors(connection, tenant_id, who)
        query = _of_tenant(where, tenant_id, size + 1, actors, concerning)
    else:
        if tenant_id is not None:
            where.add("e.tenant_id = {}", tenant_id)
        if actor is not None:
            where.add(f"({_ACTED})", actor, actor, actor)
        if concerning is not None:
            where.add(f"({_ACTED} OR e.subject = {{}})", *[concerning] * 4)
        query = f"{ENTRIES} WHERE {where} ORDER BY e.position DESC LIMIT {where.value(size + 1)}"
    found = [AuditRow.of(row) for row in await connection.fetch(query, *where.values)]
    return page_of(found, size, lambda row: (row.position,))


async def _actors(connection: Connection, tenant_id: str, who: str) -> list[str]:
    """All names under which somebody has acted in a tenant: their own, and those of whoever acts in another's."""
    if not is_id(who):
        return [who]
    rows = await connection.fetch(_IN_A_NAME, tenant_id)
    others = [row["actor"] for row in rows]
    return [who, *(each for each in others if each != who and is_acted_by(each, who))]


def _of_tenant(where: Where, tenant_id: str, size: int, actors: Sequence[str] | None, subject: str | None) -> str:
    """The SQL for one tenant's entries by any of `actors`, or about `subject`; or for what was refused there.

    Each list is read from its own index, newest first. The tenant comes as a row: for one that is named, PostgreSQL
    would reckon from how much it has that of all that was refused anywhere some must be its own, and read it all.
    """
    tenant, limit = where.value([tenant_id]), where.value(size)
    one = f"SELECT e.position FROM events.audit_entries AS e WHERE e.tenant_id = whose.tenant_id AND {where}"
    newest = f"ORDER BY e.position DESC LIMIT {limit}"
    lists = [] if actors is not None or subject is not None else [f"({one} {newest})"]
    if actors is not None:
        by = f"{one} AND e.actor = who.actor {newest}"
        who = where.value(list(actors))
        lists.append(f"SELECT by.position FROM unnest({who}::text[]) AS who (actor) CROSS JOIN LATERAL ({by}) AS by")
    if subject is not None:
        lists.append(f"({one} AND e.subject = {where.value(subject)} {newest})")
    return (
        f"{ENTRIES} WHERE e.position = ANY (ARRAY(SELECT found.position"
        f" FROM unnest({tenant}::text[]) AS whose (tenant_id) CROSS JOIN LATERAL ({' UNION '.join(lists)}) AS found"
        f" ORDER BY found.position DESC LIMIT {limit})) ORDER BY e.position DESC"
    )


def _between(where: Where, tenant_id: str, since: datetime | None, until: datetime | None) -> None:
    """Between which positions a tenant's entries of a time are, so that no others are read: entries are written in the
    order in which things were committed, and none so much later than others of its time."""
    beside = "SELECT b.position FROM events.audit_entries AS b WHERE b.tenant_id = {}"
    if until is not None:
        first = f"({beside} AND b.at >= {{}} ORDER BY b.at, b.position LIMIT 1)"
        where.add(f"e.position < (SELECT coalesce({first}, {MAX_POSITION}))", tenant_id, until + OUT_OF_ORDER)
    if since is not None:
        last = f"({beside} AND b.at < {{}} ORDER BY b.at DESC, b.position DESC LIMIT 1)"
        where.add(f"e.position > (SELECT coalesce({last}, 0))", tenant_id, since - OUT_OF_ORDER)
