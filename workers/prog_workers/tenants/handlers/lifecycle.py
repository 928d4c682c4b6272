"""A tenant's life: made, provisioned, renamed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from prog_broker.transaction import Transaction
from prog_contracts.actors import is_process
from prog_contracts.configuration import Configuration
from prog_contracts.inputs import clean_name, normalize_email
from prog_contracts.quotas import limits_of
from prog_contracts.tenants import CreateTenant, ProvisionTenant, RenameTenant, TenantCreated, TenantUpdated
from prog_kit.settings import TENANTS_PER_PERSON
from prog_workers.tenants import errors, rules, store
from prog_workers.tenants.handlers.domain import check_tenant, refuse, require, tenants, updated

most_a_person = TENANTS_PER_PERSON
"""How many tenants one person may have; 0 is no limit. From the settings, when a worker starts."""


@tenants.handles(CreateTenant)
async def create_tenant(command: CreateTenant, tx: Transaction) -> TenantCreated:
    """Makes the tenant and its owner; provisioning follows at once as a command of its own.

    A person has so many at most (`most_a_person`); the platform's operators and processes make as many as they like.
    """
    check_tenant(command.tenant_id, tx)
    if tx.actor is not None and not is_process(tx.actor) and tx.actor != command.owner_user_id:
        refuse(None if await store.is_operator(tx, tx.actor) else errors.not_permitted())
    name = clean_name(command.name, max_length=rules.TENANT_NAME_MAX_LENGTH)
    owner = command.model_copy(update={"owner_email": normalize_email(command.owner_email, "owner_email")})
    most = 0 if is_process(tx.actor) else most_a_person
    slug = rules.slug(name, command.tenant_id)
    inserted = await store.insert_tenant(tx, owner, name, slug, most=most)
    if inserted == "taken":
        slug = rules.slug(name, command.tenant_id, suffix_length=26)
        inserted = await store.insert_tenant(tx, owner, name, slug, most=most)
    if inserted == "too_many":
        raise errors.too_many_tenants(most)
    if inserted == "taken":
        raise errors.tenant_exists()
    tx.send(ProvisionTenant(tenant_id=command.tenant_id))
    return TenantCreated(
        tenant_id=command.tenant_id,
        name=name,
        slug=slug,
        status="provisioning",
        created_at=tx.now,
        owner_user_id=command.owner_user_id,
        owner_email=owner.owner_email,
        owner_name=command.owner_name,
    )


@tenants.handles(ProvisionTenant)
async def provision_tenant(command: ProvisionTenant, tx: Transaction) -> TenantUpdated | None:
    """Takes the steps that are not done yet. The last one opens the tenant; one that was deleted takes none."""
    check_tenant(command.tenant_id, tx)
    tenant = await store.tenant(tx)
    if tenant is None:
        raise errors.tenant_not_found()
    if tenant.status == "deleted":
        return None
    opened = False
    for step in rules.remaining(await store.steps_done(tx)):
        opened = await _STEPS[step](tx) or opened
        await store.mark_step(tx, step)
    return await updated(tx, "status") if opened else None


@tenants.handles(RenameTenant)
async def rename_tenant(command: RenameTenant, tx: Transaction) -> TenantUpdated:
    check_tenant(command.tenant_id, tx)
    await require(tx, "tenant.update")
    await store.rename(tx, clean_name(command.name, max_length=rules.TENANT_NAME_MAX_LENGTH))
    return await updated(tx, "name")


async def _configure(tx: Transaction) -> bool:
    """What a tenant begins with is the first version of its history."""
    if (await store.configured(tx, lock=True)).version == 0:
        await store.put_configuration(tx, 1, Configuration(), ())
    return False


async def _limit(tx: Transaction) -> bool:
    tenant = await store.tenant(tx)
    await store.set_limits(tx, limits_of(None if tenant is None else tenant.plan))
    return False


_STEPS: dict[rules.Step, Callable[[Transaction], Awaitable[bool]]] = {
    "configuration": _configure,
    "limits": _limit,
    "activation": store.activate,
}
