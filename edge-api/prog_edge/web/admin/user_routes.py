"""The console's routes for one person: what there is of them, and the reset of their second factors."""

from __future__ import annotations

from fastapi import Depends, Request
from starlette.responses import Response

from prog_contracts.errors import Denied, Invalid, NotFound
from prog_edge.web.admin.views import PersonFactsPage
from prog_edge.web.ui.forms import FormState, form_key, refused, sent_form
from prog_edge.web.ui.rendering import render
from prog_edge.web.ui.routing import notify, page_router, see
from prog_edge.web.ui.sessions import Operator, Services, operator

router = page_router("/admin/users/{user_id}", dependencies=[Depends(operator)])


@router.get("")
async def person(request: Request, user_id: str, web: Services, viewer: Operator) -> Response:
    return render(request, PersonFactsPage(await web.security.facts_of(viewer, user_id), FormState()))


@router.post("/reset-second-factor")
async def reset_second_factor(request: Request, user_id: str, web: Services, viewer: Operator) -> Response:
    """Needs a sign-in of the last ten minutes; whoever has none signs in again and comes back to the page."""
    values = await sent_form(request)
    path = f"/admin/users/{user_id}"
    facts = await web.security.facts_of(viewer, user_id)
    try:
        await web.security.reset_second_factor(
            viewer, user_id, reason=values.get("reason", ""), idempotency_key=form_key(values)
        )
    except Invalid as error:
        return render(request, PersonFactsPage(facts, refused(values, error)), status=422)
    except (Denied, NotFound) as error:
        if error.code == "fresh_sign_in_required":
            return see(f"/account/sign-in/again?next={path}")
        if error.code != "no_second_factor":
            raise
        notify(request, "error", error.message)
        return see(path)
    notify(request, "success", "The second factors are removed, and a mail tells of it.")
    return see(path)
