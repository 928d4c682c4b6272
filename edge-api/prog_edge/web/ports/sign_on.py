"""What the page of a tenant's sign-on needs: the provider, and the domains that it speaks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from prog_contracts.sign_on import SignOnRole
from prog_edge.web.ports.shared import Viewer


@dataclass(frozen=True, slots=True)
class DomainCard:
    """A claimed domain, with the record that proves it; `missing_since` where that of a proven one is gone."""

    domain: str
    record: str
    value: str
    proven_at: datetime | None
    missing_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class SignOnView:
    """`issuer` None is without sign-on. The secret is never shown."""

    tenant_id: str
    tenant_name: str
    redirect_uri: str
    domains: Sequence[DomainCard]
    issuer: str | None = None
    client_id: str | None = None
    default_role: SignOnRole = "member"
    enforced: bool = False
    api_key_days: int | None = None


class SignOnBackend(Protocol):
    """The viewer's tenants alone; `Denied` for a role that does not manage sign-on. Each change raises Denied with code
    `fresh_sign_in_required` unless the viewer has signed in just now."""

    async def view(self, viewer: Viewer, tenant_id: str) -> SignOnView: ...

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
    ) -> None: ...

    async def remove(self, viewer: Viewer, tenant_id: str) -> None: ...

    async def claim(self, viewer: Viewer, tenant_id: str, domain: str, *, idempotency_key: str) -> None: ...

    async def check(self, viewer: Viewer, tenant_id: str, domain: str) -> None:
        """Raises Conflict when the record is not there."""
        ...

    async def release(self, viewer: Viewer, tenant_id: str, domain: str) -> None: ...
