"""A tenant's exports as their page sees them, with made-up ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from starlette.responses import Response

from prog_contracts.errors import Conflict, Denied
from prog_edge.web.ports import ExportCard, ExportsView, Viewer

_AT = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
READY = ExportCard(
    "export_01jd7z4c8nf3ktv9q2m6x0r5we", "ready", "Ada Lovelace", _AT, 44, 44, 182_304, 96_400_000,
    _AT + timedelta(days=3),
)  # fmt: skip
RUNNING = ExportCard(
    "export_01jd7z4c8nf3ktv9q2m6x0r5wf", "running", "Ada Lovelace", _AT, 12, 44, 51_200, 20_000_000, None
)
EXPIRED = ExportCard(
    "export_01jd7z4c8nf3ktv9q2m6x0r5wd", "expired", None, _AT - timedelta(days=30), 44, 44, 170_011, 90_000_000,
    _AT - timedelta(days=27),
)  # fmt: skip
FAILED = ExportCard(
    "export_01jd7z4c8nf3ktv9q2m6x0r5wc", "failed", "Ada Lovelace", _AT - timedelta(days=31), 20, 44, 9_800_211,
    10_738_000_000, None,
)  # fmt: skip


class SampleExports:
    """`fresh` lets one be asked for and fetched, `owner` is whose page it is; `done` is what was asked for."""

    def __init__(
        self, exports: Sequence[ExportCard] = (READY, EXPIRED, FAILED), *, fresh: bool = True, owner: bool = True
    ) -> None:
        self._exports = exports
        self._fresh = fresh
        self._owner = owner
        self.done: list[str] = []

    async def exports(self, viewer: Viewer, tenant_id: str) -> ExportsView:
        return ExportsView(tenant_id, "Analytical Engines", self._exports, self._owner)

    async def begin(self, viewer: Viewer, tenant_id: str, *, idempotency_key: str) -> None:
        self._need_fresh()
        if self._exports and self._exports[0].status == "running":
            raise Conflict("An export is being made. Wait for it.", code="export_running")
        self.done.append("begin")

    async def fetch(self, viewer: Viewer, tenant_id: str, export_id: str) -> Response:
        self._need_fresh()
        if export_id != READY.id:
            raise Conflict("This export is not ready, or was deleted.", code="export_not_ready")
        self.done.append(export_id)
        return Response(b"PK", media_type="application/zip")

    def _need_fresh(self) -> None:
        if not self._fresh:
            raise Denied("Sign in again first.", code="fresh_sign_in_required")
