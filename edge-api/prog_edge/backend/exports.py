"""Behind the page about a tenant's exports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.responses import Response

from prog_contracts.errors import NotFound
from prog_contracts.exports import ExportTenant, FetchTenantExport
from prog_contracts.ids import is_id, new_id
from prog_edge.backend.permission import role_for
from prog_edge.backend.sender import Sender
from prog_edge.platform import Platform
from prog_edge.stepping_up import require_fresh_sign_in
from prog_edge.tenant_exports import export_response
from prog_edge.web.ports import ExportCard, ExportsView, Viewer
from prog_workers.tenants import queries


class Exports:
    """Implements `prog_edge.web.ports.ExportsBackend`."""

    def __init__(self, platform: Platform, sender: Sender) -> None:
        self._platform = platform
        self._sender = sender

    async def exports(self, viewer: Viewer, tenant_id: str) -> ExportsView:
        await role_for(self._platform, viewer, tenant_id, "tenant.export")
        async with self._platform.database.scope(tenant_id=tenant_id) as connection:
            tenant = await queries.tenant(connection, tenant_id)
            members = await queries.members(connection, tenant_id)
            rows = await queries.exports(connection, tenant_id)
        if tenant is None:
            raise NotFound("There is no such tenant.")
        return ExportsView(
            tenant_id=tenant_id,
            tenant_name=tenant.name,
            exports=export_cards(rows, {member.user_id: member.name for member in members}),
            may_export=any(member.user_id == viewer.user_id and member.role == "owner" for member in members),
        )

    async def begin(self, viewer: Viewer, tenant_id: str, *, idempotency_key: str) -> None:
        await self._may_export(viewer, tenant_id)
        command = ExportTenant(tenant_id=tenant_id, export_id=new_id("export"))
        await self._sender.ask(command, tenant_id=tenant_id, actor=viewer.user_id, idempotency_key=idempotency_key)

    async def fetch(self, viewer: Viewer, tenant_id: str, export_id: str) -> Response:
        await self._may_export(viewer, tenant_id)
        if not (is_id(export_id) and export_id.startswith("export_")):
            raise NotFound("There is no such export.", code="export_not_found")
        command = FetchTenantExport(tenant_id=tenant_id, export_id=export_id)
        await self._sender.ask(command, tenant_id=tenant_id, actor=viewer.user_id)
        return await export_response(self._platform, tenant_id, export_id)

    async def _may_export(self, viewer: Viewer, tenant_id: str) -> None:
        await role_for(self._platform, viewer, tenant_id, "tenant.export")
        await require_fresh_sign_in(self._platform, viewer.user_id, viewer.session_id)


def export_cards(rows: Sequence[queries.ExportRow], names: Mapping[str, str]) -> list[ExportCard]:
    """Exports as pages show them, with the members' names."""
    return [
        ExportCard(
            id=row.export_id,
            status=row.status,
            requested_by=names.get(row.requested_by),
            requested_at=row.requested_at,
            tables_done=row.tables_done,
            tables=row.tables_all,
            row_count=row.row_count,
            byte_count=row.byte_count,
            expires_at=row.expires_at,
        )
        for row in rows
    ]
