"""The account's routes: getting in. What is about links by mail, the second step, sessions, security and tenants is in
modules of its own here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from fastapi import Request
from starlette.responses import Response

from prog_contracts.credentials import tenant_of_invitation
from prog_contracts.errors import Conflict, Denied, Invalid, NotFound
from prog_edge.context import context_of
from prog_edge.problems import TooMuch
from prog_edge.web.account.second_step_routes import begin_session, entered
from prog_edge.web.account.views import (
    AcceptInvitationPage,
    CheckYourMailPage,
    SignInPage,
    SignUpPage,
    VerifyPage,
)
from prog_edge.web.ports import ProviderCard, WebServices
from prog_edge.web.ui.errors import refused_page
from prog_edge.web.ui.forms import FormState, form_key, refused, sent_form
from prog_edge.web.ui.own_host import comes_back
from prog_edge.web.ui.rendering import render
from prog_edge.web.ui.routing import notify, page_router, see
from prog_edge.web.ui.sessions import SIGN_IN, Services, SignedIn, client_of, goes_on_at, own_path
from prog_edge.web.ui.state import web_state

router = page_router("/account")

BOUND_FOR: Final = "prog_bound_for"
"""A cookie with the page, an invitation's for instance, that somebody without an account was looking at: they go on
there once they have one."""
_BOUND_FOR_SECONDS: Final = 86_400  # as long as the link that verifies an address
_BOUND_FOR_MAX_LENGTH: Final = 2_000


@router.get("/sign-up")
async def sign_up_form(request: Request, web: Services, next: str = "") -> Response:  # noqa: A002 - its public name
    address = own_path(next, "/account")
    if web_state(request).viewer is not None:
        return see(address)
    invitation = _invitation(request, request.query_params.get("invitation", ""))
    email = request.query_params.get("email", "")[:200]
    form = FormState(values={"email": email} if email else {})
    return render(request, SignUpPage(form, await _providers(request, web), invitation, address))


@router.post("/sign-up")
async def sign_up(request: Request, web: Services) -> Response:
    values = await sent_form(request)
    invitation = _invitation(request, values.get("invitation", ""))
    address = own_path(values.get("next"), "/account")
    try:
        await web.account.register(
            email=values.get("email", ""),
            password=values.get("password", ""),
            name=values.get("name", ""),
            tenant_name=values.get("tenant_name") or None,
            idempotency_key=form_key(values),
        )
    except (Invalid, Conflict) as error:
        page = SignUpPage(refused(values, error), await _providers(request, web), invitation, address)
        return render(request, page, status=422)
    answer = see("/account/check-your-mail")
    if address != "/account" and len(address) <= _BOUND_FOR_MAX_LENGTH:
        answer.set_cookie(
            BOUND_FOR, address, _BOUND_FOR_SECONDS, httponly=True, samesite="lax", secure=web.secure_cookies
        )
    return answer


def _invitation(request: Request, token: str) -> str | None:
    """The invitation with which somebody signs up at a tenant's own host. Raises Denied for whoever has none to it."""
    site = context_of(request.scope).site
    if site is None:
        return None
    if tenant_of_invitation(token) != site.tenant_id:
        raise Denied("Accounts are made here with an invitation. Open the link in its mail.", code="invitation_needed")
    return token


async def _providers(request: Request, web: WebServices) -> Sequence[ProviderCard]:
    """All that lead back to this host; at a tenant's its own first."""
    site = context_of(request.scope).site
    if site is None:
        return web.identities.providers
    if not site.is_active:
        return ()
    own = await web.identities.own_provider(site.tenant_id)
    return [*([] if own is None else [own]), *web.identities.providers]


@router.get("/check-your-mail")
async def check_your_mail(request: Request) -> Response:
    return render(request, CheckYourMailPage(form=FormState()))


@router.post("/check-your-mail")
async def resend(request: Request, web: Services) -> Response:
    values = await sent_form(request)
    try:
        await web.account.resend_verification(email=values.get("email", ""))
    except (Invalid, Conflict) as error:
        return render(request, CheckYourMailPage(form=refused(values, error)), status=422)
    notify(request, "success", "If that address is waiting to be verified, a new mail is on its way.")
    return see("/account/check-your-mail")


@router.get("/verify")
async def verify_form(request: Request, token: str = "") -> Response:
    """Shows a button only: mail scanners that follow links must not spend the token."""
    return render(request, VerifyPage(token=token, form=FormState()))


@router.post("/verify")
async def verify(request: Request, web: Services) -> Response:
    values = await sent_form(request)
    try:
        await web.account.verify_email(token=values.get("token", ""))
    except (Invalid, Conflict, NotFound, Denied) as error:
        if error.code != "already_verified":
            return render(request, VerifyPage(token="", form=refused({}, error)), status=422)
        notify(request, "info", "Your address is verified already.")
    else:
        notify(request, "success", "Your address is verified. Welcome.")
    address = own_path(request.cookies.get(BOUND_FOR), "")
    if web_state(request).viewer is not None:
        answer = see(address or "/account")
    else:
        answer = see(f"{SIGN_IN}?next={quote(address, safe='/')}" if address else SIGN_IN)
    answer.delete_cookie(BOUND_FOR)
    return answer


@router.get("/sign-in")
async def sign_in_form(request: Request, web: Services, next: str = "") -> Response:  # noqa: A002 - its public name
    address = own_path(next, "/account")
    if web_state(request).viewer is not None:
        return see(address)
    return render(request, await _sign_in_page(request, web, FormState(), address))


@router.post("/sign-in")
async def sign_in(request: Request, web: Services) -> Response:
    values = await sent_form(request)
    address = own_path(values.get("next"), "/account")
    try:
        found = await web.sessions.sign_in(values.get("email", ""), values.get("password", ""), client_of(request))
    except (Invalid, Denied, TooMuch) as error:
        page = await _sign_in_page(request, web, refused(values, error), address, unverified=error.code == "unverified")
        return refused_page(request, page, error)
    return await entered(request, web, found, address)


@router.get("/sign-in/passkey")
async def sign_in_by_passkey_again(request: Request) -> Response:
    """For whoever reloads the page that said what was wrong."""
    return see(SIGN_IN)


@router.post("/sign-in/passkey")
async def sign_in_by_passkey(request: Request, web: Services) -> Response:
    """Takes what a passkey has answered; who it is of, the passkey says."""
    values = await sent_form(request)
    address = own_path(values.get("next"), "/account")
    try:
        session = await web.sessions.sign_in_by_passkey(
            values.get("passkey_token", ""), values.get("credential", ""), _browser(request), client_of(request)
        )
    except (Invalid, Denied, TooMuch) as error:
        return refused_page(request, await _sign_in_page(request, web, refused({}, error), address), error)
    await begin_session(request, web, session)
    return see(address)


async def _sign_in_page(
    request: Request, web: WebServices, form: FormState, address: str, *, unverified: bool = False
) -> SignInPage:
    await goes_on_at(request, web, address)
    own = context_of(request.scope).site is None
    offer = web.sessions.passkey_offer(_browser(request)) if own else None  # passkeys are of the platform's host
    return SignInPage(form, address, offer, unverified, await _providers(request, web), comes_back(request))


def _browser(request: Request) -> str:
    """What this browser alone sends along: it binds what a passkey is asked to it."""
    return web_state(request).csrf_token


@router.post("/sign-out")
async def sign_out(request: Request, web: Services) -> Response:
    cookie = request.cookies.get(web.sessions.cookie_name)
    if cookie:
        await web.sessions.sign_out(cookie)
    state = web_state(request)
    state.session, state.ends_session, state.ends_impersonation = None, True, True
    address = own_path((await sent_form(request)).get("next"), "")
    if address:
        return see(f"{SIGN_IN}?next={quote(address, safe='/')}")
    notify(request, "info", "You are signed out.")
    return see(SIGN_IN)


@router.get("/invitations/accept")
async def invitation_form(request: Request, token: str = "") -> Response:
    return render(request, AcceptInvitationPage(token=token, form=FormState()))


@router.post("/invitations/accept")
async def accept_invitation(request: Request, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    site = context_of(request.scope).site
    try:
        if site is not None and tenant_of_invitation(values.get("token", "")) != site.tenant_id:
            raise NotFound("This invitation is not to the team whose pages are here.", code="invitation_invalid")
        tenant_id = await web.account.accept_invitation(
            viewer, token=values.get("token", ""), idempotency_key=form_key(values)
        )
    except (Invalid, Conflict, NotFound, Denied) as error:
        page = AcceptInvitationPage(token="", form=refused({}, error))
        return render(request, page, status=422)
    notify(request, "success", "You have joined.")
    return see(f"/account/tenants/{tenant_id}")
