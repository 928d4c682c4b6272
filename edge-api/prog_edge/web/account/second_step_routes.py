"""The account's routes for the second step of a sign-in. They need no JavaScript.

The sign-in waits in a cookie of its own, which is good for nothing else and for five minutes.
"""

from __future__ import annotations

from urllib.parse import quote

from fastapi import Request
from starlette.responses import Response

from prog_contracts.errors import Denied, Invalid
from prog_contracts.users import SecondFactor
from prog_edge.web.account.views import SecondStepPage
from prog_edge.web.ports import SecondStep, SessionCookie
from prog_edge.web.ui.forms import FormState, refused, sent_form
from prog_edge.web.ui.rendering import render
from prog_edge.web.ui.routing import notify, page_router, see
from prog_edge.web.ui.sessions import SIGN_IN, Services, client_of, goes_on_at, own_path
from prog_edge.web.ui.state import web_state

router = page_router("/account")

SECOND_STEP = "/account/sign-in/second-step"


def entered(request: Request, found: SessionCookie | SecondStep, address: str) -> Response:
    """The page after a first factor: where the person wanted to go, or the second step before that."""
    state = web_state(request)
    if isinstance(found, SecondStep):
        state.second_step = found.cookie
        return see(f"{SECOND_STEP}?next={quote(address, safe='/')}")
    state.session = found
    return see(address)


def chosen_factor(name: str | None) -> SecondFactor:
    return "recovery_code" if name == "recovery_code" else "totp"


@router.get("/sign-in/second-step")
async def second_step_form(request: Request, web: Services) -> Response:
    waiting = web.sessions.second_step(request.cookies.get(web.sessions.second_step_cookie_name, ""))
    if waiting is None:
        return see(SIGN_IN)
    method = chosen_factor(request.query_params.get("use"))
    address = own_path(request.query_params.get("next"), "/account")
    await goes_on_at(request, web, address)
    return render(request, SecondStepPage(FormState(), address, method, "recovery_code" in waiting))


@router.post("/sign-in/second-step")
async def second_step(request: Request, web: Services) -> Response:
    values = await sent_form(request)
    address, cookie = (
        own_path(values.get("next"), "/account"),
        request.cookies.get(web.sessions.second_step_cookie_name, ""),
    )
    method = chosen_factor(values.get("method"))
    waiting = web.sessions.second_step(cookie)
    try:
        if waiting is None:
            raise Denied("This sign-in took too long. Begin again.", code="sign_in_over")
        session = await web.sessions.complete(cookie, method, values.get("code", ""), client_of(request))
    except (Invalid, Denied) as error:
        if error.code == "sign_in_over":
            web_state(request).ends_second_step = True
            notify(request, "error", error.message)
            return see(f"{SIGN_IN}?next={quote(address, safe='/')}")
        await goes_on_at(request, web, address)
        page = SecondStepPage(refused(values, error), address, method, "recovery_code" in (waiting or ()))
        return render(request, page, status=422)
    state = web_state(request)
    state.session, state.ends_second_step = session, True
    return see(address)
