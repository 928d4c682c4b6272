"""The route class of every page: opens the session before, adds cookies and headers after, shows errors as pages.

Routers are made by `page_router`, so that no page can leave out the form token check or the headers.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Depends
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from prog_contracts.errors import NotFound, ProgError, Unavailable
from prog_edge.context import context_of
from prog_edge.web.ports import OpenSession, StillWorking, Viewer
from prog_edge.web.ui import csrf, formats, notices, security
from prog_edge.web.ui.acting import IN_BOTH_NAMES, is_in_their_name, require_answering
from prog_edge.web.ui.errors import error_page
from prog_edge.web.ui.notices import Notice
from prog_edge.web.ui.own_host import require_served
from prog_edge.web.ui.sessions import SignInNeeded, came_from, own_path
from prog_edge.web.ui.state import WebState, services, web_state

THEME_COOKIE = "prog_theme"
_YEAR_SECONDS = 31_536_000


class PageRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                await enter(request)
            except ProgError as error:  # the session cannot be opened now
                await enter(request, anonymous=True)
                return leave(request, error_page(request, error))
            return leave(request, await _answer(request, inner))

        return handle


def page_router(prefix: str = "", *, dependencies: list[Any] | None = None) -> APIRouter:
    """A router for pages: not in the API's schema, form tokens checked, session and headers handled."""
    return APIRouter(
        prefix=prefix,
        route_class=PageRoute,
        include_in_schema=False,
        dependencies=[Depends(csrf.check_csrf), *(dependencies or [])],
    )


async def _answer(request: Request, inner: Callable[[Request], Coroutine[Any, Any, Response]]) -> Response:
    try:
        await _spend(request)
        require_answering(request)
        await _dress(request)
        await require_served(request)
        return await inner(request)
    except SignInNeeded as needed:
        return RedirectResponse(needed.location, status_code=303)
    except StillWorking:
        web_state(request).carried.append(
            Notice("info", "This takes a little longer. It is safely stored and goes on.")
        )
        return RedirectResponse(own_path(came_from(request), "/account"), status_code=303)
    except ProgError as error:
        return error_page(request, error)
    except HTTPException as error:
        problem = NotFound("There is nothing at this address.") if error.status_code == 404 else None
        return error_page(request, problem or Unavailable(str(error.detail)), status=error.status_code)
    finally:
        await request.close()  # files that came with a form


async def _spend(request: Request) -> None:
    spend, viewer = services(request).spend, web_state(request).viewer
    if spend is not None:
        await spend(request, None if viewer is None else viewer.client)


async def _dress(request: Request) -> None:
    """Gives an account page of a tenant that tenant's looks, for those who belong to it; at its own host all have."""
    if context_of(request.scope).site is not None:
        return
    tenant_id, viewer = request.path_params.get("tenant_id"), web_state(request).viewer
    if tenant_id is not None and viewer is not None and request.url.path.startswith("/account/"):
        web_state(request).brand = await services(request).branding.for_member(viewer, tenant_id)


async def enter(request: Request, *, anonymous: bool = False) -> None:
    """Opens the session and reads the cookies; puts a `WebState` on the request. `anonymous` leaves the session alone,
    for pages that must come even when nothing behind them answers."""
    web = services(request)
    cookies = request.cookies
    cookie = None if anonymous else cookies.get(web.sessions.cookie_name)
    session = await web.sessions.open(cookie) if cookie else None
    viewer, other, over = await _viewer(request, session)
    if viewer is not None:
        context_of(request.scope).identify(viewer.actor, viewer.session_id, viewer.platform_role)
    visitor = cookies.get(csrf.VISITOR_COOKIE)
    new_visitor = csrf.new_visitor() if session is None and not visitor and not anonymous else None
    binding = viewer.session_id if viewer else visitor or new_visitor or ""
    site = context_of(request.scope).site
    theme = cookies.get(THEME_COOKIE)
    preferred = None if viewer is None else viewer.theme
    formats.show_in(None if viewer is None else viewer.time_zone)
    request.state.web = WebState(
        nonce=security.new_nonce(),
        csrf_token=csrf.form_token(web.signing_key, binding, None if site is None else site.host),
        other_csrf_token=None if other is None else csrf.form_token(web.signing_key, other),
        viewer=viewer,
        theme=theme if theme in ("light", "dark") else preferred,  # type: ignore[arg-type]  # narrowed by the test
        notices=notices.open_notices(web.signing_key, cookies.get(notices.COOKIE)),
        new_visitor=new_visitor,
        session=session.renewed if session else None,
        ends_session=cookie is not None and session is None,
        ends_impersonation=over,
        brand=None if site is None or anonymous else await web.branding.for_site(site.tenant_id),
    )
    if over and viewer is not None:
        web_state(request).notices.append(Notice("info", "You act in your own name again."))


async def _viewer(request: Request, session: OpenSession | None) -> tuple[Viewer | None, str | None, bool]:
    """Who looks: the person of the session, or the one in whose name that person acts; what binds forms of the other
    one, where they are taken too; and whether acting is over."""
    web, path = services(request), request.url.path
    cookie = request.cookies.get(web.impersonations.cookie_name)
    if session is not None and context_of(request.scope).site is not None:
        return replace(session.viewer, platform_role=None), None, False  # there nobody acts in a name, or by an office
    if session is None or cookie is None:
        return (None if session is None else session.viewer), None, cookie is not None
    own = session.viewer
    if not is_in_their_name(request) and path not in IN_BOTH_NAMES:
        return own, None, False
    person = await web.impersonations.open(cookie, own)
    if person is None:
        return own, None, True
    if is_in_their_name(request):
        return person, own.session_id if path in IN_BOTH_NAMES else None, False
    return own, person.session_id, False


def leave(request: Request, response: Response) -> Response:
    """Writes what the request's state asks for into the response."""
    web, state = services(request), web_state(request)
    secure = web.secure_cookies

    def keep(name: str, value: str, max_age_seconds: int | None) -> None:
        response.set_cookie(
            name, value, max_age=max_age_seconds, secure=secure, httponly=True, samesite="lax", path="/"
        )

    for name, kept, ends in (
        (web.sessions.cookie_name, state.session, state.ends_session),
        (web.sessions.second_step_cookie_name, state.second_step, state.ends_second_step),
        (web.identities.cookie_name, state.federation, state.ends_federation),
        (web.impersonations.cookie_name, state.impersonation, state.ends_impersonation),
    ):
        if kept is not None:
            keep(name, kept.value, kept.max_age_seconds)
        elif ends:
            response.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="lax")
    if state.new_visitor and state.renders:
        keep(csrf.VISITOR_COOKIE, state.new_visitor, _YEAR_SECONDS)
    if state.carried and not state.renders:
        keep(notices.COOKIE, notices.seal_notices(web.signing_key, state.carried), 60)
    elif state.notices and state.renders:
        response.delete_cookie(notices.COOKIE, path="/")
    security.secure_page(response.headers, state.nonce, form_origin=state.form_origin)
    return response


def notify(request: Request, kind: str, text: str) -> None:
    """Shows a notice on the next page."""
    web_state(request).carried.append(Notice(kind, text))  # type: ignore[arg-type]  # the three kinds


def see(location: str) -> RedirectResponse:
    """After a form was taken: go and look there."""
    return RedirectResponse(location, status_code=303)
