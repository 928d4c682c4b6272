"""Customers and their cards."""

from __future__ import annotations

import asyncpg

from prog_broker.transaction import Transaction
from prog_workers.payments.gateway.port import KeptCard
from prog_workers.payments.model import Card, Customer


async def insert_customer(tx: Transaction, customer: Customer) -> bool:
    """Adds the tenant's customer; False when it has one."""
    status = await tx.execute(
        """
        INSERT INTO payments.customers (id, tenant_id, company, name, email, created_at)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant_id) DO NOTHING
        """,
        customer.id,
        tx.tenant_id,
        customer.company,
        customer.name,
        customer.email,
        tx.now,
    )
    return status == "INSERT 0 1"


async def rename_customer(tx: Transaction, *, company: str, name: str | None, email: str | None) -> None:
    """Follows the tenant's name and its owner; None leaves a field as it is."""
    await tx.execute(
        "UPDATE payments.customers SET company = $1, name = coalesce($2, name), email = coalesce($3, email)",
        company,
        name,
        email,
    )


async def customer(tx: Transaction) -> Customer | None:
    """The tenant's customer, None when it is not there yet."""
    row = await tx.fetchrow("SELECT id, company, name, email, gateway_reference FROM payments.customers")
    return None if row is None else Customer(**row)


async def keep_card(tx: Transaction, customer_id: str, card_id: str, gateway: str, kept: KeptCard) -> Card:
    """Adds a card and makes it the default one."""
    await tx.execute(
        "UPDATE payments.customers SET gateway_reference = $2 WHERE id = $1", customer_id, kept.payer_reference
    )
    await tx.execute(
        "UPDATE payments.payment_methods SET is_default = false WHERE customer_id = $1 AND is_default", customer_id
    )
    await tx.execute(
        """
        INSERT INTO payments.payment_methods
            (id, tenant_id, customer_id, gateway, gateway_reference, brand, last4, expiry_month, expiry_year,
             is_default, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, true, $10)
        """,
        card_id,
        tx.tenant_id,
        customer_id,
        gateway,
        kept.reference,
        kept.brand,
        kept.last4,
        kept.expiry_month,
        kept.expiry_year,
        tx.now,
    )
    card = await default_card(tx, customer_id)
    assert card is not None
    return card


async def default_card(tx: Transaction, customer_id: str) -> Card | None:
    row = await tx.fetchrow(
        """
        SELECT id, customer_id, gateway_reference, brand, last4, expiry_month, expiry_year, created_at
        FROM payments.payment_methods WHERE customer_id = $1 AND is_default
        """,
        customer_id,
    )
    return None if row is None else as_card(row)


def as_card(row: asyncpg.Record) -> Card:
    return Card(**row)


async def forget_cards(tx: Transaction) -> None:
    """Keeps nothing of the tenant's cards that a gateway could be asked to charge."""
    await tx.execute(
        "UPDATE payments.payment_methods SET gateway_reference = '', is_default = false WHERE tenant_id = $1",
        tx.tenant_id,
    )
    await tx.execute("UPDATE payments.customers SET gateway_reference = NULL WHERE tenant_id = $1", tx.tenant_id)
