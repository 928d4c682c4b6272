"""What the pages about a tenant's API keys need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from prog_contracts.permissions import Action
from prog_edge.web.ports.shared import Viewer


@dataclass(frozen=True, slots=True)
class ApiKeyCard:
    """A key as the list shows it. `hint` are the first characters of its secret; `maker` is a name, or an id."""

    id: str
    name: str
    hint: str
    scopes: Sequence[str]
    status: Literal["active", "expired", "revoked"]
    maker: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    rolled: bool


@dataclass(frozen=True, slots=True)
class ApiKeysView:
    """The keys of a tenant, newest first; all that are good are among them.

    `scopes` are those that the viewer may give a new one; staff none.
    """

    tenant_id: str
    tenant_name: str
    keys: Sequence[ApiKeyCard]
    scopes: Sequence[Action]


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A key that was just made; `text` is shown this once."""

    id: str
    name: str
    text: str
    expires_at: datetime | None


class ApiKeysBackend(Protocol):
    """The viewer's tenants alone; `Denied` for a role that does not manage keys."""

    async def keys(self, viewer: Viewer, tenant_id: str) -> ApiKeysView: ...

    async def make(
        self,
        viewer: Viewer,
        tenant_id: str,
        *,
        name: str,
        scopes: Sequence[str],
        days: int | None,
        idempotency_key: str,
    ) -> MadeKey:
        """`days` is how long it lives; None is for ever. Raises Conflict when the form made a key before."""
        ...

    async def roll(
        self, viewer: Viewer, tenant_id: str, key_id: str, *, grace_hours: int, idempotency_key: str
    ) -> MadeKey: ...

    async def revoke(self, viewer: Viewer, tenant_id: str, key_id: str, *, idempotency_key: str) -> str:
        """The name of the key."""
        ...
