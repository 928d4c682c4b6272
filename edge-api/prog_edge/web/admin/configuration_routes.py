"""The console's routes for what a tenant sets: what it is, its history, and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fastapi import Depends, Request
from starlette.responses import Response

from prog_contracts.errors import Conflict, Denied, Invalid
from prog_edge.web.configuration import SettingsPage, SettingsVersionPage, roll_back, save, shown, whole_number
from prog_edge.web.ports import ConfigurationView
from prog_edge.web.ui.forms import FormState, refused, sent_form
from prog_edge.web.ui.rendering import render
from prog_edge.web.ui.routing import notify, page_router, see
from prog_edge.web.ui.sessions import Operator, Services, operator

router = page_router("/admin/tenants/{tenant_id}/settings", dependencies=[Depends(operator)])


@dataclass(frozen=True, slots=True)
class TenantSettingsPage(SettingsPage):
    template: ClassVar[str] = "admin/settings.html"


@dataclass(frozen=True, slots=True)
class TenantSettingsVersionPage(SettingsVersionPage):
    template: ClassVar[str] = "admin/settings_version.html"


@router.get("")
async def settings(request: Request, tenant_id: str, web: Services, viewer: Operator) -> Response:
    view = await web.configuration.view(viewer, tenant_id)
    return render(request, TenantSettingsPage(view, FormState(shown(view.configuration)), _path(view)))


@router.post("")
async def change(request: Request, tenant_id: str, web: Services, viewer: Operator) -> Response:
    values = await sent_form(request)
    try:
        version = await save(request, web, viewer, tenant_id, values)
    except (Invalid, Conflict, Denied) as error:
        view = await web.configuration.view(viewer, tenant_id)
        return render(request, TenantSettingsPage(view, refused(values, error), _path(view)), status=422)
    notify(request, "success", f"Saved. Version {version} holds now.")
    return see(f"/admin/tenants/{tenant_id}/settings")


@router.get("/versions/{version}")
async def version(request: Request, tenant_id: str, version: str, web: Services, viewer: Operator) -> Response:
    view = await web.configuration.view(viewer, tenant_id, whole_number(version))
    return render(request, TenantSettingsVersionPage(view, FormState(), _path(view)))


@router.post("/versions/{version}/restore")
async def restore(request: Request, tenant_id: str, version: str, web: Services, viewer: Operator) -> Response:
    values = await sent_form(request)
    try:
        made = await roll_back(web, viewer, tenant_id, version, values)
    except (Invalid, Conflict, Denied) as error:
        view = await web.configuration.view(viewer, tenant_id, whole_number(version))
        return render(request, TenantSettingsVersionPage(view, refused(values, error), _path(view)), status=422)
    notify(request, "success", f"The settings of version {version} hold again, as version {made}.")
    return see(f"/admin/tenants/{tenant_id}/settings")


def _path(view: ConfigurationView) -> str:
    return f"/admin/tenants/{view.tenant_id}/settings"
