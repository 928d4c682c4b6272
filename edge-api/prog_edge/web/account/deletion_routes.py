"""The account's routes for one's data: taken along, deleted with the account, and kept after all. No JavaScript
is needed."""

from __future__ import annotations

from typing import Final

from fastapi import Request
from starlette.responses import Response

from prog_contracts.errors import Conflict, Denied, Invalid
from prog_edge.web.account.own_views import DataPage, DeleteAccountPage
from prog_edge.web.account.session_routes import AGAIN
from prog_edge.web.ui.formats import day
from prog_edge.web.ui.forms import FormState, form_key, refused, sent_form
from prog_edge.web.ui.rendering import render
from prog_edge.web.ui.routing import notify, page_router, see
from prog_edge.web.ui.sessions import Services, SignedIn, client_of

router = page_router("/account")

HERE: Final = "/account/delete"
DATA: Final = "/account/data"


@router.get("/data")
async def data(request: Request, viewer: SignedIn) -> Response:
    return render(request, DataPage(form=FormState()))


@router.post("/data/export")
async def export(request: Request, web: Services, viewer: SignedIn) -> Response:
    """Needs a fresh sign-in."""
    values = await sent_form(request)
    try:
        return await web.security.export(viewer, client=client_of(request), idempotency_key=form_key(values))
    except Denied as error:
        if error.code != "fresh_sign_in_required":
            raise
        return see(f"{AGAIN}?next={DATA}")
    except Conflict as error:
        return render(request, DataPage(form=refused(values, error)), status=422)


@router.get("/delete")
async def delete_form(request: Request, web: Services, viewer: SignedIn) -> Response:
    needed_by = await web.security.needed_by(viewer)
    return render(request, DeleteAccountPage(needed_by=needed_by, form=FormState()))


@router.post("/delete")
async def delete(request: Request, web: Services, viewer: SignedIn) -> Response:
    """Needs a fresh sign-in, and the account's address typed, so that nobody deletes the wrong one."""
    values = await sent_form(request)
    try:
        if values.get("email", "").strip().lower() != viewer.email:
            raise Invalid.field("email", "mismatch", f"Type {viewer.email} to delete this account.")
        erase_at = await web.security.delete_account(viewer, idempotency_key=form_key(values))
    except Denied as error:
        if error.code != "fresh_sign_in_required":
            raise
        return see(f"{AGAIN}?next={HERE}")
    except (Invalid, Conflict) as error:
        page = DeleteAccountPage(needed_by=await web.security.needed_by(viewer), form=refused(values, error))
        return render(request, page, status=422)
    notify(request, "info", f"Your account is deleted on {day(erase_at)}. Until then you can keep it.")
    return see("/account")


@router.post("/delete/restore")
async def restore(request: Request, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    try:
        await web.security.restore_account(viewer, idempotency_key=form_key(values))
    except Conflict as error:
        notify(request, "error", error.message)
    else:
        notify(request, "success", "Your account stays. Nothing was deleted.")
    return see("/account")
