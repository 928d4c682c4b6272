"""Which pages are served at a tenant's own host, and to whom (infra/adr/0032-custom-domains.md).

Whoever has the DNS of a host can have its visitors come to another server, and so see what they type there and the
cookies they bring. So there is the way in, and the daily business of that tenant, for its members. What is a person's
own, and what gives anybody access for longer, is at the platform's host alone.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

from prog_contracts.errors import Denied, NotFound
from prog_edge.context import context_of
from prog_edge.web.ui.state import services, web_state

ELSEWHERE: Final = "at_the_platform"
NOT_A_MEMBER: Final = "not_a_member"

WAY_IN: Final = frozenset(
    {
        ("GET", "/account/sign-in"),
        ("POST", "/account/sign-in"),
        ("GET", "/account/sign-in/second-step"),
        ("POST", "/account/sign-in/second-step"),
        ("POST", "/account/sign-out"),
        ("GET", "/account/forgot-password"),
        ("POST", "/account/forgot-password"),
        ("GET", "/account/reset-password"),
        ("POST", "/account/reset-password"),
        ("GET", "/account/sign-in-link"),
        ("POST", "/account/sign-in-link"),
        ("GET", "/account/sign-in-link/open"),
        ("POST", "/account/sign-in-link/open"),
        ("GET", "/account/sign-up"),
        ("POST", "/account/sign-up"),
        ("GET", "/account/check-your-mail"),
        ("POST", "/account/check-your-mail"),
        ("GET", "/account/verify"),
        ("POST", "/account/verify"),
        ("GET", "/account/invitations/accept"),
        ("POST", "/account/invitations/accept"),
        ("GET", "/account/sign-in/organisation"),
        ("POST", "/account/sign-in/organisation"),
        ("GET", "/account/sign-in/prove"),
        ("POST", "/account/sign-in/prove"),
        ("GET", "/account/passkey/ask"),
        ("GET", "/account/passkey/answer"),
        ("GET", "/v1/auth/oauth/{provider}/start"),
        ("GET", "/v1/auth/oauth/{provider}/callback"),
        ("POST", "/theme"),
    }
)
"""For whoever is not a member, or not yet."""

FOR_MEMBERS: Final = frozenset(
    {
        ("GET", "/account"),
        ("GET", "/account/sign-in/again"),
        ("POST", "/account/sign-in/again"),
        ("GET", "/account/tenants/{tenant_id}"),
        ("POST", "/account/tenants/{tenant_id}/name"),
        ("POST", "/account/tenants/{tenant_id}/invitations"),
        ("POST", "/account/tenants/{tenant_id}/invitations/{invitation_id}/resend"),
        ("POST", "/account/tenants/{tenant_id}/invitations/{invitation_id}/revoke"),
        ("GET", "/account/tenants/{tenant_id}/members/{user_id}"),
        ("POST", "/account/tenants/{tenant_id}/members/{user_id}/role"),
        ("POST", "/account/tenants/{tenant_id}/members/{user_id}/remove"),
        ("GET", "/account/tenants/{tenant_id}/billing"),
        ("POST", "/account/tenants/{tenant_id}/subscription"),
        ("POST", "/account/tenants/{tenant_id}/subscription/cancel"),
        ("POST", "/account/tenants/{tenant_id}/card"),
        ("GET", "/account/tenants/{tenant_id}/invoices/{invoice_id}.pdf"),
        ("GET", "/account/tenants/{tenant_id}/usage"),
        ("GET", "/account/tenants/{tenant_id}/settings"),
        ("POST", "/account/tenants/{tenant_id}/settings"),
        ("GET", "/account/tenants/{tenant_id}/settings/versions/{version}"),
        ("POST", "/account/tenants/{tenant_id}/settings/versions/{version}/restore"),
    }
)
"""Of the host's tenant alone."""


def comes_back(request: Request) -> bool:
    """Whether what is begun at this host, and done elsewhere, comes back to it: with passkeys, which are asked at the
    platform's host, and other identity providers. To a tenant's own it does once that leads here."""
    site = context_of(request.scope).site
    return site is None or site.is_active


def passkeys_elsewhere() -> NotFound:
    return NotFound("Your second factor is a passkey, which works at the platform's own address.", code=ELSEWHERE)


async def require_served(request: Request) -> None:
    """Raises NotFound for a page that is not served at this host, and Denied with code `not_a_member` for one that is
    not for the viewer. At the platform's own host it lets everybody go on."""
    context = context_of(request.scope)
    site, viewer = context.site, web_state(request).viewer
    if site is None:
        return
    page = ("GET" if request.method == "HEAD" else request.method, request.scope["route"].path)
    if page in WAY_IN:
        return
    if page not in FOR_MEMBERS:
        raise NotFound("This page is at the platform's own address.", code=ELSEWHERE)
    if request.path_params.get("tenant_id", site.tenant_id) != site.tenant_id:
        raise NotFound("There is nothing at this address.")
    if viewer is not None and not await services(request).branding.is_member(viewer, site.tenant_id):
        context.turn_away(NOT_A_MEMBER, site.tenant_id, is_member=False)
        raise Denied("Your account is no member of the team whose pages are here.", code=NOT_A_MEMBER)
