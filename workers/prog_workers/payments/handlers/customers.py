"""Every tenant is a customer of the platform, billed at its owner's address."""

from __future__ import annotations

from prog_broker.transaction import Transaction
from prog_contracts.ids import new_id
from prog_contracts.messages import Event
from prog_contracts.payments import CustomerCreated
from prog_contracts.tenants import TenantCreated, TenantDeleted, TenantUpdated
from prog_workers.payments import store
from prog_workers.payments.handlers.domain import payments
from prog_workers.payments.handlers.ending import end
from prog_workers.payments.model import Customer


@payments.handles(TenantCreated)
async def open_account(event: TenantCreated, tx: Transaction) -> CustomerCreated | None:
    """The new tenant's customer; a second telling finds it there."""
    customer = Customer(
        id=new_id("customer"),
        company=event.name,
        name=event.owner_name,
        email=event.owner_email,
        gateway_reference=None,
    )
    if not await store.customers.insert_customer(tx, customer):
        return None
    return CustomerCreated(customer_id=customer.id, name=customer.name, email=customer.email)


@payments.handles(TenantUpdated)
async def follow_tenant(event: TenantUpdated, tx: Transaction) -> None:
    """Later invoices are addressed to the new name or owner; those written stay as they are."""
    await store.customers.rename_customer(tx, company=event.name, name=event.owner_name, email=event.owner_email)


@payments.handles(TenantDeleted)
async def close_account(event: TenantDeleted, tx: Transaction) -> list[Event]:
    """Nobody is billed any more; invoices and the ledger stay."""
    return [
        told
        for subscription in await store.subscriptions.living(tx)
        for told in await end(tx, subscription, "requested")
    ]
