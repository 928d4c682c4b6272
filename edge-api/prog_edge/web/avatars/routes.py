"""The route of people's pictures. It is public, for apps that people sign in to show them: whoever knows an address,
which has a digest of the picture in it, has seen the picture or was told by its person."""

from __future__ import annotations

import re
from typing import Final

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

from prog_contracts.profiles import AVATAR_ID
from prog_edge.web.ui.sessions import Services

router = APIRouter(prefix="/avatars", include_in_schema=False)

_KEPT: Final = {
    "Cache-Control": "public, max-age=2592000, immutable",
    "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "X-Content-Type-Options": "nosniff",
}
"""For 30 days, and no longer: by then it is gone everywhere, once its person has deleted it."""
_AVATAR_ID: Final = re.compile(AVATAR_ID)


@router.get("/{user_id}/{avatar_id}.webp")
async def avatar(request: Request, user_id: str, avatar_id: str, web: Services) -> Response:
    """A WebP that the platform has drawn."""
    if web.spend is not None:
        await web.spend(request, None)
    content = await web.profile.picture(user_id, avatar_id) if _AVATAR_ID.fullmatch(avatar_id) else None
    if content is None:
        raise HTTPException(404)
    return Response(content, media_type="image/webp", headers=_KEPT)
