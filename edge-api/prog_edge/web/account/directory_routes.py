"""The account's page about a tenant's directory: where an identity provider sends users and groups, with which key, and
which roles its groups give."""

from __future__ import annotations

from typing import Final, cast

from fastapi import Request
from starlette.responses import Response

from prog_contracts.directory import DefaultRole, MappedRole
from prog_contracts.errors import Conflict, Denied, Invalid, NotFound
from prog_edge.web.account.views import DEFAULT_ROLES, GROUP_ROLES, ApiKeyMadePage, DirectoryPage
from prog_edge.web.ui.forms import form_key, refused, sent_form
from prog_edge.web.ui.rendering import render
from prog_edge.web.ui.routing import notify, page_router, see
from prog_edge.web.ui.sessions import Services, SignedIn

router = page_router("/account/tenants/{tenant_id}/directory")

KEY_NAME: Final = "Directory (SCIM)"
KEY_DAYS: Final = 365


@router.get("")
async def directory(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    return render(request, DirectoryPage(await web.directories.directory(viewer, tenant_id)))


@router.post("/key")
async def make_key(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    try:
        made = await web.api_keys.make(
            viewer,
            tenant_id,
            name=KEY_NAME,
            scopes=["scim.manage"],
            days=KEY_DAYS,
            idempotency_key=form_key(values),
        )
    except (Invalid, Conflict, Denied) as error:
        view = await web.directories.directory(viewer, tenant_id)
        return render(request, DirectoryPage(view, making=refused(values, error)), status=422)
    view = await web.directories.directory(viewer, tenant_id)
    keys = await web.api_keys.keys(viewer, tenant_id)
    return render(request, ApiKeyMadePage(keys, made, section="directory", scim_url=view.scim_url))


@router.post("/default")
async def set_default(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    role = values.get("role", "")
    try:
        if role not in dict(DEFAULT_ROLES):
            raise Invalid.field("role", "unknown", "Choose one of these.")
        await web.directories.set_default(
            viewer, tenant_id, role=cast("DefaultRole", role), idempotency_key=form_key(values)
        )
    except (Invalid, Conflict, Denied) as error:
        view = await web.directories.directory(viewer, tenant_id)
        return render(request, DirectoryPage(view, default=refused(values, error)), status=422)
    notify(request, "success", f"Whoever is in no group with a role is a {role} from now on.")
    return see(f"/account/tenants/{tenant_id}/directory")


@router.post("/groups/{group_id}")
async def map_group(request: Request, tenant_id: str, group_id: str, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    role = values.get("role", "")
    try:
        if role not in dict(GROUP_ROLES):
            raise Invalid.field("role", "unknown", "Choose one of these.")
        name = await web.directories.map_group(
            viewer,
            tenant_id,
            group_id,
            role=None if role == "none" else cast("MappedRole", role),
            idempotency_key=form_key(values),
        )
    except (Invalid, Conflict, Denied) as error:
        view = await web.directories.directory(viewer, tenant_id)
        if group_id not in {card.id for card in view.groups}:
            raise NotFound("There is no such group in the directory.") from error
        return render(request, DirectoryPage(view, mapping={group_id: refused(values, error)}), status=422)
    gives = "no role" if role == "none" else f"the role {role}"
    notify(request, "success", f"{name} gives {gives} from now on.")
    return see(f"/account/tenants/{tenant_id}/directory")
