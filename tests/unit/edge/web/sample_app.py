"""The pages over sample data: `python -m tests.unit.edge.web.sample_app [port] [full|empty|past-due]`.

Sign in with any address (`admin@…` is an operator) and the password `correct horse battery`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import SimpleNamespace

from fastapi import FastAPI, HTTPException
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from prog_contracts.errors import NotFound
from prog_contracts.hosts import PlatformHosts
from prog_edge.hosts import TenantHosts
from prog_edge.middleware.gateway import GatewayMiddleware
from prog_edge.web import mount_web, page_for_error
from prog_edge.web.ports import WebServices
from prog_workers.tenants.queries.custom_domains import ServedDomain
from tests.unit.edge.web.sample_backend import TENANT, sample_services, sample_services_in

HOST = "accounts.acme.example"
"""Where the sample tenant's own pages are."""
CDN_HOST = "cdn.acme.example"
"""So they are here, and the name leads elsewhere."""


def sample_app(services: WebServices | None = None) -> FastAPI:
    own = frozenset({"127.0.0.1"})
    hosts = PlatformHosts("http://127.0.0.1:8000", own, own, "127.0.0.1")
    gateway = Middleware(GatewayMiddleware, public_url=hosts.public_url, trusted_proxies=["127.0.0.1"], hosts=hosts)
    layers = [gateway]
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, middleware=layers)
    app.state.web = services or sample_services()
    app.state.platform = SimpleNamespace(hosts=TenantHosts(_served), audit=SimpleNamespace(deny=lambda *_: None))
    mount_web(app)

    @app.exception_handler(StarletteHTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        problem = NotFound("There is nothing at this address.")
        page = await page_for_error(request, problem, error.status_code)
        return page or JSONResponse({"status": error.status_code}, status_code=error.status_code)

    return app


async def _served() -> Mapping[str, ServedDomain]:
    return {HOST: ServedDomain(TENANT, is_active=True), CDN_HOST: ServedDomain(TENANT, is_active=False)}


if __name__ == "__main__":
    import uvicorn

    port, state = [*sys.argv[1:], "8765", "full"][:2] if len(sys.argv) != 2 else (sys.argv[1], "full")
    uvicorn.run(sample_app(sample_services_in(state)), port=int(port), log_level="warning")
