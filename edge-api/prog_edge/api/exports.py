"""Taking one's data along."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from prog_contracts.exports import ExportUser
from prog_edge.access import Access, SignedIn
from prog_edge.api.auth import personal
from prog_edge.api.shapes import problems
from prog_edge.archives import MEDIA_TYPE
from prog_edge.exporting import ExportResponse, require_room
from prog_edge.stepping_up import require_fresh_sign_in
from prog_edge.writes import perform

router = APIRouter(prefix="/v1/me/export", tags=["People"])


@router.post(
    "",
    response_class=Response,
    responses={
        200: {"content": {MEDIA_TYPE: {}}, "description": "A zip with a file of JSON lines for each kind of data"},
        **problems(401, 403, 409, 503),
    },
)
async def export_me(request: Request, access: Annotated[Access, Depends(SignedIn())]) -> Response:
    """All that there is of the caller, as a file that is made while it is sent: none is kept.

    Needs a sign-in of the last ten minutes, and a minute since the last one. A mail tells of it. What would be larger
    than such a file may be here is `export_too_large`.
    """
    caller = access.caller
    await require_fresh_sign_in(access.platform, caller.user_id, caller.session_id)
    await require_room(access.platform, caller.user_id)
    command = ExportUser(
        user_id=caller.user_id, by_session_id=caller.session_id, client_address=access.context.client_address
    )
    answer = await perform(request, access, personal(command, lambda _: None))
    return ExportResponse(access.platform, caller.user_id) if answer.status_code == 204 else answer
