"""Pages of the OpenID provider: where clients send people, where they agree, and what they have let clients know.

They need no JavaScript. A request is read anew at each step; what a form brings back is never trusted.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from fastapi import Request
from starlette.responses import Response

from prog_contracts.errors import NotFound
from prog_edge.web.account.provider_views import AppsPage, ConsentPage, SignOutPage
from prog_edge.web.account.session_routes import AGAIN
from prog_edge.web.ports import Answered, ConsentView, LogoutView, SignInFirst, WebServices
from prog_edge.web.ui.forms import FormState, form_key, sent_form
from prog_edge.web.ui.rendering import render
from prog_edge.web.ui.routing import notify, page_router, see
from prog_edge.web.ui.sessions import SIGN_IN, Services, SignedIn
from prog_edge.web.ui.state import web_state

router = page_router()

APPS: Final = "/account/apps"


@router.get("/oauth2/authorize")
async def authorize(request: Request, web: Services) -> Response:
    """A client has sent somebody: back with a code, or to what comes before that."""
    return _next(request, await web.provider.decide(web_state(request).viewer, request.url.query))


@router.post("/oauth2/consent")
async def consent(request: Request, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    step = await web.provider.answer(
        viewer,
        values.get("request", ""),
        agrees=values.get("decision") == "allow",
        idempotency_key=form_key(values),
    )
    return _next(request, step)


def _next(request: Request, step: Answered | ConsentView | SignInFirst) -> Response:
    if isinstance(step, Answered):
        return see(step.location)
    if isinstance(step, SignInFirst):
        return see(f"{AGAIN if step.again else SIGN_IN}?next={quote(step.address, safe='/')}")
    web_state(request).form_origin = step.origin
    return render(request, ConsentPage(view=step, form=FormState()))


@router.get("/oauth2/logout")
async def logout(request: Request, web: Services) -> Response:
    """A client has sent somebody to be signed out. Who is signed in is asked, unless the client means this session."""
    viewer = web_state(request).viewer
    view = await web.provider.logout(viewer, request.url.query)
    if viewer is None or view.certain:
        return await _signed_out(request, web, view)
    web_state(request).form_origin = view.origin
    return render(request, SignOutPage(view))


@router.post("/oauth2/logout/confirm")
async def confirm_logout(request: Request, web: Services) -> Response:
    values = await sent_form(request)
    view = await web.provider.logout(web_state(request).viewer, values.get("request", ""))
    if values.get("decision") != "sign_out":
        return see("/account")
    return await _signed_out(request, web, view)


async def _signed_out(request: Request, web: WebServices, view: LogoutView) -> Response:
    cookie = request.cookies.get(web.sessions.cookie_name)
    if cookie:
        await web.sessions.sign_out(cookie)
    state = web_state(request)
    state.session, state.ends_session = None, cookie is not None
    if view.back is not None:
        return see(view.back)
    notify(request, "info", "You are signed out.")
    return see(SIGN_IN)


@router.get(APPS)
async def apps(request: Request, web: Services, viewer: SignedIn) -> Response:
    cards = await web.provider.apps(viewer)
    return render(request, AppsPage(apps=cards, forms={card.id: FormState() for card in cards}))


@router.post("/account/apps/disconnect")
async def disconnect(request: Request, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    try:
        name = await web.provider.disconnect(viewer, values.get("client_id", ""), idempotency_key=form_key(values))
    except NotFound as error:
        notify(request, "info", error.message)
    else:
        notify(request, "success", f"{name} is disconnected. What it held is worth nothing now.")
    return see(APPS)
