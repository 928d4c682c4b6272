"""Rendering: a typed page context and a request become HTML.

A page context is a frozen dataclass that names its template; its fields are what the template may use, and with
StrictUndefined any other name is an error. `chrome` holds what every page's frame needs.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

from jinja2 import Environment, FileSystemLoader, PrefixLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from prog_edge.context import Site, context_of
from prog_edge.web.ports import BrandView, Viewer
from prog_edge.web.ui import formats
from prog_edge.web.ui.assets import Assets
from prog_edge.web.ui.highlight import highlight_json, highlight_python
from prog_edge.web.ui.notices import Notice
from prog_edge.web.ui.state import Theme, web_state

_WEB: Final = Path(__file__).parent.parent


class PageContext(Protocol):
    """A frozen dataclass with the name of its template, such as `account/sign_in.html`."""

    template: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Chrome:
    """What the frame around a page knows."""

    viewer: Viewer | None
    csrf_token: str
    nonce: str
    theme: Theme | None
    notices: list[Notice]
    path: str
    address: str
    """Path and query, for coming back to."""
    public_url: str
    site: Site | None
    """The tenant's host at which the page is; None is the platform's own."""
    has_mailbox: bool
    brand: BrandView | None
    now: datetime


def _environment() -> Environment:
    environment = Environment(
        loader=PrefixLoader(
            {
                name: FileSystemLoader(_WEB / name / "templates")
                for name in ("ui", "site", "account", "admin", "mailbox")
            }
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=True,
    )
    environment.filters.update(
        money=formats.money,
        count=formats.count,
        compact=formats.compact,
        duration=formats.duration,
        hours=formats.hours,
        moment=formats.moment,
        date=formats.date,
        clock=formats.clock,
        clock_time=formats.clock_time,
        day=formats.day,
        setting=formats.setting,
        short_id=formats.short_id,
        short_type=formats.short_type,
        words=formats.words,
        initials=formats.initials,
        json_code=highlight_json,
        json_text=formats.json_text,
        python_code=highlight_python,
    )
    environment.globals.update(asset=Assets().url, zone_name=formats.zone_name)
    return environment


ENVIRONMENT: Final = _environment()


def render(request: Request, context: PageContext, *, status: int = 200) -> HTMLResponse:
    """The page as a response; security headers and cookies are added by `ui.routing`."""
    state = web_state(request)
    state.renders = True
    return HTMLResponse(render_text(request, context), status_code=status)


def render_text(request: Request, context: PageContext) -> str:
    """The page as text; for parts of pages that travel over a stream."""
    values = {field.name: getattr(context, field.name) for field in fields(context)}
    return ENVIRONMENT.get_template(context.template).render(chrome=_chrome(request), **values)


def render_part(template: str, **values: object) -> Markup:
    """A part of a page that needs no frame, such as one row."""
    return Markup(ENVIRONMENT.get_template(template).render(**values))  # noqa: S704 - rendered with autoescape


def _chrome(request: Request) -> Chrome:
    state = web_state(request)
    services = request.app.state.web
    query = request.url.query
    return Chrome(
        viewer=state.viewer,
        csrf_token=state.csrf_token,
        nonce=state.nonce,
        theme=state.theme,
        notices=state.notices + state.carried,
        path=request.url.path,
        address=f"{request.url.path}?{query}" if query else request.url.path,
        public_url=services.public_url.rstrip("/"),
        site=context_of(request.scope).site,
        has_mailbox=services.mailbox is not None and context_of(request.scope).site is None,
        brand=state.brand,
        now=datetime.now(UTC),
    )
