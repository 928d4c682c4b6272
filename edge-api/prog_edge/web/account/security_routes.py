"""The account's routes for security: an authenticator app, recovery codes, and the password. No JavaScript is needed.

What needs a fresh sign-in sends to that first and comes back to the security page.
"""

from __future__ import annotations

from typing import Final

from fastapi import Request
from starlette.responses import Response

from prog_contracts.errors import Conflict, Denied, Invalid, NotFound
from prog_edge.problems import TooMuch
from prog_edge.web.account.departing import departure_token
from prog_edge.web.account.own_views import AuthenticatorPage, RecoveryCodesPage, SecurityPage
from prog_edge.web.ports import Viewer, WebServices
from prog_edge.web.ui.errors import refused_page
from prog_edge.web.ui.forms import FormState, form_key, refused, sent_form
from prog_edge.web.ui.rendering import render
from prog_edge.web.ui.routing import notify, page_router, see
from prog_edge.web.ui.sessions import Services, SignedIn, client_of

router = page_router("/account/security")

SECURITY: Final = "/account/security"
AGAIN: Final = f"/account/sign-in/again?next={SECURITY}"


async def security_page(
    web: WebServices, viewer: Viewer, *, password: FormState | None = None, unlink: FormState | None = None
) -> SecurityPage:
    linked = await web.identities.linked(viewer)
    names = {each.provider for each in linked}
    return SecurityPage(
        factor=await web.security.second_factor(viewer),
        passkeys=await web.security.passkeys(viewer),
        form=FormState(),
        password=password or FormState(),
        identities=linked,
        providers=[each for each in await web.identities.linkable(viewer) if each.name not in names],
        has_password=await web.identities.has_password(viewer),
        token=departure_token(web, "link", viewer),
        unlink=unlink or FormState(),
    )


def elsewhere(request: Request, error: Denied | NotFound, again: str = AGAIN) -> Response:
    """Where a refused change leads: to a fresh sign-in, or back to the page that shows what there is."""
    if error.code == "fresh_sign_in_required":
        return see(again)
    if error.code not in ("no_second_factor", "no_enrolment", "session_not_found", "passkey_not_found"):
        raise error
    notify(request, "error", error.message)
    return see(SECURITY)


@router.get("")
async def security(request: Request, web: Services, viewer: SignedIn) -> Response:
    return render(request, await security_page(web, viewer))


@router.post("/authenticator")
async def start_enrolment(request: Request, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    try:
        enrolment = await web.security.start_enrolment(viewer, idempotency_key=form_key(values))
    except (Denied, NotFound) as error:
        return elsewhere(request, error)
    return render(request, AuthenticatorPage(enrolment=enrolment, form=FormState()))


@router.post("/authenticator/confirm")
async def confirm_enrolment(request: Request, web: Services, viewer: SignedIn) -> Response:
    """Shows the recovery codes, or the same app again beside what is wrong with the code."""
    values = await sent_form(request)
    enrolment = web.security.enrolment(viewer, values.get("kept", ""))
    try:
        if enrolment is None:
            raise NotFound("There is no authenticator to confirm. Begin again.", code="no_enrolment")
        codes = await web.security.confirm_enrolment(
            viewer, code=values.get("code", ""), client=client_of(request), idempotency_key=form_key(values)
        )
    except (Denied, Invalid, NotFound) as error:
        if enrolment is None or not any(problem.field == "code" for problem in error.fields):
            if isinstance(error, Invalid):
                raise
            return elsewhere(request, error)
        return render(request, AuthenticatorPage(enrolment=enrolment, form=refused(values, error)), status=422)
    if not codes:
        notify(request, "success", "The new app is in use. Your recovery codes are the same.")
        return see(SECURITY)
    return render(request, RecoveryCodesPage(codes=codes, first=True))


@router.post("/authenticator/remove")
async def remove_second_factor(request: Request, web: Services, viewer: SignedIn) -> Response:
    try:
        await web.security.remove_second_factor(viewer, client=client_of(request))
    except (Denied, NotFound) as error:
        return elsewhere(request, error)
    left = await web.security.second_factor(viewer)
    notify(request, "success", "Two-step verification is off." if left is None else "The app is removed.")
    return see(SECURITY)


@router.post("/recovery-codes")
async def make_recovery_codes(request: Request, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    try:
        codes = await web.security.make_recovery_codes(
            viewer, client=client_of(request), idempotency_key=form_key(values)
        )
    except (Denied, NotFound) as error:
        return elsewhere(request, error)
    return render(request, RecoveryCodesPage(codes=codes, first=False))


@router.post("/password")
async def change_password(request: Request, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    try:
        await web.security.change_password(
            viewer,
            current_password=values.get("current_password", ""),
            password=values.get("password", ""),
            client=client_of(request),
            idempotency_key=form_key(values),
        )
    except (Invalid, Conflict, Denied, TooMuch) as error:
        if isinstance(error, Denied) and not error.fields:
            return elsewhere(request, error)
        return refused_page(request, await security_page(web, viewer, password=refused(values, error)), error)
    notify(request, "success", "Your password is changed, and every other session is over.")
    return see(SECURITY)
