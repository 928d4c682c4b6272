"""A tenant's custom domains as their page sees them, with made-up names."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from prog_contracts.custom_domains import CustomDomainStatus
from prog_contracts.errors import Conflict, Denied, Invalid
from prog_edge.web.ports import Viewer
from prog_edge.web.ports.custom_domains import CustomDomainCard, CustomDomainsView

LOOKED = datetime(2026, 11, 24, 4, tzinfo=UTC)
ACTIVE = CustomDomainCard(
    "accounts.acme.example",
    "active",
    "https://accounts.acme.example",
    "_prognetwork-host.accounts.acme.example",
    "prognetwork-verify=Qm9",
    LOOKED,
)
PROVEN = replace(
    ACTIVE,
    domain="login.acme.example",
    status="proven",
    record="_prognetwork-host.login.acme.example",
    value="prognetwork-verify=Zz7",
    problem="points_elsewhere",
    seen=("acme.pages.example",),
)
GONE = replace(
    ACTIVE,
    domain="id.acme.example",
    record="_prognetwork-host.id.acme.example",
    value="prognetwork-verify=Ab1",
    missing_since=datetime(2026, 11, 22, 4, tzinfo=UTC),
    problem="no_such_name",
)
PENDING = CustomDomainCard(
    "konten.xn--mller-kva.example",
    "pending",
    "https://konten.xn--mller-kva.example",
    "_prognetwork-host.konten.xn--mller-kva.example",
    "prognetwork-verify=3nKq8sTz0aVbWcXdYeZfGhJkLmNpQrSt",
    LOOKED,
    problem="record_different",
    seen=("prognetwork-verify=3nKq8sTz0aVbWcXdYeZfGhJkLmNpQrSs", "<b>v=spf1 -all</b>"),
)


class SampleCustomDomains:
    """Some, or none; `fresh` lets them be changed. `changes` are what was asked for."""

    def __init__(self, *, some: bool = True, fresh: bool = True) -> None:
        self.some = some
        self.fresh = fresh
        self.changes: list[tuple[str, str]] = []

    async def view(self, viewer: Viewer, tenant_id: str) -> CustomDomainsView:
        bare = CustomDomainsView(tenant_id, "Acme Industries", "app.example.com", is_address=False, limit=5, domains=[])
        return replace(bare, domains=[ACTIVE, GONE, PENDING, PROVEN]) if self.some else bare

    async def claim(self, viewer: Viewer, tenant_id: str, domain: str, *, idempotency_key: str) -> None:
        self._need_fresh()
        if "." not in domain:
            raise Invalid.field("domain", "invalid_domain", "Enter a name such as accounts.example.com.")
        self.changes.append(("claim", domain))

    async def check(self, viewer: Viewer, tenant_id: str, domain: str) -> CustomDomainStatus:
        self._need_fresh()
        if domain == PENDING.domain:
            raise Conflict("The record says something else.", code="dns_record_different")
        return "active" if domain == ACTIVE.domain else "proven"

    async def release(self, viewer: Viewer, tenant_id: str, domain: str) -> None:
        self._need_fresh()
        self.changes.append(("release", domain))

    def _need_fresh(self) -> None:
        if not self.fresh:
            raise Denied("Sign in again first.", code="fresh_sign_in_required")
