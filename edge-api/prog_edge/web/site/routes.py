"""The site's routes."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape

from fastapi import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from prog_contracts.errors import Conflict, Invalid, NotFound
from prog_edge.web.site.views import (
    LEGAL_TOPICS,
    PUBLIC_PATHS,
    HomePage,
    LeadThanks,
    LegalPage,
    PricingPage,
    plan_cards,
)
from prog_edge.web.ui.assets import Assets
from prog_edge.web.ui.forms import FormState, form_key, refused, sent_form
from prog_edge.web.ui.rendering import render
from prog_edge.web.ui.routing import THEME_COOKIE, page_router, see
from prog_edge.web.ui.sessions import Services, own_path

router = page_router()
ASSETS = Assets()


@router.get("/")
async def home(request: Request, web: Services) -> Response:
    return render(request, HomePage(plans=plan_cards(await web.site.plans()), lead=FormState()))


@router.post("/leads")
async def leave_address(request: Request, web: Services) -> Response:
    """The lead form. A refused one comes back on the home page, beside its field."""
    values = await sent_form(request)
    try:
        await web.site.capture_lead(
            email=values.get("email", ""),
            name=values.get("name") or None,
            message=values.get("message") or None,
            idempotency_key=form_key(values),
        )
    except (Invalid, Conflict) as error:
        plans = plan_cards(await web.site.plans())
        return render(request, HomePage(plans=plans, lead=refused(values, error)), status=422)
    return see("/leads/thanks")


@router.get("/leads/thanks")
async def lead_thanks(request: Request) -> Response:
    return render(request, LeadThanks())


@router.get("/pricing")
async def pricing(request: Request, web: Services) -> Response:
    return render(request, PricingPage(plans=plan_cards(await web.site.plans())))


@router.get("/legal/{topic}")
async def legal(request: Request, topic: str) -> Response:
    if topic not in LEGAL_TOPICS:
        raise NotFound("There is nothing at this address.")
    return render(request, LegalPage(topic=topic))


@router.post("/theme")
async def choose_theme(request: Request, web: Services) -> Response:
    """Keeps the choice in a cookie that scripts may read and write: the pages' toggle needs no round trip."""
    values = await sent_form(request)
    response = RedirectResponse(own_path(values.get("next"), "/"), status_code=303)
    theme = values.get("theme")
    if theme in ("light", "dark"):
        response.set_cookie(
            THEME_COOKIE, theme, max_age=31_536_000, samesite="lax", secure=web.secure_cookies, path="/"
        )
    else:
        response.delete_cookie(THEME_COOKIE, path="/")
    return response


@router.get("/favicon.ico")
async def favicon() -> Response:
    """Where browsers look for it by themselves, as on the API's reference and on a PDF."""
    return RedirectResponse(ASSETS.url("icon.svg"), status_code=307, headers={"Cache-Control": "public, max-age=86400"})


@router.get("/robots.txt")
async def robots(web: Services) -> Response:
    closed = "".join(f"Disallow: {path}\n" for path in ("/account", "/admin", "/dev", "/v1"))
    sitemap = f"Sitemap: {web.public_url.rstrip('/')}/sitemap.xml\n"
    return PlainTextResponse(f"User-agent: *\n{closed}\n{sitemap}", headers={"Cache-Control": "public, max-age=3600"})


@router.get("/sitemap.xml")
async def sitemap(web: Services) -> Response:
    base = web.public_url.rstrip("/")
    entries = "".join(f"<url><loc>{escape(base + path)}</loc></url>" for path in PUBLIC_PATHS)
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{entries}</urlset>\n'
    )
    return Response(text, media_type="application/xml", headers={"Cache-Control": "public, max-age=3600"})


@router.get("/manifest.webmanifest")
async def web_manifest() -> Response:
    manifest: dict[str, Any] = {
        "name": "ProgNetwork",
        "short_name": "ProgNetwork",
        "start_url": "/account",
        "display": "standalone",
        "background_color": "#f8f8f6",
        "theme_color": "#1a1b1f",
        "icons": [{"src": ASSETS.url("icon.svg"), "sizes": "any", "type": "image/svg+xml"}],
    }
    return JSONResponse(
        manifest, media_type="application/manifest+json", headers={"Cache-Control": "public, max-age=3600"}
    )
