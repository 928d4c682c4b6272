"""The account's routes for the second step of a sign-in. They need no JavaScript, but for a passkey.

The sign-in waits in a cookie of its own, which is good for nothing else and for five minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from fastapi import Request
from starlette.responses import Response

from prog_contracts.errors import Denied, Invalid
from prog_contracts.passkeys import PasskeyAnswer
from prog_contracts.users import SecondFactor
from prog_edge.problems import TooMuch
from prog_edge.web.account.own_views import SecondStepPage
from prog_edge.web.ports import SecondStep, SessionCookie, WebServices
from prog_edge.web.ui.errors import refused_page
from prog_edge.web.ui.forms import FormState, SentForm, refused, sent_form
from prog_edge.web.ui.own_host import comes_back, passkeys_elsewhere
from prog_edge.web.ui.rendering import render
from prog_edge.web.ui.routing import notify, page_router, see
from prog_edge.web.ui.sessions import SIGN_IN, Services, client_of, goes_on_at, own_path
from prog_edge.web.ui.state import web_state

router = page_router("/account")

SECOND_STEP = "/account/sign-in/second-step"


async def entered(request: Request, web: WebServices, found: SessionCookie | SecondStep, address: str) -> Response:
    """The page after a first factor: where the person wanted to go, or the second step before that."""
    if isinstance(found, SecondStep):
        web_state(request).second_step = found.cookie
        return see(f"{SECOND_STEP}?next={quote(address, safe='/')}")
    await begin_session(request, web, found)
    return see(address)


async def begin_session(request: Request, web: WebServices, session: SessionCookie) -> None:
    """Keeps a session in the browser, and ends the one that it had: nobody could find that one again to sign it out."""
    state, before = web_state(request), request.cookies.get(web.sessions.cookie_name)
    if before is not None and state.viewer is not None:
        await web.sessions.sign_out(before, successor=session.value)
    state.session = session


def chosen_factor(name: str | None, available: Sequence[SecondFactor]) -> SecondFactor:
    """What somebody chose among what there is; the first of it for anything else."""
    return next((factor for factor in available if factor == name), available[0] if available else "totp")


def proof_in(values: SentForm, method: SecondFactor) -> str:
    """What a form has as the proof: a code as it was typed, or what a passkey has answered."""
    if method != "passkey":
        return values.get("code", "")
    answer = PasskeyAnswer(token=values.get("passkey_token", ""), credential=values.get("credential", ""))
    return answer.model_dump_json()


def _methods(request: Request, web: WebServices, cookie: str) -> Sequence[SecondFactor] | None:
    """What would do as the second step; None where no sign-in waits.

    Raises NotFound for somebody who has passkeys alone, at a host that no answer of them comes back to.
    """
    methods = web.sessions.second_step(cookie)
    if methods is None or comes_back(request):
        return methods
    others = [method for method in methods if method != "passkey"]
    if methods and not others:
        raise passkeys_elsewhere()
    return others


async def _page(
    request: Request, web: WebServices, cookie: str, form: FormState, address: str, asked: str | None
) -> SecondStepPage:
    await goes_on_at(request, web, address)
    available = _methods(request, web, cookie) or ()
    method = chosen_factor(asked, available)
    offer = web.sessions.second_step_offer(cookie) if method == "passkey" else None
    return SecondStepPage(form, address, method, [item for item in available if item != method], offer)


@router.get("/sign-in/second-step")
async def second_step_form(request: Request, web: Services) -> Response:
    cookie = request.cookies.get(web.sessions.second_step_cookie_name, "")
    if web.sessions.second_step(cookie) is None:
        return see(SIGN_IN)
    address = own_path(request.query_params.get("next"), "/account")
    return render(request, await _page(request, web, cookie, FormState(), address, request.query_params.get("use")))


@router.post("/sign-in/second-step")
async def second_step(request: Request, web: Services) -> Response:
    values = await sent_form(request)
    address = own_path(values.get("next"), "/account")
    cookie = request.cookies.get(web.sessions.second_step_cookie_name, "")
    waiting = _methods(request, web, cookie)
    method = chosen_factor(values.get("method"), waiting or ())
    try:
        if waiting is None:
            raise Denied("This sign-in took too long. Begin again.", code="sign_in_over")
        session = await web.sessions.complete(cookie, method, proof_in(values, method), client_of(request))
    except (Invalid, Denied, TooMuch) as error:
        if error.code == "sign_in_over":
            web_state(request).ends_second_step = True
            notify(request, "error", error.message)
            return see(f"{SIGN_IN}?next={quote(address, safe='/')}")
        page = await _page(request, web, cookie, refused(values, error), address, method)
        return refused_page(request, page, error)
    await begin_session(request, web, session)
    web_state(request).ends_second_step = True
    return see(address)
