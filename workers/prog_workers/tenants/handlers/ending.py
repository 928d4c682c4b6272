"""A tenant's end, and the way back from it: suspended and resumed by operators, deleted and restored by its owners.

Deletion has a grace period on the tenant's clock. A timer ends it: then the tenant's people are out for good, what this
domain has of it goes, and `TenantDeleted` has every other domain delete what is theirs.
"""

from __future__ import annotations

from prog_broker.outcome import Outcome
from prog_broker.purging import purge_rows
from prog_broker.transaction import Transaction
from prog_contracts.errors import Invalid
from prog_contracts.ids import PLATFORM_TENANT_ID
from prog_contracts.inputs import clean_name
from prog_contracts.tenants import (
    DeleteTenant,
    PurgeTenant,
    RestoreTenant,
    ResumeTenant,
    SuspendTenant,
    TenantDeleted,
    TenantDeletionRequested,
    TenantRestored,
    TenantResumed,
    TenantSuspended,
)
from prog_workers.tenants import rules, store
from prog_workers.tenants.handlers.domain import (
    check_tenant,
    locked,
    refuse,
    require,
    require_operator,
    tell_owners,
    tenants,
)

tenants.owns(
    deleted=(
        "tenants.sign_on",
        "tenants.proven_domains",
        "tenants.domain_claims",
        "tenants.served_domains",
        "tenants.custom_domains",
        "tenants.directory_group_members",
        "tenants.directory_groups",
        "tenants.directory_addresses",
        "tenants.directory_users",
        "tenants.directories",
        "tenants.invitations",
        "tenants.members",
        "tenants.limits",
        "tenants.export_parts",
        "tenants.exports",
        "tenants.usage_marks",
        "bus.tenant_keys",
        "tenants.configs",
        "tenants.config_versions",
        "tenants.logos",
        "tenants.provisioning_steps",
    ),
    kept={"tenants.tenants": "a row without a name or address, which says that the id was a tenant's and until when"},
)

_PURGE = "purge"


@tenants.handles(SuspendTenant)
async def suspend_tenant(command: SuspendTenant, tx: Transaction) -> TenantSuspended:
    """Leaves a tenant readable and payable, and nothing else. Its owners are told why."""
    check_tenant(command.tenant_id, tx)
    await require_operator(tx)
    reason = _reason(command.reason)
    tenant = await locked(tx)
    refuse(rules.suspension_refusal(tx.tenant_id, tenant.status))
    await store.suspend(tx, reason)
    await tell_owners(tx, "tenant_suspended", tenant_id=None, tenant_name=tenant.name, reason=reason)
    return TenantSuspended(tenant_id=tx.tenant_id, name=tenant.name, reason=reason)


@tenants.handles(ResumeTenant)
async def resume_tenant(command: ResumeTenant, tx: Transaction) -> TenantResumed:
    check_tenant(command.tenant_id, tx)
    await require_operator(tx)
    tenant = await locked(tx)
    refuse(rules.resumption_refusal(tenant.status))
    await store.resume(tx)
    await tell_owners(tx, "tenant_resumed", tenant_name=tenant.name)
    return TenantResumed(tenant_id=tx.tenant_id, name=tenant.name)


@tenants.handles(DeleteTenant)
async def delete_tenant(command: DeleteTenant, tx: Transaction) -> TenantDeletionRequested:
    """Begins the grace period. The edge has asked the owner to sign in again first."""
    check_tenant(command.tenant_id, tx)
    await require(tx, "tenant.delete")
    tenant = await locked(tx)
    refuse(rules.deletion_refusal(tx.tenant_id, tenant.status))
    purge_at = tx.now + rules.DELETION_GRACE
    await store.begin_deletion(tx, purge_at)
    await tx.schedule(_PURGE, PurgeTenant(tenant_id=tx.tenant_id), purge_at)
    await tell_owners(tx, "tenant_deletion_requested", tenant_name=tenant.name, purge_at=purge_at)
    return TenantDeletionRequested(tenant_id=tx.tenant_id, name=tenant.name, purge_at=purge_at)


@tenants.handles(RestoreTenant)
async def restore_tenant(command: RestoreTenant, tx: Transaction) -> TenantRestored:
    """Takes the deletion back: the tenant is what it was, suspended if it was that."""
    check_tenant(command.tenant_id, tx)
    await require(tx, "tenant.delete")
    tenant = await locked(tx)
    refuse(rules.restoration_refusal(tenant.status))
    status = await store.restore(tx)
    await tx.unschedule(_PURGE)
    await tell_owners(tx, "tenant_restored", tenant_name=tenant.name)
    return TenantRestored(tenant_id=tx.tenant_id, name=tenant.name, status=status)


@tenants.handles(PurgeTenant)
async def purge_tenant(command: PurgeTenant, tx: Transaction) -> Outcome:
    """Ends the grace period. Told early, it comes again; told for a tenant that was restored, or twice, it does
    nothing. The owners' last mail is the platform's, for the tenant's own mails go."""
    check_tenant(command.tenant_id, tx)
    tenant = await locked(tx)
    due = rules.is_to_be_purged(tenant.status, tenant.purge_at, tx.now)
    if due is None:
        return None
    if not due:
        assert tenant.purge_at is not None
        await tx.schedule(_PURGE, command, tenant.purge_at)
        return None
    await tell_owners(tx, "tenant_deleted", PLATFORM_TENANT_ID, tenant_name=tenant.name)
    await store.bury(tx, rules.DELETED_NAME, f"deleted-{tx.tenant_id.removeprefix('tenant_')}")
    while await purge_rows(tx, tenants.tenant_rows.deleted):
        pass
    return TenantDeleted(tenant_id=tx.tenant_id)


def _reason(text: str) -> str:
    try:
        return clean_name(text, "reason", max_length=rules.REASON_MAX_LENGTH)
    except Invalid as error:
        raise Invalid.field("reason", error.fields[0].code, "Say why, in 500 characters at most.") from None
