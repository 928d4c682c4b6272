"""Error pages. For pages' own routes, and for the application's handlers when a browser asks for an unknown address."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Final

from starlette.requests import Request
from starlette.responses import Response

from prog_contracts.errors import ProgError
from prog_edge.context import context_of
from prog_edge.problems import TooMuch, status_of
from prog_edge.sign_on_paths import SIGN_ON_REQUIRED, sign_on_path
from prog_edge.web.ui.own_host import ELSEWHERE, NOT_A_MEMBER, comes_back
from prog_edge.web.ui.rendering import PageContext, render
from prog_edge.web.ui.sessions import came_from, own_path

_TITLES: Final = {
    400: "That request does not add up",
    422: "That request does not add up",
    403: "This is not for you",
    404: "Nothing here",
    405: "That does not work here",
    409: "That does not go together",
    413: "That is too large",
    429: "That is too much at once",
    500: "Something broke on our side",
    503: "We cannot reach that right now",
}

_TITLES_OF_CODES: Final = {"stale_form": "This form has expired", "cross_site": "This came from another site"}

_FOR_PROGRAMS: Final = ("/v1", "/scim", "/healthz", "/readyz", "/metrics", "/oauth2", "/.well-known")


@dataclass(frozen=True, slots=True)
class ErrorPage:
    template: ClassVar[str] = "ui/error.html"
    status: int
    title: str
    detail: str
    can_retry: bool
    trace_id: str | None
    """What the logs have an error of ours under."""
    sign_on: str | None = None
    """Where the viewer has to sign on for what they were looking at."""
    elsewhere: str | None = None
    """The address of the platform at which it is, where it is not at a tenant's own host."""
    stranger: bool = False
    """The viewer is not who may look at it, and may sign in as somebody else."""
    back: str | None = None
    """The page that a form was on that has to be sent again."""


def error_page(request: Request, error: ProgError, *, status: int | None = None) -> Response:
    """A page that says what is wrong and what to do. The request must have gone through `routing.enter`."""
    context_of(request.scope).code = error.code
    code = status or status_of(error)
    title = _TITLES_OF_CODES.get(error.code) or _TITLES.get(code, _TITLES[500] if code >= 500 else _TITLES[400])
    page = ErrorPage(
        status=code,
        title=title,
        detail=error.message,
        can_retry=error.kind == "unavailable",
        trace_id=context_of(request.scope).trace_id if code >= 500 else None,
        back=own_path(came_from(request), "/account") if error.code == "stale_form" else None,
    )
    tenant_id = request.path_params.get("tenant_id")
    if error.code == SIGN_ON_REQUIRED and tenant_id is not None:
        back = request.url.path if request.method == "GET" else "/account"
        detail = "This tenant lets you in through its own identity provider alone. Sign on there, and you come back."
        page = replace(page, detail=detail, sign_on=sign_on_path(tenant_id, back))
    site = context_of(request.scope).site
    if site is not None:
        page = _at_site(request, page, error)
    response = render(request, page, status=code)
    if isinstance(error, TooMuch):
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    return response


def refused_page(request: Request, page: PageContext, error: ProgError) -> Response:
    """The page of a form that was refused, which says what is wrong; for too many attempts, that it was that."""
    if not isinstance(error, TooMuch):
        return render(request, page, status=422)
    context_of(request.scope).code = error.code
    response = render(request, page, status=429)
    response.headers["Retry-After"] = str(error.retry_after_seconds)
    return response


def _at_site(request: Request, page: ErrorPage, error: ProgError) -> ErrorPage:
    """The page at a tenant's own host: what is not there is at the platform's."""
    base = request.app.state.web.public_url.rstrip("/")
    if error.code == ELSEWHERE:
        path = request.url.path if request.method in ("GET", "HEAD") else "/account"
        return replace(page, title="This is somewhere else", elsewhere=f"{base}{path}")
    sign_on = page.sign_on if page.sign_on is None or comes_back(request) else f"{base}{page.sign_on}"
    return replace(page, sign_on=sign_on, stranger=error.code == NOT_A_MEMBER)


def wants_page(request: Request) -> bool:
    """Whether an error should be a page: a browser looks at something outside the API."""
    if request.url.path.startswith(_FOR_PROGRAMS):
        return False
    return "text/html" in request.headers.get("accept", "")
