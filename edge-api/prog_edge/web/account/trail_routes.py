"""The account's page of a tenant's audit trail, for its owners and admins: filtered, by pages, and as a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import ClassVar, Final, get_args
from urllib.parse import urlencode

from fastapi import Request
from starlette.responses import Response

from prog_contracts.errors import Invalid
from prog_contracts.permissions import allowed
from prog_edge import texts
from prog_edge.web.ports.trail import Outcome, TrailQuery, TrailView
from prog_edge.web.ui.formats import zone
from prog_edge.web.ui.rendering import render
from prog_edge.web.ui.routing import page_router, see
from prog_edge.web.ui.sessions import Services, SignedIn

router = page_router("/account/tenants/{tenant_id}")

OUTCOMES: Final = (("success", "Done"), ("failure", "Failed"), ("denial", "Refused"))
assert {name for name, _ in OUTCOMES} == set(get_args(Outcome))
_FILTERS: Final = ("search", "outcome", "from", "to")
_LAST_DAY: Final = date(9999, 12, 30)


@dataclass(frozen=True, slots=True)
class TrailPage:
    """`given` is what the filters hold. `older`, `newest` and `file` are addresses, the latter of all as CSV."""

    template: ClassVar[str] = "account/trail.html"
    view: TrailView
    given: Mapping[str, str]
    older: str | None
    newest: str | None
    file: str
    sees_billing: bool
    section: str = "audit"
    outcomes: tuple[tuple[str, str], ...] = OUTCOMES


@router.get("/audit")
async def trail(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    query, given = _asked(request)
    path = request.url.path
    try:
        view = await web.trail.page(viewer, tenant_id, query)
    except Invalid:
        return see(_address(path, given))
    older = None if view.next_cursor is None else _address(path, {**given, "cursor": view.next_cursor})
    page = TrailPage(
        view=view,
        given=given,
        older=older,
        newest=None if query.cursor is None else _address(path, given),
        file=_address(f"{path}.csv", given),
        sees_billing=allowed(view.viewer_role, "billing.read"),
    )
    return render(request, page)


@router.get("/audit.csv")
async def trail_file(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    query, _ = _asked(request)
    return await web.trail.file(viewer, tenant_id, replace(query, cursor=None))


def _asked(request: Request) -> tuple[TrailQuery, Mapping[str, str]]:
    """What an address asks for, and the same as the filters show it; what cannot be is left out."""
    sent = {name: request.query_params.get(name, "").strip()[:200] for name in _FILTERS}
    given = {name: text for name, text in sent.items() if text and texts.is_clean(text)}
    outcome: Outcome | None = next((name for name in get_args(Outcome) if name == given.get("outcome")), None)
    first, last = _day(given.get("from")), _day(given.get("to"))
    wrong = {"outcome": outcome is None, "from": first is None, "to": last is None}
    query = TrailQuery(
        search=given.get("search", ""),
        outcome=outcome,
        since=_begin_of(first),
        until=_begin_of(None if last is None else last + timedelta(days=1)),
        cursor=request.query_params.get("cursor") or None,
    )
    return query, {name: text for name, text in given.items() if not wrong.get(name)}


def _day(text: str | None) -> date | None:
    try:
        day = date.fromisoformat(text or "")
    except ValueError:
        return None
    return day if day.year >= 1970 and day <= _LAST_DAY else None


def _begin_of(day: date | None) -> datetime | None:
    """When a day begins where the viewer is."""
    return None if day is None else datetime.combine(day, time.min, tzinfo=zone())


def _address(path: str, query: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path
