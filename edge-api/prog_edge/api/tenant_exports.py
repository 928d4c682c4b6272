"""A tenant's data as one file: asked for, looked after while it is made, and fetched. For its owners alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Request
from pydantic import Field
from starlette.responses import Response

from prog_contracts.errors import NotFound
from prog_contracts.exports import ExportTenant, FetchTenantExport
from prog_contracts.ids import is_id, new_id
from prog_edge.access import Access, Needs
from prog_edge.api.shapes import Listing, Resource, problems
from prog_edge.archives import MEDIA_TYPE
from prog_edge.stepping_up import require_fresh_sign_in
from prog_edge.tenant_exports import export_response
from prog_edge.writes import Write, perform
from prog_workers.tenants import queries

router = APIRouter(prefix="/v1/tenants/{tenant_id}", tags=["Tenants"])

Exports = Annotated[Access, Depends(Needs("tenant.export", "path"))]
TenantId = Annotated[str, Path(max_length=100)]
ExportId = Annotated[str, Path(max_length=100)]


class TenantExport(Resource):
    """An export of all that is the tenant's. It is `running` until it is `ready`, and deleted when it has `expired`;
    one that came to no file has `failed`."""

    id: str = Field(examples=["export_01jd7z4c8nf3ktv9q2m6x0r5we"])
    status: Literal["running", "ready", "expired", "failed"]
    reason: Literal["too_large"] | None = Field(
        None, description="Why it failed: it came to more than an export may have here."
    )
    requested_by: str = Field(examples=["user_01jd7z4c8nf3ktv9q2m6x0r5we"])
    requested_at: datetime
    tables_done: int = Field(description="Of how many tables the rows are collected.")
    tables: int = Field(description="How many tables there are; 0 before the first step.")
    rows: int = Field(description="How many rows are collected.")
    bytes: int = Field(description="How many bytes they have without compression.")
    ready_at: datetime | None
    expires_at: datetime | None = Field(description="Until when it can be fetched, on the tenant's clock.")


@router.post("/export", status_code=201, response_model=TenantExport, responses=problems(401, 403, 404, 409))
async def export_tenant(tenant_id: TenantId, request: Request, access: Exports) -> Response:
    """Have all that is the tenant's collected into one file. Needs a sign-in of the last ten minutes.

    It goes on in steps, and `GET /v1/tenants/{tenant_id}/exports/{export_id}` tells how far it is; a mail tells every
    owner what has become of it. For three days it can be fetched; another one takes its place. What grows larger than
    an export may be here has `failed`, and nothing of it is kept.
    """
    await _require_fresh(access)
    command = ExportTenant(tenant_id=access.tenant, export_id=new_id("export"))

    def begun(result: Mapping[str, Any]) -> TenantExport:
        return TenantExport(
            id=result["export_id"],
            status="running",
            requested_by=result["requested_by"],
            requested_at=result["requested_at"],
            tables_done=0,
            tables=0,
            rows=0,
            bytes=0,
            ready_at=None,
            expires_at=None,
        )

    return await perform(request, access, Write(command, access.tenant, begun, status=201, location=_address(access)))


@router.get("/exports", responses=problems(401, 403, 404))
async def list_tenant_exports(tenant_id: TenantId, access: Exports) -> Listing[TenantExport]:
    """The tenant's exports, the last one first, at most 50."""
    async with access.newest_rows() as connection:
        rows = await queries.exports(connection, access.tenant)
    return Listing(data=[_resource(row) for row in rows], next_cursor=None)


@router.get("/exports/{export_id}", responses=problems(401, 403, 404))
async def get_tenant_export(tenant_id: TenantId, export_id: ExportId, access: Exports) -> TenantExport:
    """How far an export is."""
    async with access.newest_rows() as connection:
        row = await queries.export(connection, access.tenant, export_id)
    if row is None:
        raise NotFound("There is no such export.", code="export_not_found")
    return _resource(row)


@router.post(
    "/exports/{export_id}/file",
    response_class=Response,
    responses={
        200: {
            "content": {MEDIA_TYPE: {}},
            "description": "A zip with a file of JSON lines for each table, and a manifest",
        },
        **problems(401, 403, 404, 409, 503),
    },
)
async def fetch_tenant_export(tenant_id: TenantId, export_id: ExportId, request: Request, access: Exports) -> Response:
    """Fetch the file of an export that is ready. Needs a sign-in of the last ten minutes, and to be an owner now."""
    await _require_fresh(access)
    if not (is_id(export_id) and export_id.startswith("export_")):
        raise NotFound("There is no such export.", code="export_not_found")
    command = FetchTenantExport(tenant_id=access.tenant, export_id=export_id)
    answer = await perform(request, access, Write(command, access.tenant, lambda _: None))
    return await export_response(access.platform, access.tenant, export_id) if answer.status_code == 204 else answer


def _resource(row: queries.ExportRow) -> TenantExport:
    return TenantExport(
        id=row.export_id,
        status=row.status,
        reason=row.end_reason,
        requested_by=row.requested_by,
        requested_at=row.requested_at,
        tables_done=row.tables_done,
        tables=row.tables_all,
        rows=row.row_count,
        bytes=row.byte_count,
        ready_at=row.ready_at,
        expires_at=row.expires_at,
    )


def _address(access: Access) -> Any:
    return lambda export: f"/v1/tenants/{access.tenant}/exports/{export.id}"


async def _require_fresh(access: Access) -> None:
    await require_fresh_sign_in(access.platform, access.caller.user_id, access.caller.session_id)
