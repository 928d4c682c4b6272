"""The account's routes for deleting a tenant, and for restoring it."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from fastapi import Request
from starlette.responses import Response

from prog_contracts.errors import Conflict, Denied, Invalid, NotFound
from prog_contracts.permissions import allowed
from prog_edge.web.account.session_routes import AGAIN
from prog_edge.web.account.views import DeleteTenantPage
from prog_edge.web.ui.formats import day
from prog_edge.web.ui.forms import FormState, form_key, refused, sent_form
from prog_edge.web.ui.rendering import render
from prog_edge.web.ui.routing import notify, page_router, see
from prog_edge.web.ui.sessions import Services, SignedIn

router = page_router("/account/tenants/{tenant_id}")

_FOR_OWNERS: Final = "A tenant is deleted by its owners alone."


@router.get("/delete")
async def delete_form(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    tenant = await web.account.tenant(viewer, tenant_id)
    if not allowed(tenant.role, "tenant.delete"):
        raise Denied(_FOR_OWNERS)
    return render(request, DeleteTenantPage(tenant=tenant, form=FormState()))


@router.post("/delete")
async def delete(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    """Needs a fresh sign-in, and the tenant's short name typed, so that nobody deletes the wrong one."""
    values = await sent_form(request)
    tenant = await web.account.tenant(viewer, tenant_id)
    try:
        if values.get("short_name", "") != tenant.slug:
            raise Invalid.field("short_name", "mismatch", f"Type {tenant.slug} to delete this tenant.")
        purge_at = await web.tenancy.delete_tenant(viewer, tenant_id, idempotency_key=form_key(values))
    except Denied as error:
        if error.code != "fresh_sign_in_required":
            raise
        return see(f"{AGAIN}?next={quote(f'/account/tenants/{tenant_id}/delete', safe='/')}")
    except (Invalid, Conflict) as error:
        return render(request, DeleteTenantPage(tenant=tenant, form=refused(values, error)), status=422)
    notify(request, "info", f"The tenant is deleted on {day(purge_at)}. Until then you can restore it.")
    return see(f"/account/tenants/{tenant_id}")


@router.post("/restore")
async def restore(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    try:
        await web.tenancy.restore_tenant(viewer, tenant_id, idempotency_key=form_key(values))
    except (Conflict, Denied, NotFound) as error:
        notify(request, "error", error.message)
    else:
        notify(request, "success", "The tenant is restored. Nothing was deleted.")
    return see(f"/account/tenants/{tenant_id}")
