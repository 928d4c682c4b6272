"""The account's routes for a tenant's API keys.

A key's text is in the answer to the form that made it: no redirect could carry it, and a reload of that answer sends
the same form again, which makes no second key and shows no text.
"""

from __future__ import annotations

from typing import Final

from fastapi import Request
from starlette.responses import Response

from prog_contracts.errors import Conflict, Denied, Invalid, NotFound
from prog_edge.web.account.views import GRACES, LIFETIMES, ApiKeyMadePage, ApiKeyPage, ApiKeysPage
from prog_edge.web.ports import ApiKeysView, MadeKey
from prog_edge.web.ui.forms import FormState, form_key, refused, sent_form
from prog_edge.web.ui.rendering import render
from prog_edge.web.ui.routing import notify, page_router, see
from prog_edge.web.ui.sessions import Services, SignedIn

router = page_router("/account/tenants/{tenant_id}/keys")

SCOPE: Final = "scope:"
"""A box's name is this and the scope, for a form holds one value a name."""


@router.get("")
async def keys(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    return render(request, ApiKeysPage(await web.api_keys.keys(viewer, tenant_id), FormState()))


@router.post("")
async def make(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    lifetime = values.get("lifetime", "")
    try:
        if lifetime not in dict(LIFETIMES):
            raise Invalid.field("lifetime", "unknown", "Choose one of these.")
        made = await web.api_keys.make(
            viewer,
            tenant_id,
            name=values.get("name", ""),
            scopes=[name.removeprefix(SCOPE) for name in values if name.startswith(SCOPE)],
            days=int(lifetime) or None,
            idempotency_key=form_key(values),
        )
    except (Invalid, Conflict, Denied) as error:
        view = await web.api_keys.keys(viewer, tenant_id)
        return render(request, ApiKeysPage(view, _refused(values, error)), status=422)
    return await _shown(request, tenant_id, web, viewer, made)


@router.get("/{key_id}")
async def key(request: Request, tenant_id: str, key_id: str, web: Services, viewer: SignedIn) -> Response:
    return render(request, _key_page(await web.api_keys.keys(viewer, tenant_id), key_id, FormState()))


@router.post("/{key_id}/roll")
async def roll(request: Request, tenant_id: str, key_id: str, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    grace = values.get("grace", "")
    try:
        if grace not in dict(GRACES):
            raise Invalid.field("grace", "unknown", "Choose one of these.")
        made = await web.api_keys.roll(
            viewer, tenant_id, key_id, grace_hours=int(grace), idempotency_key=form_key(values)
        )
    except (Invalid, Conflict, Denied) as error:
        view = await web.api_keys.keys(viewer, tenant_id)
        return render(request, _key_page(view, key_id, refused(values, error)), status=422)
    return await _shown(request, tenant_id, web, viewer, made)


@router.post("/{key_id}/revoke")
async def revoke(request: Request, tenant_id: str, key_id: str, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    name = await web.api_keys.revoke(viewer, tenant_id, key_id, idempotency_key=form_key(values))
    notify(request, "success", f"The key {name} is revoked. It is shut out within seconds.")
    return see(f"/account/tenants/{tenant_id}/keys")


async def _shown(request: Request, tenant_id: str, web: Services, viewer: SignedIn, made: MadeKey) -> Response:
    view = await web.api_keys.keys(viewer, tenant_id)
    return render(request, ApiKeyMadePage(view, made))


def _key_page(view: ApiKeysView, key_id: str, form: FormState) -> ApiKeyPage:
    found = next((card for card in view.keys if card.id == key_id), None)
    if found is None:
        raise NotFound("There is no such API key.")
    return ApiKeyPage(view, found, form)


def _refused(values: object, error: Invalid | Conflict | Denied) -> FormState:
    """What is wrong with the scopes is told of the form: no single box is to blame."""
    form = refused(values, error)  # type: ignore[arg-type]  # the form that was sent
    scopes = next((item.message for item in error.fields if item.field == "scopes"), None)
    return FormState(form.values, form.errors, scopes or form.problem, form.key)
