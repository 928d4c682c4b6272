"""Messages about taking data along: a person's own, and a tenant's."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from prog_contracts.ids import ExportId, SessionId, TenantId, UserId
from prog_contracts.messages import Command, Event, command, event


@command("prognetwork.users.export_user", key="user_id")
class ExportUser(Command):
    """Allow a person to take their data along, who has signed in just now. The edge makes the file as it sends it."""

    user_id: UserId
    by_session_id: SessionId
    client_address: str | None = None


@event("prognetwork.users.user_exported", key="user_id")
class UserExported(Event):
    """A person was given a file of all that there is of them."""

    user_id: UserId
    by_session_id: SessionId
    exported_at: datetime
    client_address: str | None = None


# -- tenants -----------------------------------------------------------------------------------------------------------


@command("prognetwork.tenants.export_tenant", key="tenant_id", subject="export_id")
class ExportTenant(Command):
    """Begin an export of all that is the tenant's. The one before ends. Owners alone; the edge has asked for a fresh
    sign-in."""

    tenant_id: TenantId
    export_id: ExportId


@command("prognetwork.tenants.collect_tenant_export", key="tenant_id", subject="export_id")
class CollectTenantExport(Command):
    """Collect the next rows of an export that runs; it is sent again until all of them are there."""

    tenant_id: TenantId
    export_id: ExportId


@command("prognetwork.tenants.fetch_tenant_export", key="tenant_id", subject="export_id")
class FetchTenantExport(Command):
    """Allow an owner to fetch an export that is ready, who has signed in just now."""

    tenant_id: TenantId
    export_id: ExportId


@command("prognetwork.tenants.expire_tenant_export", key="tenant_id", subject="export_id")
class ExpireTenantExport(Command):
    """A timer: what was collected for an export is deleted."""

    tenant_id: TenantId
    export_id: ExportId


@event("prognetwork.tenants.tenant_export_requested", key="tenant_id", subject="export_id")
class TenantExportRequested(Event):
    tenant_id: TenantId
    export_id: ExportId
    requested_by: UserId
    requested_at: datetime


@event("prognetwork.tenants.tenant_export_ready", key="tenant_id", subject="export_id")
class TenantExportReady(Event):
    """An export can be fetched until `expires_at`, on the tenant's clock. `bytes` is without compression."""

    tenant_id: TenantId
    export_id: ExportId
    rows: int
    bytes: int
    ready_at: datetime
    expires_at: datetime


@event("prognetwork.tenants.tenant_export_failed", key="tenant_id", subject="export_id")
class TenantExportFailed(Event):
    """An export came to no file, and what was collected for it is deleted."""

    tenant_id: TenantId
    export_id: ExportId
    reason: Literal["too_large"]
    limit_bytes: int
    failed_at: datetime


@event("prognetwork.tenants.tenant_export_fetched", key="tenant_id", subject="export_id")
class TenantExportFetched(Event):
    """An owner was given the file."""

    tenant_id: TenantId
    export_id: ExportId
    fetched_by: UserId
    fetched_at: datetime


@event("prognetwork.tenants.tenant_export_expired", key="tenant_id", subject="export_id")
class TenantExportExpired(Event):
    """What was collected for an export is deleted: its time is over, another began, or somebody whom it names has had
    their account deleted."""

    tenant_id: TenantId
    export_id: ExportId
    reason: Literal["over", "replaced", "erasure"]
