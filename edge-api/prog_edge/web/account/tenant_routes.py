"""The account's routes: a person's tenants, their people and their billing."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import Response

from prog_contracts.errors import Conflict, Denied, Invalid, NotFound
from prog_edge.context import context_of
from prog_edge.web.account.views import ROLES, HomePage, TenantPage, billing_page, tenant_page
from prog_edge.web.ports import WebServices
from prog_edge.web.ports.shared import Viewer
from prog_edge.web.ui.forms import FormState, form_key, refused, sent_form
from prog_edge.web.ui.rendering import render
from prog_edge.web.ui.routing import notify, page_router, see
from prog_edge.web.ui.sessions import Services, SignedIn

router = page_router("/account")


@router.get("")
async def home(request: Request, web: Services, viewer: SignedIn) -> Response:
    site = context_of(request.scope).site
    if site is not None:
        return see(f"/account/tenants/{site.tenant_id}")
    return render(request, HomePage(tenants=await web.account.tenants(viewer), form=FormState()))


@router.post("/tenants")
async def create_tenant(request: Request, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    try:
        tenant_id = await web.account.create_tenant(
            viewer, name=values.get("name", ""), idempotency_key=form_key(values)
        )
    except (Invalid, Conflict, Denied) as error:
        page = HomePage(tenants=await web.account.tenants(viewer), form=refused(values, error))
        return render(request, page, status=422)
    return see(f"/account/tenants/{tenant_id}")


async def _tenant_page(
    web: WebServices, viewer: Viewer, tenant_id: str, invite: FormState, naming: FormState | None = None
) -> TenantPage:
    return tenant_page(await web.account.tenant(viewer, tenant_id), viewer, invite, naming)


@router.get("/tenants/{tenant_id}")
async def tenant_overview(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    return render(request, await _tenant_page(web, viewer, tenant_id, FormState()))


@router.post("/tenants/{tenant_id}/name")
async def rename(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    name = values.get("name", "")
    try:
        await web.tenancy.rename_tenant(viewer, tenant_id, name=name, idempotency_key=form_key(values))
    except (Invalid, Conflict, Denied) as error:
        page = await _tenant_page(web, viewer, tenant_id, FormState(), refused(values, error))
        return render(request, page, status=422)
    notify(request, "success", f"The tenant is called {name} now.")
    return see(f"/account/tenants/{tenant_id}")


@router.post("/tenants/{tenant_id}/invitations")
async def invite(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    role = next((name for name, _ in ROLES if name == values.get("role")), None)
    try:
        if role is None:
            raise Invalid.field("role", "unknown", "Choose one of the roles.")
        await web.account.invite_member(
            viewer,
            tenant_id,
            email=values.get("email", ""),
            role=role,
            idempotency_key=form_key(values),
        )
    except (Invalid, Conflict, Denied) as error:
        return render(request, await _tenant_page(web, viewer, tenant_id, refused(values, error)), status=422)
    notify(request, "success", f"An invitation is on its way to {values.get('email')}.")
    return see(f"/account/tenants/{tenant_id}")


@router.get("/tenants/{tenant_id}/billing")
async def billing(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    given = request.query_params
    try:
        view = await web.account.billing(viewer, tenant_id, given.get("cursor"))
    except Invalid:
        return see(f"/account/tenants/{tenant_id}/billing")
    page = billing_page(view, chosen=given.get("plan"), settling="settling" in given, older="cursor" in given)
    return render(request, page)


@router.post("/tenants/{tenant_id}/subscription")
async def subscribe(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    try:
        await web.account.subscribe(
            viewer,
            tenant_id,
            price_id=values.get("price_id", ""),
            payment_method=values.get("payment_method", ""),
            idempotency_key=form_key(values),
        )
    except (Invalid, Conflict, Denied) as error:
        view = await web.account.billing(viewer, tenant_id)
        page = billing_page(view, subscribe=refused(values, error), chosen=values.get("price_id"))
        return render(request, page, status=422)
    notify(request, "info", "Your plan is chosen, and the card is being charged.")
    return see(f"/account/tenants/{tenant_id}/billing")


@router.post("/tenants/{tenant_id}/subscription/cancel")
async def cancel_subscription(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    try:
        await web.account.cancel_subscription(viewer, tenant_id, idempotency_key=form_key(values))
    except (Invalid, Conflict, Denied, NotFound) as error:
        notify(request, "error", error.message)
    else:
        notify(request, "success", "The subscription ends with the paid period.")
    return see(f"/account/tenants/{tenant_id}/billing")


@router.post("/tenants/{tenant_id}/card")
async def change_card(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    try:
        await web.account.change_card(
            viewer, tenant_id, payment_method=values.get("payment_method", ""), idempotency_key=form_key(values)
        )
    except (Invalid, Conflict, Denied) as error:
        view = await web.account.billing(viewer, tenant_id)
        return render(request, billing_page(view, card=refused(values, error)), status=422)
    notify(request, "success", "The new card is in place. Open invoices are tried with it now.")
    return see(f"/account/tenants/{tenant_id}/billing?settling=1")


@router.get("/tenants/{tenant_id}/invoices/{invoice_id}.pdf")
async def invoice_pdf(tenant_id: str, invoice_id: str, web: Services, viewer: SignedIn) -> Response:
    pdf = await web.account.invoice_pdf(viewer, tenant_id, invoice_id)
    name = "".join(letter for letter in pdf.filename if letter.isalnum() or letter in "-_.")
    return Response(
        pdf.content, media_type="application/pdf", headers={"Content-Disposition": f'inline; filename="{name}"'}
    )
