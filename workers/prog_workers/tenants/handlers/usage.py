"""How much of its limits a tenant uses, as far as its owners are told of it."""

from __future__ import annotations

from prog_broker.transaction import Transaction
from prog_contracts.quotas import QuotaName, reached
from prog_contracts.tenants import NoteUsage, UsageWarned
from prog_workers.tenants import store
from prog_workers.tenants.handlers.domain import check_tenant, tell_owners, tenants


@tenants.handles(NoteUsage)
async def note_usage(command: NoteUsage, tx: Transaction) -> UsageWarned | None:
    check_tenant(command.tenant_id, tx)
    return await warn_owners(tx, command.quota, command.limit, command.used, command.period)


async def warn_owners(
    tx: Transaction, quota: QuotaName, limit: int | None, used: int, period: str = ""
) -> UsageWarned | None:
    """Mails the owners when a mark was reached for the first time in this period, under this limit."""
    percent = reached(limit, used)
    tenant = None if percent is None else await store.tenant(tx)
    if percent is None or limit is None or tenant is None or tenant.status == "deleted":
        return None
    if not await store.note_mark(tx, quota, period, limit, percent):
        return None
    await tell_owners(
        tx, "usage_warning", tenant_name=tenant.name, quota=quota, percent=percent, used=used, limit=limit
    )
    return UsageWarned(tenant_id=tx.tenant_id, quota=quota, percent=percent, used=used, limit=limit)
