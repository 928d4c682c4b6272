"""The account's routes for a tenant's sign-on. They need no JavaScript."""

from __future__ import annotations

from collections.abc import Awaitable
from urllib.parse import quote

from fastapi import Request
from starlette.responses import Response

from prog_contracts.errors import Conflict, Denied, Invalid, NotFound
from prog_edge.web.account.session_routes import AGAIN
from prog_edge.web.account.views import SignOnPage
from prog_edge.web.ports import Viewer, WebServices
from prog_edge.web.ui.forms import FormState, form_key, refused, sent_form
from prog_edge.web.ui.rendering import render
from prog_edge.web.ui.routing import notify, page_router, see
from prog_edge.web.ui.sessions import Services, SignedIn

router = page_router("/account/tenants/{tenant_id}/sign-on")


@router.get("")
async def sign_on(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    return render(request, await _page(web, viewer, tenant_id))


@router.post("")
async def configure(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    try:
        await web.sign_on.configure(
            viewer,
            tenant_id,
            issuer=values.get("issuer", ""),
            client_id=values.get("client_id", ""),
            client_secret=values.get("client_secret", ""),
            default_role=values.get("default_role", ""),
            enforced=values.get("enforced") == "yes",
            api_key_days=values.get("api_key_days", ""),
            idempotency_key=form_key(values),
        )
    except (Invalid, Conflict, Denied) as error:
        if error.code == "fresh_sign_in_required":
            return _again(tenant_id)
        page = await _page(web, viewer, tenant_id, provider=refused(values, error))
        return render(request, page, status=422)
    notify(request, "success", "Your people sign on with this provider from now on.")
    return see(_address(tenant_id))


@router.post("/remove")
async def remove(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    return await _done(request, web, viewer, tenant_id, web.sign_on.remove(viewer, tenant_id), "Sign-on has ended.")


@router.post("/domains")
async def claim(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    try:
        await web.sign_on.claim(viewer, tenant_id, values.get("domain", ""), idempotency_key=form_key(values))
    except (Invalid, Conflict, Denied) as error:
        if error.code == "fresh_sign_in_required":
            return _again(tenant_id)
        return render(request, await _page(web, viewer, tenant_id, domain=refused(values, error)), status=422)
    notify(request, "info", "Publish the record that is shown, then check it.")
    return see(_address(tenant_id))


@router.post("/domains/check")
async def check(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    domain = (await sent_form(request)).get("domain", "")
    checked = web.sign_on.check(viewer, tenant_id, domain)
    return await _done(request, web, viewer, tenant_id, checked, "The domain is proven.")


@router.post("/domains/release")
async def release(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    domain = (await sent_form(request)).get("domain", "")
    released = web.sign_on.release(viewer, tenant_id, domain)
    return await _done(request, web, viewer, tenant_id, released, "The domain is released.")


async def _done(
    request: Request, web: WebServices, viewer: Viewer, tenant_id: str, change: Awaitable[None], told: str
) -> Response:
    try:
        await change
    except (Invalid, Conflict, Denied, NotFound) as error:
        if error.code == "fresh_sign_in_required":
            return _again(tenant_id)
        if error.code not in ("no_sign_on", "domain_not_claimed") and not isinstance(error, Conflict | Invalid):
            raise
        page = await _page(web, viewer, tenant_id, domain=FormState(problem=error.message))
        return render(request, page, status=422)
    notify(request, "success", told)
    return see(_address(tenant_id))


async def _page(
    web: WebServices,
    viewer: Viewer,
    tenant_id: str,
    *,
    provider: FormState | None = None,
    domain: FormState | None = None,
) -> SignOnPage:
    view = await web.sign_on.view(viewer, tenant_id)
    return SignOnPage(view, provider or FormState(), domain or FormState())


def _address(tenant_id: str) -> str:
    return f"/account/tenants/{tenant_id}/sign-on"


def _again(tenant_id: str) -> Response:
    return see(f"{AGAIN}?next={quote(_address(tenant_id), safe='/')}")
