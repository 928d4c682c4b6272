"""Every tenant is a customer of the platform, billed at its owner's address."""

from __future__ import annotations

from prog_broker.purging import purge_rows
from prog_broker.transaction import Transaction
from prog_contracts.ids import new_id
from prog_contracts.messages import Event
from prog_contracts.payments import CustomerCreated
from prog_contracts.tenants import TenantCreated, TenantDeleted, TenantDeletionRequested, TenantUpdated
from prog_workers.payments import store
from prog_workers.payments.handlers.domain import payments
from prog_workers.payments.handlers.ending import cancel_at_period_end, end
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


@payments.handles(TenantDeletionRequested)
async def stop_renewing(event: TenantDeletionRequested, tx: Transaction) -> list[Event]:
    """What is paid for stays so until the end of its period, and is not renewed; what is not paid for ends now."""
    return [
        told
        for subscription in await store.subscriptions.living(tx)
        for told in await cancel_at_period_end(tx, subscription)
    ]


@payments.handles(TenantDeleted)
async def close_account(event: TenantDeleted, tx: Transaction) -> list[Event]:
    """Nobody is billed any more. Issued invoices and the ledger stay; a tenant that had none leaves nothing."""
    told = [
        told
        for subscription in await store.subscriptions.living(tx)
        for told in await end(tx, subscription, "requested")
    ]
    if await store.invoices.was_billed(tx):
        await store.customers.forget_cards(tx)
    else:
        await purge_rows(tx, payments.tenant_rows.deleted)
    return told
