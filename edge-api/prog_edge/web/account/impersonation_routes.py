"""The button of the banner that is on every page while an operator acts in somebody's name."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import Response

from prog_edge.web.ui.routing import notify, page_router, see
from prog_edge.web.ui.sessions import Services, SignedIn
from prog_edge.web.ui.state import web_state

router = page_router("/account/impersonation")


@router.post("/end")
async def end(request: Request, web: Services, viewer: SignedIn) -> Response:
    """Goes back to the person's page of the console. Of one that was over already nothing is told."""
    if viewer.acting is None:
        return see("/account")
    await web.impersonations.end(viewer, viewer.acting.impersonation_id)
    web_state(request).ends_impersonation = True
    notify(request, "success", f"You do not act as {viewer.name} any more.")
    return see(f"/admin/users/{viewer.user_id}")
