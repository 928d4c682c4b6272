"""A tenant's sign-on as its page sees it, with made-up domains."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from prog_contracts.errors import Conflict, Denied, Invalid
from prog_edge.web.ports import Viewer
from prog_edge.web.ports.sign_on import DomainCard, SignOnView

PROVEN = DomainCard(
    "acme.example", "_prognetwork.acme.example", "prognetwork-verify=Qm9", datetime(2026, 11, 3, 10, tzinfo=UTC)
)
GONE = DomainCard(
    "acme.org", "_prognetwork.acme.org", "prognetwork-verify=Zz7", datetime(2026, 11, 3, 10, tzinfo=UTC),
    datetime(2026, 11, 24, 4, tzinfo=UTC),
)  # fmt: skip
CLAIMED = DomainCard(
    "mail.acme-industries.example",
    "_prognetwork.mail.acme-industries.example",
    "prognetwork-verify=3nKq8sTz0aVbWcXdYeZfGhJkLmNpQrSt",
    None,
)


class SampleSignOn:
    """Configured or not; `fresh` lets it be changed. `changes` are what was asked for."""

    def __init__(self, *, configured: bool = True, fresh: bool = True) -> None:
        self.configured = configured
        self.fresh = fresh
        self.changes: list[tuple[object, ...]] = []

    async def view(self, viewer: Viewer, tenant_id: str) -> SignOnView:
        bare = SignOnView(
            tenant_id, "Acme Industries", f"https://app.example.com/v1/auth/oauth/{tenant_id}/callback", []
        )
        if not self.configured:
            return bare
        return replace(bare, domains=[PROVEN, GONE, CLAIMED], issuer="https://id.acme.example", client_id="prognetwork")

    async def configure(
        self,
        viewer: Viewer,
        tenant_id: str,
        *,
        issuer: str,
        client_id: str,
        client_secret: str,
        default_role: str,
        enforced: bool,
        api_key_days: str,
        idempotency_key: str,
    ) -> None:
        self._need_fresh()
        if not issuer.startswith("https://"):
            raise Invalid.field("issuer", "provider_unusable", "The identity provider does not answer.")
        self.changes.append((issuer, client_id, client_secret, default_role, enforced, api_key_days))

    async def remove(self, viewer: Viewer, tenant_id: str) -> None:
        self._need_fresh()
        self.changes.append(("remove",))

    async def claim(self, viewer: Viewer, tenant_id: str, domain: str, *, idempotency_key: str) -> None:
        self._need_fresh()
        if "." not in domain:
            raise Invalid.field("domain", "invalid_domain", "Enter a domain such as example.com.")
        self.changes.append(("claim", domain))

    async def check(self, viewer: Viewer, tenant_id: str, domain: str) -> None:
        self._need_fresh()
        if domain != PROVEN.domain:
            raise Conflict("The record is not there yet.", code="dns_record_missing")

    async def release(self, viewer: Viewer, tenant_id: str, domain: str) -> None:
        self._need_fresh()
        self.changes.append(("release", domain))

    def _need_fresh(self) -> None:
        if not self.fresh:
            raise Denied("Sign in again first.", code="fresh_sign_in_required")
