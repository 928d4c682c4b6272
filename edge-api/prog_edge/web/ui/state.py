"""What is known about a page request before its route runs, and what is to be set on the way out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, cast

from starlette.requests import Request

from prog_edge.web.ports import BrandView, SessionCookie, Viewer, WebServices
from prog_edge.web.ui.notices import Notice

Theme = Literal["light", "dark"]


@dataclass(slots=True)
class WebState:
    """Kept on `request.state.web`; `ui.routing` makes it and writes its changes to the response."""

    nonce: str
    csrf_token: str
    other_csrf_token: str | None = None
    """That of the other name, where an address takes forms of both kinds of pages: see `ui.acting`."""
    viewer: Viewer | None = None
    theme: Theme | None = None
    notices: list[Notice] = field(default_factory=list)
    """Shown by the page that is rendered now."""
    carried: list[Notice] = field(default_factory=list)
    """Shown by the page that comes after a redirect."""
    new_visitor: str | None = None
    session: SessionCookie | None = None
    """Set to keep a new session in the browser."""
    ends_session: bool = False
    second_step: SessionCookie | None = None
    """Set to keep a sign-in that waits for its second factor."""
    ends_second_step: bool = False
    federation: SessionCookie | None = None
    """Set to keep what a sign-in through another provider has begun with, or came to."""
    ends_federation: bool = False
    impersonation: SessionCookie | None = None
    """Set to act in somebody's name from now on."""
    ends_impersonation: bool = False
    form_origin: str | None = None
    """Another site to which the page's form leads in the end: its policy lets it."""
    brand: BrandView | None = None
    """How the tenant that the page is about wants it to look."""
    renders: bool = False
    """A page was rendered, so that the notices it showed are spent."""


def web_state(request: Request) -> WebState:
    return cast("WebState", request.state.web)


def services(request: Request) -> WebServices:
    """The ports, through which routes reach everything."""
    return cast("WebServices", request.app.state.web)
