"""The domain object, and what its use cases share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from prog_broker.domain import Domain
from prog_broker.transaction import Transaction
from prog_contracts.actors import is_by_themselves, is_process
from prog_contracts.directory import Versions
from prog_contracts.email import SendMail, Template
from prog_contracts.errors import ProgError
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_contracts.permissions import Action, allowed, closed, possible
from prog_contracts.tenants import TenantRole, TenantUpdated
from prog_workers.tenants import errors, rules, store

tenants = Domain("tenants")

PLATFORM_NAME: Final = "ProgNetwork"


def check_tenant(tenant_id: str, tx: Transaction) -> None:
    if tenant_id != tx.tenant_id:
        raise errors.wrong_tenant()


def check_customer(tenant_id: str, tx: Transaction) -> None:
    """`check_tenant`, for what the platform's own tenant does not have: whoever became a member of it by a provider or
    a directory would see what happens on the platform."""
    check_tenant(tenant_id, tx)
    if tenant_id == PLATFORM_TENANT_ID:
        raise errors.customers_alone()


def refuse(refusal: ProgError | None) -> None:
    if refusal is not None:
        raise refusal


def role_of(tx: Transaction, actor: store.Actor) -> TenantRole | None:
    """The role in which the sender acts; the platform's own processes act as owners. An office gives a key nothing, nor
    whoever acts in somebody else's name."""
    if is_process(tx.actor):
        return "owner"
    return rules.effective_role(actor.member_role, actor.staff_role if is_by_themselves(tx.actor) else None)


async def require(tx: Transaction, action: Action) -> TenantRole:
    """The actor's role. Refuses an actor who may not do this here; to a stranger the tenant does not exist."""
    role = role_of(tx, await store.actor(tx))
    tenant = None if role is None else await store.tenant(tx)
    if role is None or tenant is None:
        raise errors.tenant_not_found()
    if not allowed(role, action, rules.scopes_of(tx.actor)):
        raise errors.not_permitted()
    if not possible(tenant.status, action):
        raise closed(tenant.status)
    return role


async def require_operator(tx: Transaction) -> None:
    """Refuses everybody but the platform's operators and processes, and keys of operators; to a stranger the tenant
    does not exist."""
    if is_process(tx.actor):
        return
    actor = await store.actor(tx)
    if actor.staff_role is None and actor.member_role is None:
        raise errors.tenant_not_found()
    if actor.staff_role != "operator" or not is_by_themselves(tx.actor):
        raise errors.not_permitted()


async def locked(tx: Transaction) -> store.Tenant:
    """The tenant, locked until the transaction ends. Raises NotFound."""
    tenant = await store.lock_tenant(tx)
    if tenant is None:
        raise errors.tenant_not_found()
    return tenant


async def begin_directory_change(tx: Transaction, tenant_id: str) -> TenantRole:
    """The role of whoever keeps the directory. Changes of one tenant's directory wait for each other.

    Over people a key for it has its maker's rights: the tenant has made it to have them added and removed.
    """
    check_customer(tenant_id, tx)
    role = await require(tx, "scim.manage")
    await locked(tx)
    return role


def require_version(if_match: Versions | None, version: int) -> None:
    """Refuses a change of another version than those that its sender knows of; None knows of any."""
    if if_match is not None and not {"*", str(version)} & set(if_match):
        raise errors.entry_changed()


async def tell_owners(tx: Transaction, template: Template, tenant_id: str | None = None, **data: object) -> None:
    """Mails every owner, under the tenant itself or under `tenant_id`."""
    _tell(tx, await store.owners(tx), template, tenant_id, data)


async def tell_managers(tx: Transaction, template: Template, **data: object) -> None:
    """Mails every owner and admin."""
    _tell(tx, await store.managers(tx), template, None, data)


def _tell(
    tx: Transaction, people: Sequence[store.Member], template: Template, tenant_id: str | None, data: dict[str, object]
) -> None:
    for person in people:
        mail = SendMail(mail_id=new_id("mail"), template=template, to=person.email, to_name=person.name, data=data)
        tx.send(mail, tenant_id=tenant_id)


async def updated(tx: Transaction, *changed: str) -> TenantUpdated:
    tenant = await store.tenant(tx)
    assert tenant is not None
    return TenantUpdated(
        tenant_id=tx.tenant_id,
        name=tenant.name,
        status=tenant.status,
        changed=changed,
        owner_email=tenant.owner_email,
        owner_name=tenant.owner_name,
    )
