"""A tenant takes its data along: all rows that are its own, of every domain, as lines of JSON that its owners fetch.

They are collected in steps, each a transaction: whatever is killed, the next step begins where the last one ended. What
no export holds is named in `rules.exporting`, and the database gives it to no export (`bus.let_tenants_export`).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final

from prog_broker.transaction import Transaction
from prog_contracts.email import Template
from prog_contracts.erasure import Person
from prog_contracts.exports import (
    CollectTenantExport,
    ExpireTenantExport,
    ExportTenant,
    FetchTenantExport,
    TenantExportExpired,
    TenantExportFailed,
    TenantExportFetched,
    TenantExportReady,
    TenantExportRequested,
)
from prog_contracts.messages import Event
from prog_kit.settings import TENANT_EXPORT_MIB
from prog_workers.tenants import errors, store
from prog_workers.tenants.handlers.domain import check_customer, check_tenant, locked, require, tell_owners, tenants

KEPT_FOR: Final = timedelta(days=3)
INTERVAL_SECONDS: Final = 600.0
STANDS_STILL_SECONDS: Final = 3600.0
"""An export that has not come on for so long may be replaced."""
PART_BYTES: Final = 1 << 20
STEP_BYTES: Final = 8 << 20

largest_bytes = TENANT_EXPORT_MIB << 20
"""How large an export may become; 0 is no limit. From the settings, when a worker starts."""

SOMEBODY: Final = "Somebody who is no member any more"


@tenants.handles(ExportTenant)
async def export_tenant(command: ExportTenant, tx: Transaction) -> list[Event]:
    """Begins one, in place of the one before."""
    check_customer(command.tenant_id, tx)
    owner = await _require_owner(tx)
    await locked(tx)
    before = await store.live_export(tx)
    if before is not None:
        if before.status == "running" and before.idle_seconds < STANDS_STILL_SECONDS:
            raise errors.export_running()
        if before.status == "ready" and before.idle_seconds < INTERVAL_SECONDS:
            raise errors.tenant_exported_just_now()
        await store.expire_export(tx, before.export_id)
        await tx.unschedule(_timer(before.export_id))
    if await store.has_failed_within(tx, INTERVAL_SECONDS):
        raise errors.export_too_large()
    if not await store.insert_export(tx, command.export_id, owner):
        raise errors.export_exists()
    tx.send(CollectTenantExport(tenant_id=tx.tenant_id, export_id=command.export_id))
    told: list[Event] = [
        TenantExportRequested(
            tenant_id=tx.tenant_id, export_id=command.export_id, requested_by=owner, requested_at=tx.now
        )
    ]
    if before is not None:
        told.append(TenantExportExpired(tenant_id=tx.tenant_id, export_id=before.export_id, reason="replaced"))
    return told


@tenants.handles(CollectTenantExport)
async def collect_tenant_export(
    command: CollectTenantExport, tx: Transaction
) -> CollectTenantExport | TenantExportReady | TenantExportFailed | None:
    """A step, so that no transaction is long; it sends itself again while there is more. What grows too large ends."""
    check_tenant(command.tenant_id, tx)
    export = await store.live_export(tx)
    if export is None or export.export_id != command.export_id or export.status != "running":
        return None
    tables = await store.exported_tables(tx)
    room = STEP_BYTES
    for place, table in enumerate(tables):
        if table.name < export.at_table or (table.name == export.at_table and export.after is None):
            continue  # all of it is there
        more = True
        while more:
            if room <= 0:
                await store.move_export(tx, export, tables_done=place, tables_all=len(tables))
                return command
            before = export
            export = await _with_next_part(tx, export, table)
            if 0 < largest_bytes < export.byte_count:
                return await _end_as_too_large(tx, export)
            room -= export.byte_count - before.byte_count
            more = export.after is not None
    await store.move_export(tx, export, tables_done=len(tables), tables_all=len(tables))
    return await _finish(tx, export)


@tenants.handles(FetchTenantExport)
async def fetch_tenant_export(command: FetchTenantExport, tx: Transaction) -> TenantExportFetched:
    """Whether somebody is an owner is asked here, at the time of fetching, and not when the export was made."""
    check_tenant(command.tenant_id, tx)
    owner = await _require_owner(tx)
    if not await store.note_fetched(tx, command.export_id):
        raise errors.export_not_ready()
    return TenantExportFetched(tenant_id=tx.tenant_id, export_id=command.export_id, fetched_by=owner, fetched_at=tx.now)


@tenants.handles(ExpireTenantExport)
async def expire_tenant_export(command: ExpireTenantExport, tx: Transaction) -> TenantExportExpired | None:
    check_tenant(command.tenant_id, tx)
    if not await store.expire_export(tx, command.export_id):
        return None
    return TenantExportExpired(tenant_id=tx.tenant_id, export_id=command.export_id, reason="over")


async def end_exports_naming(tx: Transaction, person: Person) -> None:
    """Of whoever is forgotten no export tells any more, whichever tenant's."""
    for tenant_id, export_id in await store.expire_exports_naming(tx, person.user_id, person.email):
        expired = TenantExportExpired(tenant_id=tenant_id, export_id=export_id, reason="erasure")
        tx.send(expired, tenant_id=tenant_id)


async def _with_next_part(tx: Transaction, export: store.Export, table: store.ExportedTable) -> store.Export:
    """Collects the next rows of a table; the export as it is then."""
    after = export.after if table.name == export.at_table else None
    lines = await store.read_lines(tx, table, after, PART_BYTES)
    number = export.part_count + 1
    await store.add_export_part(tx, export.export_id, number, table.name, lines.content, lines.rows)
    return replace(
        export,
        at_table=table.name,
        after=lines.after,
        part_count=number,
        row_count=export.row_count + lines.rows,
        byte_count=export.byte_count + len(lines.content),
    )


async def _end_as_too_large(tx: Transaction, export: store.Export) -> TenantExportFailed:
    await store.fail_export(tx, export, "too_large")
    await _tell_owners(tx, export, "tenant_export_failed", limit_mib=largest_bytes >> 20)
    return TenantExportFailed(
        tenant_id=tx.tenant_id,
        export_id=export.export_id,
        reason="too_large",
        limit_bytes=largest_bytes,
        failed_at=tx.now,
    )


async def _finish(tx: Transaction, export: store.Export) -> TenantExportReady:
    expires_at = tx.now + KEPT_FOR
    await store.finish_export(tx, export.export_id, expires_at)
    expiry = ExpireTenantExport(tenant_id=tx.tenant_id, export_id=export.export_id)
    await tx.schedule(_timer(export.export_id), expiry, expires_at)
    await _tell_owners(tx, export, "tenant_export_ready", expires_at=expires_at)
    return TenantExportReady(
        tenant_id=tx.tenant_id,
        export_id=export.export_id,
        rows=export.row_count,
        bytes=export.byte_count,
        ready_at=tx.now,
        expires_at=expires_at,
    )


async def _tell_owners(tx: Transaction, export: store.Export, template: Template, **data: object) -> None:
    tenant, asker = await store.tenant(tx), await store.member(tx, export.requested_by)
    assert tenant is not None
    requested_by = SOMEBODY if asker is None else asker.name
    await tell_owners(tx, template, None, tenant_name=tenant.name, requested_by=requested_by, **data)


def _timer(export_id: str) -> str:
    return f"expire:{export_id}"


async def _require_owner(tx: Transaction) -> str:
    """The owner who acts: a member, and nobody of the platform's staff, for the data are the tenant's."""
    await require(tx, "tenant.export")
    if (await store.actor(tx)).member_role != "owner" or tx.actor is None:
        raise errors.not_permitted()
    return tx.actor
