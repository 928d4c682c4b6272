"""What stands behind the pages: the ports of `prog_edge.web.ports`, with queries in and commands out."""

from __future__ import annotations

from starlette.requests import Request

from prog_edge.backend.account import Account
from prog_edge.backend.admin import Admin
from prog_edge.backend.analytics import Analytics
from prog_edge.backend.api_keys import ApiKeys
from prog_edge.backend.clients import Clients
from prog_edge.backend.configuration import Branding, Configurations
from prog_edge.backend.custom_domains import CustomDomains
from prog_edge.backend.directory import Directories
from prog_edge.backend.exports import Exports
from prog_edge.backend.handover import PasskeyHandover
from prog_edge.backend.identities import Identities
from prog_edge.backend.impersonations import Impersonations
from prog_edge.backend.mailbox import Mailbox
from prog_edge.backend.profile import Profile
from prog_edge.backend.provider import Provider
from prog_edge.backend.security import Security
from prog_edge.backend.sender import Sender
from prog_edge.backend.sessions import PageSessions
from prog_edge.backend.sign_on import SignOn
from prog_edge.backend.site import Site
from prog_edge.backend.tenancy import Tenancy
from prog_edge.backend.trail import Trail
from prog_edge.context import context_of
from prog_edge.federation import CALLBACK
from prog_edge.platform import Platform
from prog_edge.web.ports import WebServices


def web_services(platform: Platform) -> WebServices:
    """Everything that the pages use. In production there is no mailbox."""
    sender = Sender(platform.commands)
    settings = platform.settings
    keys = ApiKeys(platform, sender)

    async def spend(request: Request, user_id: str | None) -> None:
        route, context = request.scope["route"].path, context_of(request.scope)
        if route == CALLBACK and platform.federation.only_hands_on(
            request.path_params["provider"], request.query_params.get("state", "")
        ):
            await platform.rates.spend_as("reads", context, user_id, route=route)
        else:
            await platform.rates.spend(request.method, route, context, user_id)

    return WebServices(
        site=Site(platform, sender),
        account=Account(platform, sender),
        tenancy=Tenancy(platform, sender),
        api_keys=keys,
        directories=Directories(platform, sender, keys),
        configuration=Configurations(platform, sender),
        branding=Branding(platform),
        admin=Admin(platform, sender),
        analytics=Analytics(platform),
        sessions=PageSessions(platform),
        security=Security(platform, sender),
        profile=Profile(platform, sender),
        identities=Identities(platform, sender),
        handover=PasskeyHandover(platform),
        provider=Provider(platform, sender),
        clients=Clients(platform, sender),
        sign_on=SignOn(platform, sender),
        custom_domains=CustomDomains(platform, sender),
        exports=Exports(platform, sender),
        trail=Trail(platform),
        impersonations=Impersonations(platform, sender),
        signing_key=platform.signing_key,
        public_url=settings.public_url,
        mailbox=None if settings.env == "production" else Mailbox(platform),
        spend=spend,
    )
