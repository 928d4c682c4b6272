"""How a subscription ends: what is left of its timers and invoices, whatever the reason."""

from __future__ import annotations

from dataclasses import replace

from prog_broker.transaction import Transaction
from prog_contracts.messages import Event
from prog_workers.payments import store
from prog_workers.payments.handlers import messages, timers
from prog_workers.payments.handlers.messages import CancelReason
from prog_workers.payments.model import Invoice, Subscription
from prog_workers.payments.rules import postings


async def end(tx: Transaction, subscription: Subscription, reason: CancelReason) -> list[Event]:
    """Cancels the subscription now, stops its timers, and settles what is still open of it.

    A first invoice that was never paid is void, as its period never began. After the last dunning attempt what is owed
    is written off. When somebody cancels, an open invoice stays open for them to pay, and nobody charges it by itself.
    """
    await store.subscriptions.cancel(tx, subscription.id, tx.now, reason)
    await timers.drop_for_subscription(tx, subscription.id)
    told: list[Event] = [messages.subscription_canceled(replace(subscription, status="canceled"), reason)]
    for invoice in await store.invoices.open_of_subscription(tx, subscription.id):
        await timers.drop_for_invoice(tx, invoice.id)
        if subscription.status == "incomplete":
            told.append(await _void(tx, invoice))
        elif reason == "dunning_exhausted":
            await write_off(tx, invoice)
        else:
            await store.invoices.stop_attempts(tx, invoice.id)
    return told


async def cancel_at_period_end(tx: Transaction, subscription: Subscription) -> list[Event]:
    """Lets the subscription end with the period that was paid; one that is not paid for (incomplete, past due) ends
    now, for there is no paid period to keep. One that ends already stays as it is."""
    if subscription.status not in ("active", "trialing"):
        return await end(tx, subscription, "requested")
    if subscription.cancel_at_period_end:
        return []
    await store.subscriptions.schedule_cancellation(tx, subscription.id)
    return [messages.subscription_updated(replace(subscription, cancel_at_period_end=True), "cancel_scheduled")]


async def write_off(tx: Transaction, invoice: Invoice) -> Invoice:
    """Gives up an open invoice."""
    await store.invoices.close(tx, invoice.id, "uncollectible")
    await store.ledger.post(tx, postings.invoice_written_off(invoice.id, invoice.money(invoice.amount_due_minor)))
    return replace(invoice, status="uncollectible", next_attempt_at=None)


async def _void(tx: Transaction, invoice: Invoice) -> Event:
    await store.invoices.close(tx, invoice.id, "void")
    await store.ledger.post(tx, postings.invoice_voided(invoice.id, invoice.money(invoice.amount_due_minor)))
    return messages.invoice_voided(replace(invoice, status="void", amount_due_minor=0, next_attempt_at=None))
