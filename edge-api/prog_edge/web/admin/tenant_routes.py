"""The console's routes for one tenant: what it is, and its suspension."""

from __future__ import annotations

from fastapi import Depends, Request
from starlette.responses import Response

from prog_contracts.errors import Conflict, Denied, Invalid, NotFound
from prog_edge.web.admin.views import TenantFactsPage
from prog_edge.web.ui.forms import FormState, form_key, refused, sent_form
from prog_edge.web.ui.rendering import render
from prog_edge.web.ui.routing import notify, page_router, see
from prog_edge.web.ui.sessions import Operator, Services, operator

router = page_router("/admin/tenants/{tenant_id}", dependencies=[Depends(operator)])


@router.get("")
async def tenant(request: Request, tenant_id: str, web: Services, viewer: Operator) -> Response:
    return render(request, TenantFactsPage(tenant=await web.tenancy.facts(viewer, tenant_id), form=FormState()))


@router.post("/suspend")
async def suspend(request: Request, tenant_id: str, web: Services, viewer: Operator) -> Response:
    values = await sent_form(request)
    try:
        await web.tenancy.suspend_tenant(
            viewer, tenant_id, reason=values.get("reason", ""), idempotency_key=form_key(values)
        )
    except (Invalid, Conflict, Denied) as error:
        page = TenantFactsPage(tenant=await web.tenancy.facts(viewer, tenant_id), form=refused(values, error))
        return render(request, page, status=422)
    notify(request, "success", "The tenant is suspended, and its owners are told why.")
    return see(f"/admin/tenants/{tenant_id}")


@router.post("/resume")
async def resume(request: Request, tenant_id: str, web: Services, viewer: Operator) -> Response:
    values = await sent_form(request)
    try:
        await web.tenancy.resume_tenant(viewer, tenant_id, idempotency_key=form_key(values))
    except (Conflict, Denied, NotFound) as error:
        notify(request, "error", error.message)
    else:
        notify(request, "success", "The tenant is resumed, and its owners are told.")
    return see(f"/admin/tenants/{tenant_id}")
