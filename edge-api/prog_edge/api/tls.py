"""What a proxy asks before it gets a certificate for a name that somebody has connected with (on-demand TLS)."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from prog_contracts.errors import Invalid, NotFound
from prog_contracts.hosts import normalize_host
from prog_edge.access import platform_of
from prog_edge.inside import comes_from_inside

router = APIRouter(tags=["Health"])


@router.get("/internal/tls/allowed", status_code=204, response_class=Response)
async def tls_allowed(request: Request, domain: str = "") -> Response:
    """204 for a custom domain that a tenant has proven, 404 for every other name, without a word about whose it is.

    For proxies within PROG_METRICS_NETWORKS that come by themselves, as for `/metrics`; for all others, and for whoever
    comes through a proxy, there is nothing here.
    """
    platform = platform_of(request)
    if not comes_from_inside(request, platform.settings.metrics_networks):
        raise NotFound("There is nothing at this address.")
    try:
        name = normalize_host(domain)
    except Invalid:
        name = ""
    if not name or await platform.hosts.tenant_of(name) is None:
        raise NotFound("No certificate is to be had for this name.", code="name_not_served")
    return Response(status_code=204)
