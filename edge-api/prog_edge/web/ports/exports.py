"""What the page about a tenant's exports needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from starlette.responses import Response

from prog_edge.web.ports.shared import Viewer


@dataclass(frozen=True, slots=True)
class ExportCard:
    """An export, and how far it has come. `requested_by` is a member's name, or None for somebody who is none any
    more; `byte_count` is without compression. One that failed had become too large."""

    id: str
    status: Literal["running", "ready", "expired", "failed"]
    requested_by: str | None
    requested_at: datetime
    tables_done: int
    tables: int
    row_count: int
    byte_count: int
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class ExportsView:
    """A tenant's exports, the last one first. `may_export` is false for staff, who may look alone."""

    tenant_id: str
    tenant_name: str
    exports: Sequence[ExportCard]
    may_export: bool


class ExportsBackend(Protocol):
    """For owners; `NotFound` for strangers, `Denied` for other roles. The last two raise Denied with code
    `fresh_sign_in_required` too."""

    async def exports(self, viewer: Viewer, tenant_id: str) -> ExportsView: ...

    async def begin(self, viewer: Viewer, tenant_id: str, *, idempotency_key: str) -> None: ...

    async def fetch(self, viewer: Viewer, tenant_id: str, export_id: str) -> Response:
        """The file, as it is made."""
        ...
