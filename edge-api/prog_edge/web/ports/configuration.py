"""What the pages about a tenant's configuration need, and how its other pages are to look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from prog_contracts.configuration import Configuration
from prog_contracts.quotas import QuotaName
from prog_contracts.tenants import TenantRole
from prog_edge.web.ports.shared import Viewer


@dataclass(frozen=True, slots=True)
class BrandView:
    """A tenant's name, logo and colours; paths are None for what it has not set."""

    name: str
    logo_path: str | None
    style_path: str | None
    support_address: str | None


@dataclass(frozen=True, slots=True)
class ChangeView:
    """A setting by its dotted name, with what it was and is."""

    setting: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class VersionView:
    """A version as the history shows it. `changed_by` is a name, or an id."""

    version: int
    changed: Sequence[str]
    changed_by: str
    changed_at: datetime
    reason: str | None
    restored_version: int | None


@dataclass(frozen=True, slots=True)
class ConfigurationView:
    """A tenant's configuration at `version`, with the newest versions. `changes` is what that one has changed.

    `current_version` is the one that holds; `may_change` says whether the viewer may change it. `api_versions` are
    those of the API that may be chosen, newest first, with what there is to say of each.
    """

    tenant_id: str
    tenant_name: str
    viewer_role: TenantRole
    version: int
    current_version: int
    configuration: Configuration
    changes: Sequence[ChangeView]
    history: Sequence[VersionView]
    may_change: bool
    logo_path: str | None = None
    api_versions: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture that came with a form."""

    content: bytes


@dataclass(frozen=True, slots=True)
class UseView:
    """One limit, and how much of it is used. `percent` is None without a limit."""

    name: QuotaName
    used: int
    limit: int | None
    percent: int | None
    resets_at: datetime | None


@dataclass(frozen=True, slots=True)
class UsageView:
    """What a tenant uses of its plan; requests a minute are those of each person and each key, None without limit."""

    tenant_id: str
    tenant_name: str
    viewer_role: TenantRole
    plan: str | None
    uses: Sequence[UseView]
    reads_per_minute: int | None
    writes_per_minute: int | None


class ConfigurationBackend(Protocol):
    """The viewer's tenants alone, all of them for the platform's operators."""

    async def view(self, viewer: Viewer, tenant_id: str, version: int | None = None) -> ConfigurationView:
        """The present version, or the one asked for. Raises NotFound for one that never was."""
        ...

    async def usage(self, viewer: Viewer, tenant_id: str) -> UsageView: ...

    async def save(
        self,
        viewer: Viewer,
        tenant_id: str,
        configuration: Configuration,
        *,
        logo: Upload | None,
        expected_version: int,
        reason: str | None,
        idempotency_key: str,
    ) -> int:
        """The version that holds now. Raises Conflict with code `version_mismatch` where somebody else was first."""
        ...

    async def roll_back(
        self,
        viewer: Viewer,
        tenant_id: str,
        version: int,
        *,
        expected_version: int,
        reason: str | None,
        idempotency_key: str,
    ) -> int: ...


class BrandingBackend(Protocol):
    async def for_member(self, viewer: Viewer, tenant_id: str) -> BrandView | None:
        """The looks of a tenant that the viewer belongs to; None for a stranger, or where nothing is set."""
        ...

    async def is_member(self, viewer: Viewer, tenant_id: str) -> bool: ...

    async def for_site(self, tenant_id: str) -> BrandView | None:
        """The looks of a tenant's pages at its own host, whoever looks; with its name at least. None for a tenant that
        is no more."""
        ...

    async def style(self, tenant_id: str, version: int) -> str | None:
        """The tenant's colours as a stylesheet; None for another version than the one that holds."""
        ...

    async def logo(self, tenant_id: str, logo_id: str) -> bytes | None: ...
