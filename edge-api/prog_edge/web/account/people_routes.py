"""The account's routes for one person of a tenant, and for its invitations."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import Response

from prog_contracts.errors import Conflict, Denied, Invalid, NotFound
from prog_edge.web.account.views import ROLES, member_page
from prog_edge.web.ui.forms import form_key, refused, sent_form
from prog_edge.web.ui.rendering import render
from prog_edge.web.ui.routing import notify, page_router, see
from prog_edge.web.ui.sessions import Services, SignedIn

router = page_router("/account/tenants/{tenant_id}")


@router.get("/members/{user_id}")
async def member(request: Request, tenant_id: str, user_id: str, web: Services, viewer: SignedIn) -> Response:
    view = await web.tenancy.member(viewer, tenant_id, user_id)
    return render(request, member_page(view, viewer))


@router.post("/members/{user_id}/role")
async def change_role(request: Request, tenant_id: str, user_id: str, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    role = next((name for name, _ in ROLES if name == values.get("role")), None)
    try:
        if role is None:
            raise Invalid.field("role", "unknown", "Choose one of the roles.")
        await web.tenancy.change_role(viewer, tenant_id, user_id, role=role, idempotency_key=form_key(values))
    except (Invalid, Conflict, Denied) as error:
        view = await web.tenancy.member(viewer, tenant_id, user_id)
        return render(request, member_page(view, viewer, change=refused(values, error)), status=422)
    notify(request, "success", "The role is changed.")
    return see(f"/account/tenants/{tenant_id}")


@router.post("/members/{user_id}/remove")
async def remove(request: Request, tenant_id: str, user_id: str, web: Services, viewer: SignedIn) -> Response:
    """Ends a membership: another's, or the viewer's own."""
    values = await sent_form(request)
    try:
        await web.tenancy.remove_member(viewer, tenant_id, user_id, idempotency_key=form_key(values))
    except (Invalid, Conflict, Denied) as error:
        view = await web.tenancy.member(viewer, tenant_id, user_id)
        return render(request, member_page(view, viewer, removal=refused(values, error)), status=422)
    if user_id == viewer.user_id:
        notify(request, "success", "You have left.")
        return see("/account")
    notify(request, "success", "The member is removed.")
    return see(f"/account/tenants/{tenant_id}")


@router.post("/invitations/{invitation_id}/resend")
async def resend(request: Request, tenant_id: str, invitation_id: str, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    try:
        email = await web.tenancy.resend_invitation(viewer, tenant_id, invitation_id, idempotency_key=form_key(values))
    except (Conflict, Denied, NotFound) as error:
        notify(request, "error", error.message)
    else:
        notify(request, "success", f"A new link is on its way to {email}. The one before does not work any more.")
    return see(f"/account/tenants/{tenant_id}")


@router.post("/invitations/{invitation_id}/revoke")
async def revoke(request: Request, tenant_id: str, invitation_id: str, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    try:
        email = await web.tenancy.revoke_invitation(viewer, tenant_id, invitation_id, idempotency_key=form_key(values))
    except (Conflict, Denied, NotFound) as error:
        notify(request, "error", error.message)
    else:
        notify(request, "success", f"The invitation to {email} is taken back.")
    return see(f"/account/tenants/{tenant_id}")
