"""The routes of sign-in through other identity providers. They need no JavaScript.

`/v1/auth/oauth/{provider}/start` sends the browser to the provider, which sends it back to `/callback`: addresses that
browsers alone can use, for what binds the two is a cookie. Their answers are pages.

Providers know the platform's `/callback` alone. The answer to what was begun at a tenant's own host goes on from there
to the same address of that host, where the cookie is.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from prog_contracts.errors import Conflict, Denied, Invalid, NotFound, ProgError, Unavailable
from prog_contracts.inputs import EMAIL_MAX_LENGTH
from prog_edge.context import context_of
from prog_edge.federation.errors import Untrusted
from prog_edge.problems import TooMuch
from prog_edge.web.account.departing import is_departure_token
from prog_edge.web.account.handover_routes import handed_on
from prog_edge.web.account.second_step_routes import entered
from prog_edge.web.account.security_routes import SECURITY, security_page
from prog_edge.web.account.session_routes import AGAIN, STEPPED_UP
from prog_edge.web.account.views import HandOnPage, OrganisationPage, ProveAccountPage
from prog_edge.web.ports import Arrival, Purpose, WayBack, WebServices
from prog_edge.web.ui.csrf import is_sent_from_elsewhere
from prog_edge.web.ui.errors import refused_page
from prog_edge.web.ui.forms import FormState, refused, sent_form
from prog_edge.web.ui.own_host import ELSEWHERE, comes_back
from prog_edge.web.ui.rendering import render
from prog_edge.web.ui.routing import notify, page_router, see
from prog_edge.web.ui.sessions import SIGN_IN, Services, SignedIn, client_of, own_path, signed_in
from prog_edge.web.ui.state import web_state

oauth_router = page_router("/v1/auth/oauth")
router = page_router("/account")

PROVE: Final = "/account/sign-in/prove"
_PURPOSES: Final[dict[str, Purpose]] = {"link": "link", "step_up": "step_up"}


@oauth_router.get("/{provider}/start")
async def start(request: Request, provider: str, web: Services) -> Response:
    """To the provider. `for` is `link` or `step_up` for a signed-in person, with the page's token; else it signs in.

    Another site signs nobody in: with a provider of its own it could, as whom it likes, and whoever does not notice
    works for somebody else. People choose to on a page of ours then.
    """
    query = request.query_params
    purpose = _PURPOSES.get(query.get("for", ""), "sign_in")
    address = own_path(query.get("next"), "/account")
    viewer = None
    if not comes_back(request) or (purpose == "link" and context_of(request.scope).site is not None):
        raise NotFound("This sign-in works at the platform's own address.", code=ELSEWHERE)
    if purpose == "sign_in" and is_sent_from_elsewhere(request):
        notify(request, "info", "Another site has sent you here to sign in. Choose how, if that is what you want.")
        return see(f"{SIGN_IN}?next={quote(address, safe='/')}")
    if purpose != "sign_in":
        viewer = signed_in(request)
        if not is_departure_token(web, purpose, viewer, query.get("token", "")):
            raise Denied("This link is not of a page of yours. Go back, reload the page and follow it again.")
    hint = query.get("hint", "")[:EMAIL_MAX_LENGTH] or None
    try:
        departure = await web.identities.depart(provider, purpose, address, viewer, hint)
    except TooMuch:
        raise
    except (NotFound, Unavailable) as error:
        return _back(request, error, purpose, address)
    web_state(request).federation = departure.cookie
    return RedirectResponse(departure.url, status_code=303)


@oauth_router.get("/{provider}/callback")
async def callback(request: Request, provider: str, web: Services) -> Response:
    """Back from the provider. What was begun is over, whatever it came to."""
    if context_of(request.scope).site is None:
        try:
            back = await web.identities.way_back(provider, dict(request.query_params))
        except Denied as error:
            _note(request, error)
            return _back(request, error, "sign_in", "/account")
        if back is not None:
            return await _on_to_host(request, web, back)
    state, cookie = web_state(request), request.cookies.get(web.identities.cookie_name, "")
    purpose, address = web.identities.aim(cookie) or ("sign_in", "/account")
    state.ends_federation = True
    try:
        arrival = await web.identities.arrive(
            provider, cookie, dict(request.query_params), state.viewer, client_of(request)
        )
    except ProgError as error:
        if isinstance(error, Untrusted):
            _note(request, error)
        return _back(request, error, purpose, address)
    return await _arrived(request, web, arrival)


@router.get("/sign-in/organisation")
async def organisation_form(request: Request) -> Response:
    address = own_path(request.query_params.get("next"), "/account")
    return render(request, OrganisationPage(FormState(), address))


@router.post("/sign-in/organisation")
async def organisation(request: Request, web: Services) -> Response:
    """Where an address signs on. It follows from the domain alone, so it tells of nobody whether they have an account.

    A link leads there and no redirect, for a form may lead to no other site, by none.
    """
    values = await sent_form(request)
    address, email = own_path(values.get("next"), "/account"), values.get("email", "")
    try:
        found = await web.identities.organisation(email)
    except Invalid as error:
        return render(request, OrganisationPage(refused(values, error), address), status=422)
    if found is None:
        form = FormState(values.shown(), problem="No organisation signs on with addresses of this domain.")
        return render(request, OrganisationPage(form, address), status=422)
    return render(request, OrganisationPage(FormState(), address, found, email.strip()))


@router.get("/sign-in/prove")
async def prove_form(request: Request, web: Services) -> Response:
    waiting = web.identities.to_prove(request.cookies.get(web.identities.cookie_name, ""))
    if waiting is None:
        return see(SIGN_IN)
    return render(request, ProveAccountPage(waiting, FormState()))


@router.post("/sign-in/prove")
async def prove(request: Request, web: Services) -> Response:
    values, state = await sent_form(request), web_state(request)
    cookie = request.cookies.get(web.identities.cookie_name, "")
    waiting = web.identities.to_prove(cookie)
    if waiting is None:
        notify(request, "error", "This sign-in took too long. Begin again.")
        return see(SIGN_IN)
    try:
        found = await web.identities.prove(cookie, values.get("password", ""), client_of(request))
    except (Invalid, Conflict, Denied, TooMuch) as error:
        if error.code == "sign_in_over":
            state.ends_federation = True
            return _back(request, error, "sign_in", "/account")
        return refused_page(request, ProveAccountPage(waiting, refused(values, error)), error)
    state.ends_federation = True
    answer = await entered(request, web, found, "/account")
    if state.second_step is None:
        notify(request, "success", f"{waiting.title} is linked: you can sign in with it from now on.")
    else:
        notify(request, "info", f"After your second factor, link {waiting.title} on your security page.")
    return answer


@router.post("/security/identities/unlink")
async def unlink(request: Request, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    try:
        await web.identities.unlink(viewer, values.get("identity_id", ""), client=client_of(request))
    except Denied as error:
        if error.code != "fresh_sign_in_required":
            raise
        return see(f"{AGAIN}?next={quote(SECURITY, safe='/')}")
    except (Conflict, NotFound) as error:
        page = await security_page(web, viewer, unlink=FormState(problem=error.message))
        return render(request, page, status=422)
    notify(request, "success", "Unlinked. It opens your account no more.")
    return see(SECURITY)


async def _on_to_host(request: Request, web: WebServices, back: WayBack) -> Response:
    """To the tenant's host at once where the provider is the tenant's own, else once the person has seen which it is:
    whoever has a host's DNS could have people come by a link, and be them at that host, without their noticing."""
    if back.is_own:
        return handed_on(back.address)
    brand = await web.branding.for_site(back.tenant_id)
    return render(request, HandOnPage(back, back.host if brand is None else brand.name))


def _note(request: Request, error: Denied) -> None:
    """Has the audit trail hear of an answer that is not believed, but not of one that somebody did not want to give."""
    if error.code != "canceled":
        context = context_of(request.scope)
        context.denied, context.code = True, error.code


async def _arrived(request: Request, web: WebServices, arrival: Arrival) -> Response:
    state = web_state(request)
    if arrival.to_prove is not None:
        state.federation = arrival.to_prove
        return see(PROVE)
    if arrival.entered is None:
        notify(request, "success", f"{arrival.title} is linked: you can sign in with it from now on.")
        return see(SECURITY)
    if arrival.purpose == "step_up":
        notify(request, "success", STEPPED_UP)
    return await entered(request, web, arrival.entered, arrival.next_address)


def _back(request: Request, error: ProgError, purpose: Purpose, address: str) -> Response:
    """To where it began, with what is wrong."""
    if error.code == "fresh_sign_in_required":
        return see(f"{AGAIN}?next={quote(SECURITY, safe='/')}")
    notify(request, "info" if error.code == "canceled" else "error", error.message)
    if purpose == "link":
        return see(SECURITY)
    return see(f"{AGAIN if purpose == 'step_up' else SIGN_IN}?next={quote(address, safe='/')}")
