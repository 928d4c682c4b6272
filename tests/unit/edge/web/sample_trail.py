"""A tenant's audit trail as the pages see it, with made-up people."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from starlette.responses import PlainTextResponse, Response

from prog_contracts.errors import Denied, Invalid
from prog_contracts.tenants import TenantRole
from prog_edge.web.ports import Viewer
from prog_edge.web.ports.trail import TrailEntry, TrailQuery, TrailView

_AT = datetime(2026, 11, 26, 8, 15, tzinfo=UTC)
_ADA = "user_01jd7z4c8nf3ktv9q2m6x0r5we"
_KEY = f"{_ADA}/apikey_01jd7z4c8nf3ktv9q2m6x0r5we"
_NOBODY = "somebody who was not signed in"
ENTRIES = (
    TrailEntry(
        4, _AT, "tenants.member_invited", "Somebody invited", "success", None, None, "Ada Lovelace", _ADA,
        "invitation_01jd7z4c8nf3ktv9q2m6x0r5we", "192.0.2.7", 1,
    ),
    TrailEntry(
        3, _AT - timedelta(minutes=4), "users.authentication_failed", "Authentication failed", "failure",
        "invalid_credentials", None, _NOBODY, None, None, "198.51.100.23", 12,
    ),
    TrailEntry(
        2, _AT - timedelta(hours=2), "GET /v1/invoices", "GET /v1/invoices", "denial", "denied", "billing.read",
        "an API key of Ada Lovelace", _KEY, None, None, 1,
    ),
)  # fmt: skip


@dataclass
class SampleTrail:
    """`asked` has what each page and file was asked for."""

    role: TenantRole = "owner"
    empty: bool = False
    asked: list[TrailQuery] = field(default_factory=list)

    async def page(self, viewer: Viewer, tenant_id: str, query: TrailQuery) -> TrailView:
        self._check(query)
        if query.cursor not in (None, "older"):
            raise Invalid.field("cursor", "bad_cursor", "The cursor is not one that this list gave out.")
        entries = () if self.empty or query.search == "nothing" else ENTRIES
        older = "older" if entries and query.cursor is None else None
        return TrailView(tenant_id, "Analytical Engines", self.role, entries, older)

    async def file(self, viewer: Viewer, tenant_id: str, query: TrailQuery) -> Response:
        self._check(query)
        return PlainTextResponse("sequence\n4\n", media_type="text/csv")

    def _check(self, query: TrailQuery) -> None:
        self.asked.append(query)
        if self.role not in ("owner", "admin"):
            raise Denied(f"Your role ({self.role}) does not allow this.")
