"""Behind the page of a tenant's audit trail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from prog_contracts.actors import key_of, person_of
from prog_contracts.errors import NotFound
from prog_contracts.ids import is_id
from prog_edge.api.audit import csv_file
from prog_edge.backend.acts import in_words
from prog_edge.backend.permission import role_for
from prog_edge.platform import Platform
from prog_edge.web.ports import Viewer
from prog_edge.web.ports.trail import TrailEntry, TrailQuery, TrailView
from prog_kit.pages import MAX_LIMIT, Page
from prog_workers.events import queries
from prog_workers.events.queries import AuditRow
from prog_workers.tenants import queries as tenants

PAGE_ROWS: Final = 50
_ACTS: Final = {
    "tenants.member_impersonation_began": "Support began to act in a member's name",
    "tenants.member_impersonation_ended": "Support stopped acting in a member's name",
    "tenants.member_joined": "Somebody joined",
    "tenants.member_removed": "A member left or was removed",
    "tenants.member_role_changed": "A member's role changed",
}
"""In words for the tenant; `acts` has those for the person whom it is about."""


class Trail:
    """Implements `prog_edge.web.ports.trail.TrailBackend`."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def page(self, viewer: Viewer, tenant_id: str, query: TrailQuery) -> TrailView:
        role = await role_for(self._platform, viewer, tenant_id, "audit.read")
        found = await self._rows(tenant_id, query, PAGE_ROWS, query.cursor)
        persons = {person for row in found.rows if (person := _person(row)) is not None}
        async with self._platform.reader.scope(tenant_id=tenant_id) as connection:
            tenant = await tenants.tenant(connection, tenant_id)
            names = await tenants.member_names(connection, tenant_id, persons)
        if tenant is None:
            raise NotFound("There is no such tenant.")
        entries = [_entry(row, names) for row in found.rows]
        return TrailView(tenant_id, tenant.name, role, entries, found.next_cursor)

    async def file(self, viewer: Viewer, tenant_id: str, query: TrailQuery) -> Response:
        await role_for(self._platform, viewer, tenant_id, "audit.read")

        async def following(cursor: str) -> Page[AuditRow]:
            return await self._rows(tenant_id, query, MAX_LIMIT, cursor)

        return csv_file(await self._rows(tenant_id, query, MAX_LIMIT, None), following)

    async def _rows(self, tenant_id: str, query: TrailQuery, limit: int, cursor: str | None) -> Page[AuditRow]:
        # An id, or a key's `user_…/apikey_…`; anything else is the beginning of an action.
        is_identity = is_id(query.search.partition("/")[0])
        wanted: dict[str, Any] = {"concerning" if is_identity else "action": query.search} if query.search else {}
        if "action" in wanted:
            wanted["action"] += "*"
        async with self._platform.reader.scope(tenant_id=tenant_id) as connection:
            return await queries.audit_entries(
                connection,
                tenant_id=tenant_id,
                outcome=query.outcome,
                since=query.since,
                until=query.until,
                limit=limit,
                cursor=cursor,
                **wanted,
            )


def _entry(row: AuditRow, names: Mapping[str, str]) -> TrailEntry:
    return TrailEntry(
        sequence=row.sequence,
        at=row.at,
        action=row.action,
        text=_text(row.action),
        outcome=row.outcome,
        why=row.code,
        permission=row.permission,
        by=_by(row, names),
        actor=row.actor,
        subject=row.subject,
        address=row.client_address,
        count=row.count,
    )


def _text(action: str) -> str:
    """In words; what the edge turned away has the name of what was asked for, `GET /v1/invoices`, and keeps it."""
    return action if " " in action else _ACTS.get(action) or in_words(action)


def _person(row: AuditRow) -> str | None:
    """In whose name it was done; None for a client that calls by itself, a process, and nobody known."""
    person = person_of(row.actor)
    return person if person is not None and person.startswith("user_") else None


def _by(row: AuditRow, names: Mapping[str, str]) -> str:
    """Who did it, in words: whoever is a member by name."""
    if row.actor_kind == "operator":
        return "an operator of the platform"
    if row.actor_kind == "system":
        return "the platform"
    person = _person(row)
    if person is None:
        return "somebody who was not signed in" if row.actor_kind == "nobody" else "a client"
    name = names.get(person, "somebody who is no member")
    if row.actor_kind == "impersonator":
        return f"an operator of the platform, in the name of {name}"
    if key_of(row.actor) is not None:
        return f"{'a client' if row.actor_kind == 'client' else 'an API key'} of {name}"
    return name
