"""The account's routes for passkeys at a tenant's own host. Passkeys are of the platform's host, which asks for the
other one: `ask` leads there, `for-host` is the page there, and `answer` takes what it brings back.

That page says for which host it is, and goes on by a button: nobody is signed in somewhere by following a link.
"""

from __future__ import annotations

from typing import Final, get_args
from urllib.parse import quote

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from prog_contracts.errors import Denied, Invalid, NotFound
from prog_contracts.passkeys import PasskeyAnswer
from prog_edge.context import context_of
from prog_edge.problems import TooMuch
from prog_edge.web.account.second_step_routes import SECOND_STEP, begin_session
from prog_edge.web.account.session_routes import AGAIN, STEPPED_UP
from prog_edge.web.account.views import PasskeyForHostPage
from prog_edge.web.ports import PasskeyAnswered, PasskeyAsked, SessionCookie, SigningPurpose, WebServices
from prog_edge.web.ui.csrf import VISITOR_COOKIE
from prog_edge.web.ui.forms import FormState, refused, sent_form, told
from prog_edge.web.ui.own_host import ELSEWHERE, comes_back
from prog_edge.web.ui.rendering import render
from prog_edge.web.ui.routing import notify, page_router, see
from prog_edge.web.ui.sessions import SIGN_IN, Services, client_of, own_path, signed_in
from prog_edge.web.ui.state import web_state

router = page_router("/account/passkey")

_FORMS: Final[dict[SigningPurpose, str]] = {"sign_in": SIGN_IN, "second_step": SECOND_STEP, "step_up": AGAIN}
assert set(_FORMS) == set(get_args(SigningPurpose))
_OVER: Final = "This took too long, or was not begun in this browser. Begin again."


@router.get("/ask")
async def ask(request: Request, web: Services, next: str = "") -> Response:  # noqa: A002 - its public name
    """From the tenant's host to the platform's. `for` says what it is for."""
    _require_own_host(request)
    if not comes_back(request):
        raise NotFound("Passkeys work at the platform's own address.", code=ELSEWHERE)
    address, purpose = own_path(next, "/account"), request.query_params.get("for", "sign_in")
    if purpose == "step_up":
        return see(web.handover.to_step_up(signed_in(request), address))
    if purpose == "second_step":
        waiting = request.cookies.get(web.sessions.second_step_cookie_name, "")
        return see(web.handover.to_complete(waiting, address) or SIGN_IN)
    if web_state(request).viewer is None and VISITOR_COOKIE not in request.cookies:
        return see(SIGN_IN)  # what binds a browser comes with the page that leads here
    return see(web.handover.to_sign_in(web_state(request).csrf_token, address))


@router.get("/for-host")
async def for_host(request: Request, web: Services) -> Response:
    asked = await web.handover.asked(request.query_params.get("request", ""))
    return await _page(request, web, asked, FormState())


@router.post("/for-host")
async def for_host_answered(request: Request, web: Services) -> Response:
    """Hands on what a passkey has answered. Whether it is good is found out where it is used."""
    values, query = await sent_form(request), request.query_params.get("request", "")
    try:
        address = await web.handover.answer(query, values.get("passkey_token", ""), values.get("credential", ""))
    except Invalid as error:
        return await _page(request, web, await web.handover.asked(query), refused({}, error), status=422)
    if address is None:
        return await _page(request, web, None, FormState())
    return handed_on(address)


@router.get("/answer")
async def answer(request: Request, web: Services) -> Response:
    _require_own_host(request)
    found = web.handover.answered(request.query_params.get("answer", ""))
    if found is None:
        notify(request, "error", _OVER)
        return see(SIGN_IN)
    try:
        session = await _proven(request, web, found)
    except (Invalid, Denied, TooMuch) as error:
        notify(request, "error", told(error))
        return see(f"{_FORMS[found.purpose]}?next={quote(found.next_address, safe='/')}")
    if found.purpose == "step_up":
        web_state(request).session = session
        notify(request, "success", STEPPED_UP)
    else:
        await begin_session(request, web, session)
        web_state(request).ends_second_step = True
    return see(found.next_address)


def handed_on(address: str) -> RedirectResponse:
    """To a tenant's host, which is told nothing of the page that leads there."""
    return RedirectResponse(address, status_code=303, headers={"Referrer-Policy": "no-referrer"})


async def _proven(request: Request, web: WebServices, found: PasskeyAnswered) -> SessionCookie:
    """The session that a good answer opens. Raises Denied for one that is not good, or not this browser's."""
    client = client_of(request)
    if found.purpose == "sign_in":
        browser = web_state(request).csrf_token
        return await web.sessions.sign_in_by_passkey(found.token, found.credential, browser, client)
    proof = PasskeyAnswer(token=found.token, credential=found.credential).model_dump_json()
    if found.purpose == "second_step":
        waiting = request.cookies.get(web.sessions.second_step_cookie_name, "")
        return await web.sessions.complete(waiting, "passkey", proof, client)
    return await web.sessions.step_up(signed_in(request), "passkey", proof, client)


async def _page(
    request: Request, web: WebServices, asked: PasskeyAsked | None, form: FormState, *, status: int = 200
) -> Response:
    if asked is None:
        raise NotFound(_OVER)
    web_state(request).form_origin = asked.origin
    brand = await web.branding.for_site(asked.tenant_id)
    page = PasskeyForHostPage(asked, asked.host if brand is None else brand.name, form, request.url.query)
    return render(request, page, status=status)


def _require_own_host(request: Request) -> None:
    if context_of(request.scope).site is None:
        raise NotFound("There is nothing at this address.")
