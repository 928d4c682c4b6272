"""Wiring: the application with its layers, routes, pages and error handlers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from fastapi import FastAPI
from starlette.middleware import Middleware

from prog_edge.api import ROUTERS
from prog_edge.api.contract import describe, open_paths
from prog_edge.backend import web_services
from prog_edge.drain import Drain
from prog_edge.middleware.body_limit import BodyLimitMiddleware
from prog_edge.middleware.content_type import ContentTypeMiddleware
from prog_edge.middleware.cors import Cors
from prog_edge.middleware.crash import CrashMiddleware
from prog_edge.middleware.gateway import GatewayMiddleware
from prog_edge.middleware.head import HeadMiddleware
from prog_edge.middleware.lane import Lane
from prog_edge.platform import Platform
from prog_edge.quick import shorten
from prog_edge.refusals import add_handlers
from prog_edge.routing import RouteIndex
from prog_edge.versions.pinned import pin
from prog_edge.web import mount_web, page_for_error
from prog_kit.hosts import hosts_of
from prog_kit.settings import Settings

VERSION: Final = "1.0.0"

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app(settings: Settings, drain: Drain | None = None) -> FastAPI:
    """The edge for these settings. It connects when it starts to serve (ASGI lifespan)."""
    switch, lane = drain or Drain(), Lane()
    app = FastAPI(
        title="ProgNetwork",
        version=VERSION,
        lifespan=_lifespan(settings, switch),
        middleware=layers(settings, switch, lane),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    add_handlers(app, page_for_error)
    # As they stand, rather than through `include_router`, whose wrapping costs a tenth of a request.
    app.router.routes.extend(route for router in ROUTERS for route in router.routes)
    shorten(app.router.routes)
    pin(app.router.routes)
    index = RouteIndex(app.router.routes)
    app.router.routes.insert(0, index)
    lane.open(app, index, page_for_error)
    describe(app, ROUTERS, settings.public_url)
    mount_web(app)
    return app


def layers(settings: Settings, drain: Drain, lane: Lane | None = None) -> list[Middleware]:
    """The middleware, outermost first. Requests without a body that `lane` knows pass the first one alone."""
    return [
        Middleware(
            GatewayMiddleware,
            public_url=settings.public_url,
            trusted_proxies=settings.trusted_proxies,
            rate_form=settings.rate_limit_headers,
            drain=drain,
            log_level=settings.log_level,
            cors=Cors(settings.cors_origins, open_paths(ROUTERS)),
            hosts=hosts_of(settings),
            lane=lane,
        ),
        Middleware(CrashMiddleware, page=page_for_error),
        Middleware(BodyLimitMiddleware),
        Middleware(ContentTypeMiddleware),
        Middleware(HeadMiddleware),
    ]


def _lifespan(settings: Settings, drain: Drain) -> Lifespan:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        platform = await Platform.open(settings, drain)
        app.state.platform = platform
        app.state.web = web_services(platform)
        try:
            yield
        finally:
            await platform.close()

    return lifespan
