"""The account's routes for a person's sessions and activity, and for signing in again where something needs that."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from fastapi import Request
from starlette.responses import Response

from prog_contracts.errors import Denied, Invalid, NotFound
from prog_contracts.users import SecondFactor
from prog_edge.problems import TooMuch
from prog_edge.web.account.departing import departure_token
from prog_edge.web.account.own_views import ActivityPage, SessionsPage, SignInAgainPage
from prog_edge.web.account.second_step_routes import chosen_factor, proof_in
from prog_edge.web.ports import Viewer, WebServices
from prog_edge.web.ui.errors import refused_page
from prog_edge.web.ui.forms import FormState, refused, sent_form
from prog_edge.web.ui.own_host import comes_back, passkeys_elsewhere
from prog_edge.web.ui.rendering import render
from prog_edge.web.ui.routing import notify, page_router, see
from prog_edge.web.ui.sessions import SIGN_IN, Services, SignedIn, client_of, goes_on_at, own_path
from prog_edge.web.ui.state import web_state

router = page_router("/account")

SESSIONS: Final = "/account/sessions"
AGAIN: Final = "/account/sign-in/again"
STEPPED_UP: Final = "Thank you. For ten minutes you can change what needs a fresh sign-in."


@router.get("/sessions")
async def sessions(request: Request, web: Services, viewer: SignedIn) -> Response:
    return render(request, SessionsPage(sessions=await web.account.sessions(viewer)))


@router.post("/sessions/end")
async def end_sessions(request: Request, web: Services, viewer: SignedIn) -> Response:
    """Ends the session that the button named, or (it named none) all others."""
    values = await sent_form(request)
    session_id = values.get("session_id") or None
    try:
        await web.account.revoke_sessions(viewer, session_id)
    except NotFound:
        notify(request, "info", "That session was over already.")
        return see(SESSIONS)
    except Denied as error:
        if error.code != "fresh_sign_in_required":
            raise
        return see(f"{AGAIN}?next={quote(SESSIONS, safe='/')}")
    if session_id == viewer.session_id:
        state = web_state(request)
        state.session, state.ends_session = None, True
        notify(request, "info", "You are signed out.")
        return see(SIGN_IN)
    notify(request, "success", "Signed out there." if session_id else "Signed out everywhere else.")
    return see(SESSIONS)


@router.get("/activity")
async def activity(request: Request, web: Services, viewer: SignedIn) -> Response:
    cursor = request.query_params.get("cursor")
    try:
        page = await web.security.activity(viewer, cursor)
    except Invalid:
        return see("/account/activity")
    return render(request, ActivityPage(activity=page.rows, next_cursor=page.next_cursor, older=cursor is not None))


@router.get("/sign-in/again")
async def sign_in_again_form(request: Request, web: Services, viewer: SignedIn) -> Response:
    address = await goes_on_at(request, web, own_path(request.query_params.get("next"), "/account"))
    return render(request, await _again(request, web, viewer, FormState(), address, request.query_params.get("use")))


@router.post("/sign-in/again")
async def sign_in_again(request: Request, web: Services, viewer: SignedIn) -> Response:
    """Opens another session and ends the one before, so that what knew the old one's id has nothing of the new."""
    values = await sent_form(request)
    address = own_path(values.get("next"), "/account")
    try:
        if values.get("method") is None:
            session = await web.sessions.step_up(viewer, "password", values.get("password", ""), client_of(request))
        else:
            method = chosen_factor(values.get("method"), ("totp", "passkey", "recovery_code"))
            session = await web.sessions.step_up(viewer, method, proof_in(values, method), client_of(request))
    except (Invalid, Denied, TooMuch) as error:
        await goes_on_at(request, web, address)
        page = await _again(request, web, viewer, refused(values, error), address, values.get("method"))
        return refused_page(request, page, error)
    web_state(request).session = session
    notify(request, "success", STEPPED_UP)
    return see(address)


async def _again(
    request: Request, web: WebServices, viewer: Viewer, form: FormState, address: str, asked: str | None
) -> SignInAgainPage:
    """With the second factor where there is one, else with the password."""
    factor, here = await web.security.second_factor(viewer), comes_back(request)
    if factor is None:
        names = {each.provider for each in await web.identities.linked(viewer)}
        return SignInAgainPage(
            form,
            address,
            method="password",
            has_password=await web.identities.has_password(viewer),
            providers=[each for each in await web.identities.linkable(viewer) if each.name in names and here],
            token=departure_token(web, "step_up", viewer),
        )
    there: dict[SecondFactor, bool] = {
        "passkey": (offer := await web.sessions.step_up_offer(viewer) if here else None) is not None,
        "totp": factor.enrolled_at is not None,
        "recovery_code": factor.codes_left > 0,
    }
    available = [name for name, is_there in there.items() if is_there]
    if not available and not here:
        raise passkeys_elsewhere()
    method = chosen_factor(asked, available)
    others = [name for name in available if name != method]
    return SignInAgainPage(form, address, method, others, offer if method == "passkey" else None)
