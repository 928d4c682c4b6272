"""The account's routes for a tenant's OAuth clients.

As with API keys a secret is in the answer to the form that made it, and a reload of that answer makes no second one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request
from starlette.responses import Response

from prog_contracts.errors import Conflict, Denied, Invalid, NotFound
from prog_contracts.oauth import Grant
from prog_contracts.permissions import SCOPES
from prog_edge.web.account.key_routes import SCOPE
from prog_edge.web.account.provider_views import (
    KINDS,
    OFFERED,
    ClientMadePage,
    ClientPage,
    ClientsPage,
)
from prog_edge.web.account.views import GRACES
from prog_edge.web.ports import ClientsView, MadeClient
from prog_edge.web.ui.forms import FormState, SentForm, form_key, refused, sent_form
from prog_edge.web.ui.rendering import render
from prog_edge.web.ui.routing import notify, page_router, see
from prog_edge.web.ui.sessions import Services, SignedIn

router = page_router("/account/tenants/{tenant_id}/clients")


@router.get("")
async def clients(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    return render(request, ClientsPage(await web.clients.clients(viewer, tenant_id), FormState()))


@router.post("")
async def register(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    kind = values.get("kind", "")
    try:
        if kind not in dict(KINDS):
            raise Invalid.field("kind", "unknown", "Choose one of these.")
        made = await web.clients.register(
            viewer, tenant_id, confidential=kind != "app", idempotency_key=form_key(values), **_wish(values, kind)
        )
    except (Invalid, Conflict, Denied) as error:
        view = await web.clients.clients(viewer, tenant_id)
        return render(request, ClientsPage(view, _refused(values, error)), status=422)
    return await _shown(request, tenant_id, web, viewer, made)


@router.get("/{client_id}")
async def client(request: Request, tenant_id: str, client_id: str, web: Services, viewer: SignedIn) -> Response:
    return render(request, _page(await web.clients.clients(viewer, tenant_id), client_id))


@router.post("/{client_id}")
async def change(request: Request, tenant_id: str, client_id: str, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    view = await web.clients.clients(viewer, tenant_id)
    page = _page(view, client_id)
    kind = "web" if "authorization_code" in page.client.grants else "machine"
    try:
        await web.clients.change(viewer, tenant_id, client_id, idempotency_key=form_key(values), **_wish(values, kind))
    except (Invalid, Conflict, Denied) as error:
        return render(request, _page(view, client_id, form=_refused(values, error)), status=422)
    notify(request, "success", "The client is changed. It counts everywhere within seconds.")
    return see(f"/account/tenants/{tenant_id}/clients/{client_id}")


@router.post("/{client_id}/roll")
async def roll(request: Request, tenant_id: str, client_id: str, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    grace = values.get("grace", "")
    try:
        if grace not in dict(GRACES):
            raise Invalid.field("grace", "unknown", "Choose one of these.")
        made = await web.clients.roll(
            viewer, tenant_id, client_id, grace_hours=int(grace), idempotency_key=form_key(values)
        )
    except (Invalid, Conflict, Denied) as error:
        view = await web.clients.clients(viewer, tenant_id)
        return render(request, _page(view, client_id, rolling=refused(values, error)), status=422)
    return await _shown(request, tenant_id, web, viewer, made)


@router.post("/{client_id}/remove")
async def remove(request: Request, tenant_id: str, client_id: str, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    name = await web.clients.remove(viewer, tenant_id, client_id, idempotency_key=form_key(values))
    notify(request, "success", f"{name} is removed. It is shut out within seconds.")
    return see(f"/account/tenants/{tenant_id}/clients")


def _wish(values: SentForm, kind: str) -> dict[str, Any]:
    """What a form asks for. How a client gets tokens follows from what it is for."""
    chosen = {name.removeprefix(SCOPE) for name in values if name.startswith(SCOPE)}
    signs_in = kind != "machine"
    scopes: list[str] = [scope for scope in SCOPES if scope in chosen]
    grants: list[Grant] = ["client_credentials"] if scopes or not signs_in else []
    if signs_in:
        scopes = ["openid", *(scope for scope in OFFERED if scope in chosen), *scopes]
        grants.append("authorization_code")
    if signs_in and "offline_access" in chosen:
        grants.append("refresh_token")
    return {
        "name": values.get("name", ""),
        "redirect_uris": _lines(values.get("redirect_uris", "")) if signs_in else [],
        "post_logout_redirect_uris": _lines(values.get("post_logout_redirect_uris", "")) if signs_in else [],
        "backchannel_logout_uri": values.get("backchannel_logout_uri", "") if signs_in else "",
        "grants": grants,
        "scopes": scopes,
    }


def _lines(text: str) -> Sequence[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


async def _shown(request: Request, tenant_id: str, web: Services, viewer: SignedIn, made: MadeClient) -> Response:
    return render(request, ClientMadePage(await web.clients.clients(viewer, tenant_id), made))


def _page(
    view: ClientsView, client_id: str, *, form: FormState | None = None, rolling: FormState | None = None
) -> ClientPage:
    found = next((card for card in view.clients if card.id == client_id), None)
    if found is None:
        raise NotFound("There is no such client.")
    if form is None:
        boxes = {f"{SCOPE}{scope}": "yes" for scope in found.scopes}
        addresses = {
            "redirect_uris": "\n".join(found.redirect_uris),
            "post_logout_redirect_uris": "\n".join(found.post_logout_redirect_uris),
            "backchannel_logout_uri": found.backchannel_logout_uri or "",
        }
        form = FormState({"name": found.name} | addresses | boxes)
    return ClientPage(view, found, form, rolling or FormState(), FormState())


def _refused(values: SentForm, error: Invalid | Conflict | Denied) -> FormState:
    """What is wrong with scopes or grants is told of the form: no single box is to blame."""
    form = refused(values, error)
    told: Mapping[str, str] = {item.field: item.message for item in error.fields}
    problem = told.get("scopes") or told.get("grants") or form.problem
    return FormState(form.values, form.errors, problem, form.key)
