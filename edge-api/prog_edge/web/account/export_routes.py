"""The account's routes for taking a tenant's data along. They need no JavaScript."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import quote

from fastapi import Request
from starlette.responses import Response

from prog_contracts.errors import Conflict, Denied
from prog_edge.web.account.session_routes import AGAIN
from prog_edge.web.ports import ExportsView
from prog_edge.web.ui.forms import FormState, form_key, refused, sent_form
from prog_edge.web.ui.rendering import render
from prog_edge.web.ui.routing import notify, page_router, see
from prog_edge.web.ui.sessions import Services, SignedIn

router = page_router("/account/tenants/{tenant_id}/export")


@dataclass(frozen=True, slots=True)
class ExportsPage:
    template: ClassVar[str] = "account/exports.html"
    view: ExportsView
    form: FormState
    section: str = "overview"


@router.get("")
async def exports(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    return render(request, ExportsPage(await web.exports.exports(viewer, tenant_id), FormState()))


@router.post("")
async def begin(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    """Needs a fresh sign-in."""
    values = await sent_form(request)
    try:
        await web.exports.begin(viewer, tenant_id, idempotency_key=form_key(values))
    except Denied as error:
        return _again(tenant_id, error)
    except Conflict as error:
        page = ExportsPage(await web.exports.exports(viewer, tenant_id), refused(values, error))
        return render(request, page, status=422)
    notify(request, "info", "The data are being collected. A mail tells all owners when the file is ready.")
    return see(_address(tenant_id))


@router.post("/{export_id}")
async def fetch(request: Request, tenant_id: str, export_id: str, web: Services, viewer: SignedIn) -> Response:
    """The file. Needs a fresh sign-in."""
    await sent_form(request)
    try:
        return await web.exports.fetch(viewer, tenant_id, export_id)
    except Denied as error:
        return _again(tenant_id, error)
    except Conflict as error:
        notify(request, "error", error.message)
    return see(_address(tenant_id))


def _again(tenant_id: str, error: Denied) -> Response:
    """Raises what signing in again does not mend."""
    if error.code != "fresh_sign_in_required":
        raise error
    return see(f"{AGAIN}?next={_address(tenant_id)}")


def _address(tenant_id: str) -> str:
    return f"/account/tenants/{quote(tenant_id)}/export"
