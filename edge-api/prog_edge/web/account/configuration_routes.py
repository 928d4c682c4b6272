"""The account's routes for what a tenant sets: a form, its history, and the way back."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import Response

from prog_contracts.errors import Conflict, Denied, Invalid
from prog_contracts.permissions import allowed
from prog_contracts.tenants import TenantRole
from prog_edge.web.account.views import MANAGES_PEOPLE
from prog_edge.web.configuration import SettingsPage, SettingsVersionPage, roll_back, save, shown, whole_number
from prog_edge.web.ports import ConfigurationView
from prog_edge.web.ui.forms import FormState, refused, sent_form
from prog_edge.web.ui.rendering import render
from prog_edge.web.ui.routing import notify, page_router, see
from prog_edge.web.ui.sessions import Services, SignedIn

router = page_router("/account/tenants/{tenant_id}/settings")


@router.get("")
async def settings(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    view = await web.configuration.view(viewer, tenant_id)
    return render(request, _page(view, FormState(shown(view.configuration))))


@router.post("")
async def change(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    try:
        version = await save(request, web, viewer, tenant_id, values)
    except (Invalid, Conflict, Denied) as error:
        view = await web.configuration.view(viewer, tenant_id)
        return render(request, _page(view, refused(values, error)), status=422)
    notify(request, "success", f"Saved. Version {version} holds now.")
    return see(f"/account/tenants/{tenant_id}/settings")


@router.get("/versions/{version}")
async def version(request: Request, tenant_id: str, version: str, web: Services, viewer: SignedIn) -> Response:
    view = await web.configuration.view(viewer, tenant_id, whole_number(version))
    return render(request, _version_page(view, FormState()))


@router.post("/versions/{version}/restore")
async def restore(request: Request, tenant_id: str, version: str, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    try:
        made = await roll_back(web, viewer, tenant_id, version, values)
    except (Invalid, Conflict, Denied) as error:
        view = await web.configuration.view(viewer, tenant_id, whole_number(version))
        return render(request, _version_page(view, refused(values, error)), status=422)
    notify(request, "success", f"The settings of version {version} hold again, as version {made}.")
    return see(f"/account/tenants/{tenant_id}/settings")


def _page(view: ConfigurationView, form: FormState) -> SettingsPage:
    path = f"/account/tenants/{view.tenant_id}/settings"
    manages, pays = _tabs_of(view.viewer_role)
    return SettingsPage(view, form, path, manages_people=manages, sees_billing=pays)


def _version_page(view: ConfigurationView, form: FormState) -> SettingsVersionPage:
    path = f"/account/tenants/{view.tenant_id}/settings"
    manages, pays = _tabs_of(view.viewer_role)
    return SettingsVersionPage(view, form, path, manages_people=manages, sees_billing=pays)


def _tabs_of(role: TenantRole) -> tuple[bool, bool]:
    """Whether somebody with this role is shown the tabs of those who manage the tenant, and that of billing."""
    return role in MANAGES_PEOPLE, allowed(role, "billing.read")
