"""What the page about a tenant's directory needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from prog_contracts.directory import DefaultRole, MappedRole
from prog_edge.web.ports.api_keys import ApiKeyCard
from prog_edge.web.ports.shared import Viewer


@dataclass(frozen=True, slots=True)
class DirectoryGroupCard:
    """A group of the identity provider; `role` is what it gives its people."""

    id: str
    name: str
    role: MappedRole | None
    members: int


@dataclass(frozen=True, slots=True)
class DirectoryView:
    """Where the provider sends users and groups, with which keys, and what came of it.

    `may_make_key` is false for staff, who are no members: a key works within its maker's role.
    """

    tenant_id: str
    tenant_name: str
    scim_url: str
    default_role: DefaultRole
    users: int
    active: int
    joined: int
    groups: Sequence[DirectoryGroupCard]
    keys: Sequence[ApiKeyCard]
    may_make_key: bool


class DirectoryBackend(Protocol):
    """The viewer's tenants alone; `Denied` for a role that does not manage the directory."""

    async def directory(self, viewer: Viewer, tenant_id: str) -> DirectoryView: ...

    async def set_default(self, viewer: Viewer, tenant_id: str, *, role: DefaultRole, idempotency_key: str) -> None: ...

    async def map_group(
        self, viewer: Viewer, tenant_id: str, group_id: str, *, role: MappedRole | None, idempotency_key: str
    ) -> str:
        """The group's name."""
        ...
