"""Sign-outs that OAuth clients did not hear of (OpenID Connect Back-Channel Logout 1.0). For the platform's staff."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from prog_contracts.ids import PLATFORM_TENANT_ID
from prog_contracts.oauth import ResendLogoutNotices
from prog_edge.access import Access, Staff
from prog_edge.api.shapes import Resource, problems
from prog_edge.writes import Write, perform

router = APIRouter(prefix="/v1/logout-notices", tags=["Operations"])


class ResentNotices(Resource):
    resent: int = Field(description="How many are on their way again.")
    more: bool = Field(description="There are more than go at once: send again.")


@router.post("/resend", response_model=ResentNotices, responses=problems(401, 403))
async def resend_logout_notices(
    request: Request, access: Annotated[Access, Depends(Staff("platform.manage"))]
) -> Response:
    """Tell OAuth clients again of sign-outs of the last week that they refused or did not answer; the oldest 1000.

    Each goes with the `jti` that it had, and nothing goes to a client that has said it did. What comes of it is in the
    audit trails of the clients' tenants.
    """
    return await perform(
        request, access, Write(ResendLogoutNotices(), PLATFORM_TENANT_ID, ResentNotices.model_validate)
    )
