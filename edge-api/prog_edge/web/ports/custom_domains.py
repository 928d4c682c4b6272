"""What the page of a tenant's custom domains needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from prog_contracts.custom_domains import CustomDomainProblem, CustomDomainStatus
from prog_edge.web.ports.shared import Viewer


@dataclass(frozen=True, slots=True)
class CustomDomainCard:
    """A claimed host name, with the record that proves it, and what the last look at its DNS found."""

    domain: str
    status: CustomDomainStatus
    url: str
    record: str
    value: str
    looked_at: datetime | None = None
    missing_since: datetime | None = None
    problem: CustomDomainProblem | None = None
    seen: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class CustomDomainsView:
    """`target` is where names are to lead; `is_address` says that it is a number, which takes another record than a
    name."""

    tenant_id: str
    tenant_name: str
    target: str
    is_address: bool
    limit: int | None
    domains: Sequence[CustomDomainCard]


class CustomDomainsBackend(Protocol):
    """The viewer's tenants alone; `Denied` for a role that does not manage these. Each change raises Denied with code
    `fresh_sign_in_required` unless the viewer has signed in just now."""

    async def view(self, viewer: Viewer, tenant_id: str) -> CustomDomainsView: ...

    async def claim(self, viewer: Viewer, tenant_id: str, domain: str, *, idempotency_key: str) -> None: ...

    async def check(self, viewer: Viewer, tenant_id: str, domain: str) -> CustomDomainStatus:
        """Raises Conflict, which says what is wrong, while it is not proven."""
        ...

    async def release(self, viewer: Viewer, tenant_id: str, domain: str) -> None: ...
