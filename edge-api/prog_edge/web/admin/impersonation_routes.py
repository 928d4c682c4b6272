"""The console's routes about operators who act in somebody's name: begin, end, and the list of all."""

from __future__ import annotations

from fastapi import Depends, Request
from starlette.responses import Response

from prog_contracts.errors import Conflict, Denied, Invalid, NotFound
from prog_edge.web.admin.routes import asked
from prog_edge.web.admin.views import ImpersonationsPage, PersonFactsPage, listing
from prog_edge.web.ui.forms import FormState, form_key, refused, sent_form
from prog_edge.web.ui.rendering import render
from prog_edge.web.ui.routing import notify, page_router, see
from prog_edge.web.ui.sessions import Operator, Services, operator
from prog_edge.web.ui.state import web_state

router = page_router("/admin", dependencies=[Depends(operator)])


@router.get("/impersonations")
async def impersonations(request: Request, web: Services, viewer: Operator) -> Response:
    query = asked(request, "impersonations")
    page = await web.impersonations.listed(viewer, query)
    return render(request, ImpersonationsPage(page=page, listing=listing("impersonations", query, page.next_cursor)))


@router.post("/impersonations/{impersonation_id}/end")
async def end(request: Request, impersonation_id: str, web: Services, viewer: Operator) -> Response:
    await web.impersonations.end(viewer, impersonation_id)
    notify(request, "success", "It is over.")
    return see("/admin/impersonations")


@router.post("/users/{user_id}/impersonate")
async def begin(request: Request, user_id: str, web: Services, viewer: Operator) -> Response:
    """Needs a sign-in of the last ten minutes. Whoever acts in somebody's name already does so no more."""
    values = await sent_form(request)
    path = f"/admin/users/{user_id}"
    try:
        begun = await web.impersonations.begin(
            viewer,
            user_id,
            reason=values.get("acting_reason", ""),
            minutes=values.get("minutes", ""),
            idempotency_key=form_key(values),
        )
    except Invalid as error:
        facts = await web.security.facts_of(viewer, user_id)
        form = refused(values, _named_as_on_the_page(error))
        return render(request, PersonFactsPage(facts, FormState(), acting=form), status=422)
    except (Denied, Conflict) as error:
        if error.code == "fresh_sign_in_required":
            return see(f"/account/sign-in/again?next={path}")
        if isinstance(error, Denied) and error.code != "staff_not_impersonated":
            raise
        notify(request, "error", error.message)
        return see(path)
    await _end_before(request, web, viewer)
    web_state(request).impersonation = begun
    return see("/account")


async def _end_before(request: Request, web: Services, viewer: Operator) -> None:
    cookie = request.cookies.get(web.impersonations.cookie_name)
    before = None if cookie is None else await web.impersonations.open(cookie, viewer)
    if before is not None and before.acting is not None:
        try:
            await web.impersonations.end(before, before.acting.impersonation_id)
        except NotFound:
            return


def _named_as_on_the_page(error: Invalid) -> Invalid:
    """The command names its field `reason`; the page has another form with such a one."""
    fields = [
        item.model_copy(update={"field": "acting_reason"}) if item.field == "reason" else item for item in error.fields
    ]
    return Invalid(error.message, fields=fields)
