"""What the page of a tenant's audit trail needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from starlette.responses import Response

from prog_contracts.tenants import TenantRole
from prog_edge.web.ports.shared import Viewer

Outcome = Literal["success", "failure", "denial"]


@dataclass(frozen=True, slots=True)
class TrailQuery:
    """`search` is an action or how one begins, or the id of a person, key or object. `since` and `until` bound the time
    at which it happened."""

    search: str = ""
    outcome: Outcome | None = None
    since: datetime | None = None
    until: datetime | None = None
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class TrailEntry:
    """`text` says in words what `action` names, `by` who did it; `why` is the code of what went wrong. It stands for
    `count` alike."""

    sequence: int
    at: datetime
    action: str
    text: str
    outcome: Outcome
    why: str | None
    permission: str | None
    by: str
    actor: str | None
    subject: str | None
    address: str | None
    count: int


@dataclass(frozen=True, slots=True)
class TrailView:
    tenant_id: str
    tenant_name: str
    viewer_role: TenantRole
    entries: Sequence[TrailEntry]
    next_cursor: str | None


class TrailBackend(Protocol):
    """The viewer's tenants alone; `Denied` for a role that does not read the trail."""

    async def page(self, viewer: Viewer, tenant_id: str, query: TrailQuery) -> TrailView:
        """The last written first. Raises Invalid for a cursor of another list."""
        ...

    async def file(self, viewer: Viewer, tenant_id: str, query: TrailQuery) -> Response:
        """All that the query leaves, as CSV, while it is read."""
        ...
