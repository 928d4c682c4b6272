"""Billing one period of a subscription: the invoice, its posting, and the charge that follows."""

from __future__ import annotations

from dataclasses import replace

from prog_broker.transaction import Transaction
from prog_contracts.ids import new_id
from prog_contracts.payments import ChargeInvoice
from prog_workers.payments import store
from prog_workers.payments.model import Customer, Invoice, InvoiceLine, Subscription
from prog_workers.payments.rules import postings
from prog_workers.payments.rules.amounts import line_amount_minor
from prog_workers.payments.rules.periods import period


async def bill_current_period(tx: Transaction, customer: Customer, subscription: Subscription) -> Invoice:
    """Writes the final invoice of the subscription's current period and posts it. One over nothing is paid at once.

    Raises asyncpg.UniqueViolationError when the period has its invoice already.
    """
    price = subscription.price
    amount = line_amount_minor(price.model, price.unit_amount_minor, subscription.quantity)
    line = InvoiceLine(
        description=price.plan,
        quantity=1 if price.model == "flat" else subscription.quantity,
        unit_amount_minor=price.unit_amount_minor,
        amount_minor=amount,
        period_start=subscription.current_period_start,
        period_end=subscription.current_period_end,
    )
    invoice = Invoice(
        id=new_id("invoice"),
        customer_id=customer.id,
        subscription_id=subscription.id,
        number=await store.invoices.next_number(tx),
        status="open" if amount else "paid",
        plan=price.plan,
        currency=price.currency,
        total_minor=amount,
        amount_due_minor=amount,
        period_start=subscription.current_period_start,
        period_end=subscription.current_period_end,
        issued_at=tx.now,
        customer_company=customer.company,
        customer_name=customer.name,
        customer_email=customer.email,
    )
    await store.invoices.insert_invoice(tx, invoice, [line])
    if amount:
        await store.ledger.post(tx, postings.invoice_issued(invoice.id, invoice.money(amount)))
    return invoice


def first_charge(invoice: Invoice) -> list[ChargeInvoice]:
    """The command that charges a new invoice, none where nothing is due."""
    return [ChargeInvoice(invoice_id=invoice.id)] if invoice.status == "open" else []


def in_period(subscription: Subscription, index: int) -> Subscription:
    """The subscription in period number `index` after its anchor."""
    price = subscription.price
    now = period(subscription.anchor, price.interval, price.interval_count, index)
    return replace(subscription, period_index=index, current_period_start=now.start, current_period_end=now.end)
