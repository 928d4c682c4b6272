"""The account's routes for passkeys: make one, name it, remove it.

A passkey is made by the browser, so that the page of that needs JavaScript; all others work without.
"""

from __future__ import annotations

from typing import Final

from fastapi import Request
from starlette.responses import Response

from prog_contracts.errors import Conflict, Denied, Invalid, NotFound, ProgError
from prog_edge.web.account.own_views import NewPasskeyPage, PasskeyPage, RecoveryCodesPage
from prog_edge.web.account.security_routes import SECURITY, elsewhere
from prog_edge.web.ports import Viewer, WebServices
from prog_edge.web.ui.forms import FormState, SentForm, form_key, refused, sent_form
from prog_edge.web.ui.rendering import render
from prog_edge.web.ui.routing import notify, page_router, see
from prog_edge.web.ui.sessions import Services, SignedIn, client_of

router = page_router("/account/security/passkeys")

NEW: Final = "/account/security/passkeys/new"
AGAIN: Final = f"/account/sign-in/again?next={NEW}"


@router.get("/new")
async def new(request: Request, web: Services, viewer: SignedIn) -> Response:
    return await _new_page(request, web, viewer, FormState())


@router.get("")
async def new_again(request: Request, viewer: SignedIn) -> Response:
    """For whoever reloads the page that said what was wrong."""
    return see(NEW)


@router.post("")
async def add(request: Request, web: Services, viewer: SignedIn) -> Response:
    """Shows the recovery codes where they come with it, or the page again with another challenge."""
    values = await sent_form(request)
    try:
        codes = await web.security.add_passkey(
            viewer,
            name=values.get("name", ""),
            token=values.get("passkey_token", ""),
            credential=values.get("credential", ""),
            client=client_of(request),
            idempotency_key=form_key(values),
        )
    except (Denied, NotFound) as error:
        if error.code != "passkey_challenge_over":
            return elsewhere(request, error, AGAIN)
        return await _again(request, web, viewer, values, error)
    except (Invalid, Conflict) as error:
        return await _again(request, web, viewer, values, error)
    if codes:
        return render(request, RecoveryCodesPage(codes=codes, first=True))
    notify(request, "success", "The passkey is added. Sign in with it from now on.")
    return see(SECURITY)


@router.get("/{passkey_id}")
async def passkey(request: Request, passkey_id: str, web: Services, viewer: SignedIn) -> Response:
    return render(request, await _page(web, viewer, passkey_id, FormState()))


@router.post("/{passkey_id}/name")
async def rename(request: Request, passkey_id: str, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    try:
        await web.security.rename_passkey(viewer, passkey_id, values.get("name", ""))
    except Invalid as error:
        return render(request, await _page(web, viewer, passkey_id, refused(values, error)), status=422)
    notify(request, "success", "The passkey has another name.")
    return see(SECURITY)


@router.post("/{passkey_id}/remove")
async def remove(request: Request, passkey_id: str, web: Services, viewer: SignedIn) -> Response:
    try:
        await web.security.remove_passkey(viewer, passkey_id, client=client_of(request))
    except (Denied, NotFound) as error:
        return elsewhere(request, error, f"/account/sign-in/again?next=/account/security/passkeys/{passkey_id}")
    notify(request, "success", "The passkey is removed. Delete it on your device, too.")
    return see(SECURITY)


async def _again(request: Request, web: WebServices, viewer: Viewer, values: SentForm, error: ProgError) -> Response:
    """The page with another challenge. The name was typed: what is wrong with anything else is about the whole."""
    typed = {name: text for name, text in values.shown().items() if name == "name"}
    return await _new_page(request, web, viewer, refused(typed, error), status=422)


async def _new_page(
    request: Request, web: WebServices, viewer: Viewer, form: FormState, *, status: int = 200
) -> Response:
    try:
        offer = await web.security.passkey_offer(viewer)
    except Denied as error:
        return elsewhere(request, error, AGAIN)
    return render(request, NewPasskeyPage(offer, form), status=status)


async def _page(web: WebServices, viewer: Viewer, passkey_id: str, form: FormState) -> PasskeyPage:
    """Raises NotFound for a passkey that is not the viewer's."""
    own = await web.security.passkeys(viewer)
    found = next((item for item in own if item.id == passkey_id), None)
    if found is None:
        raise NotFound("There is no such passkey.", code="passkey_not_found")
    factor = await web.security.second_factor(viewer)
    last = len(own) == 1 and (factor is None or factor.enrolled_at is None)
    return PasskeyPage(found, last, form)
