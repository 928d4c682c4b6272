"""The one object that the edge hands to the pages, as `app.state.web`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request

from prog_edge.web.ports.account import AccountBackend
from prog_edge.web.ports.admin import AdminBackend
from prog_edge.web.ports.analytics import AnalyticsBackend
from prog_edge.web.ports.api_keys import ApiKeysBackend
from prog_edge.web.ports.configuration import BrandingBackend, ConfigurationBackend
from prog_edge.web.ports.custom_domains import CustomDomainsBackend
from prog_edge.web.ports.directory import DirectoryBackend
from prog_edge.web.ports.exports import ExportsBackend
from prog_edge.web.ports.handover import HandoverBackend
from prog_edge.web.ports.identities import IdentitiesBackend
from prog_edge.web.ports.impersonations import ImpersonationsBackend
from prog_edge.web.ports.mailbox import MailboxBackend
from prog_edge.web.ports.profile import ProfileBackend
from prog_edge.web.ports.provider import ClientsBackend, ProviderBackend
from prog_edge.web.ports.security import SecurityBackend
from prog_edge.web.ports.shared import Sessions
from prog_edge.web.ports.sign_on import SignOnBackend
from prog_edge.web.ports.site import SiteBackend
from prog_edge.web.ports.tenancy import TenancyBackend
from prog_edge.web.ports.trail import TrailBackend


@dataclass(frozen=True, slots=True)
class WebServices:
    """`signing_key` (32 bytes or more, derived from PROG_SECRET_KEYS for this use alone) signs form tokens and
    one-time notices. `mailbox` is None in production, which takes `/dev/mailbox` away."""

    site: SiteBackend
    account: AccountBackend
    tenancy: TenancyBackend
    api_keys: ApiKeysBackend
    configuration: ConfigurationBackend
    branding: BrandingBackend
    directories: DirectoryBackend
    admin: AdminBackend
    analytics: AnalyticsBackend
    sessions: Sessions
    security: SecurityBackend
    profile: ProfileBackend
    identities: IdentitiesBackend
    handover: HandoverBackend
    provider: ProviderBackend
    clients: ClientsBackend
    sign_on: SignOnBackend
    custom_domains: CustomDomainsBackend
    exports: ExportsBackend
    trail: TrailBackend
    impersonations: ImpersonationsBackend
    signing_key: bytes
    public_url: str
    mailbox: MailboxBackend | None = None
    spend: Callable[[Request, str | None], Awaitable[None]] | None = None
    """Counts a request against the quota of the signed-in person, or of the address. Raises ProgError beyond it."""

    @property
    def secure_cookies(self) -> bool:
        return self.public_url.startswith("https://")
