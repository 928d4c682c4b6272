"""Puts the clients into the edge's application."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from prog_contracts.errors import ProgError
from prog_edge.web.account.client_routes import router as client_router
from prog_edge.web.account.configuration_routes import router as configuration_router
from prog_edge.web.account.custom_domain_routes import router as custom_domain_router
from prog_edge.web.account.deletion_routes import router as deletion_router
from prog_edge.web.account.directory_routes import router as directory_router
from prog_edge.web.account.ending_routes import router as ending_router
from prog_edge.web.account.export_routes import router as export_router
from prog_edge.web.account.handover_routes import router as handover_router
from prog_edge.web.account.identity_routes import oauth_router
from prog_edge.web.account.identity_routes import router as identity_router
from prog_edge.web.account.impersonation_routes import router as impersonation_router
from prog_edge.web.account.key_routes import router as key_router
from prog_edge.web.account.passkey_routes import router as passkey_router
from prog_edge.web.account.people_routes import router as people_router
from prog_edge.web.account.profile_routes import router as profile_router
from prog_edge.web.account.provider_routes import router as provider_router
from prog_edge.web.account.recovery_routes import router as recovery_router
from prog_edge.web.account.routes import router as account_router
from prog_edge.web.account.second_step_routes import router as second_step_router
from prog_edge.web.account.security_routes import router as security_router
from prog_edge.web.account.session_routes import router as session_router
from prog_edge.web.account.sign_on_routes import router as sign_on_router
from prog_edge.web.account.tenant_routes import router as tenant_router
from prog_edge.web.account.trail_routes import router as trail_router
from prog_edge.web.account.usage_routes import router as usage_router
from prog_edge.web.admin.analytics_routes import router as analytics_router
from prog_edge.web.admin.configuration_routes import router as admin_configuration_router
from prog_edge.web.admin.impersonation_routes import router as admin_impersonation_router
from prog_edge.web.admin.live_routes import router as live_router
from prog_edge.web.admin.replay_routes import router as replay_router
from prog_edge.web.admin.routes import router as admin_router
from prog_edge.web.admin.tenant_routes import router as admin_tenant_router
from prog_edge.web.admin.user_routes import router as admin_user_router
from prog_edge.web.avatars.routes import router as avatar_router
from prog_edge.web.brand.routes import router as brand_router
from prog_edge.web.mailbox.routes import router as mailbox_router
from prog_edge.web.site.routes import router as site_router
from prog_edge.web.ui.assets import BUILT, URL_PREFIX, BuiltFiles
from prog_edge.web.ui.errors import error_page, wants_page
from prog_edge.web.ui.routing import enter, leave

ROUTERS = (
    site_router,
    account_router,
    second_step_router,
    profile_router,
    security_router,
    passkey_router,
    recovery_router,
    session_router,
    handover_router,
    identity_router,
    oauth_router,
    tenant_router,
    people_router,
    key_router,
    configuration_router,
    usage_router,
    trail_router,
    client_router,
    provider_router,
    sign_on_router,
    custom_domain_router,
    directory_router,
    deletion_router,
    ending_router,
    export_router,
    impersonation_router,
    admin_router,
    admin_tenant_router,
    admin_user_router,
    admin_impersonation_router,
    admin_configuration_router,
    analytics_router,
    avatar_router,
    brand_router,
    live_router,
    replay_router,
    mailbox_router,
)


def mount_web(app: FastAPI) -> None:
    """Adds pages and static files. Include the API's routers first: nothing here overlaps with them."""
    app.mount(URL_PREFIX, BuiltFiles(directory=BUILT, check_dir=False), name="static")
    # As they stand: `include_router` makes each page anew at an application's first request, which took 0.1 s of it.
    app.router.routes.extend(route for router in ROUTERS for route in router.routes)


async def page_for_error(request: Request, error: ProgError, status: int) -> Response | None:
    """The error as a page when a browser asked for one, else None: the API answers with problem+json.

    For the application's exception handlers: unknown addresses (404), wrong methods (405) and crashes (500).
    """
    if not wants_page(request):
        return None
    await enter(request, anonymous=status >= 500)
    return leave(request, error_page(request, error, status=status))
