"""The routes of logos and colours. Both are public, for mails and sign-in pages show them; an address has the tenant in
it and never changes its content, so it may be kept for ever, and never for another tenant."""

from __future__ import annotations

import re
from typing import Final

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

from prog_contracts.configuration import LOGO_ID
from prog_edge.web.ports import WebServices
from prog_edge.web.ui.sessions import Services

router = APIRouter(prefix="/brand/{tenant_id}", include_in_schema=False)

_KEPT: Final = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
_LOGO_ID: Final = re.compile(LOGO_ID)


@router.get("/logo/{logo_id}.png")
async def logo(request: Request, tenant_id: str, logo_id: str, web: Services) -> Response:
    """A PNG that the platform has drawn. Mail clients show it, so other sites may, too."""
    await _spend(request, web)
    content = await web.branding.logo(tenant_id, logo_id) if _LOGO_ID.fullmatch(logo_id) else None
    if content is None:
        raise HTTPException(404)
    headers = _KEPT | {"Cross-Origin-Resource-Policy": "cross-origin"}
    return Response(content, media_type="image/png", headers=headers)


@router.get("/{version}.css")
async def style(request: Request, tenant_id: str, version: str, web: Services) -> Response:
    await _spend(request, web)
    known = version.isascii() and version.isdecimal() and len(version) < 11
    text = await web.branding.style(tenant_id, int(version)) if known else None
    if text is None:
        raise HTTPException(404)
    return Response(text, media_type="text/css; charset=utf-8", headers=_KEPT)


async def _spend(request: Request, web: WebServices) -> None:
    if web.spend is not None:
        await web.spend(request, None)
