"""What follows from the outcome of a charge: paid and active, or past due and tried again, or given up."""

from __future__ import annotations

from dataclasses import replace

from prog_broker.transaction import Transaction
from prog_contracts.messages import Event
from prog_contracts.payments import FailureReason
from prog_workers.payments import store
from prog_workers.payments.gateway.port import ChargeResult
from prog_workers.payments.handlers import messages, timers
from prog_workers.payments.handlers.ending import end
from prog_workers.payments.model import Invoice, Payment, Subscription
from prog_workers.payments.rules import dunning, postings


async def settle_charge(tx: Transaction, payment: Payment, result: ChargeResult) -> list[Event]:
    """Records the outcome of an attempt and tells it; nothing when it was recorded before."""
    invoice = await store.invoices.invoice(tx, payment.invoice_id)
    assert invoice is not None
    hard = result.failure is not None and dunning.is_hard(result.failure)
    if not await store.payments.settle(tx, payment.id, result.reference, result.failure, hard=hard):
        return []
    subscription = None
    if invoice.subscription_id is not None:
        subscription = await store.subscriptions.subscription(tx, invoice.subscription_id)
    if result.failure is None:
        return await _paid(tx, payment, invoice, subscription)
    return await _failed(tx, payment, result.failure, invoice, subscription)


async def _paid(tx: Transaction, payment: Payment, invoice: Invoice, subscription: Subscription | None) -> list[Event]:
    if invoice.status != "open":
        # The invoice was closed while the gateway was working: the money is the customer's.
        await store.ledger.post(tx, postings.overpayment_received(payment.id, payment.amount))
        return [messages.payment_processed(invoice, payment, tx.now)]
    await store.invoices.close(tx, invoice.id, "paid")
    await store.ledger.post(tx, postings.payment_received(payment.id, payment.amount))
    await timers.drop_for_invoice(tx, invoice.id)
    paid = replace(invoice, status="paid", amount_due_minor=0, next_attempt_at=None)
    told: list[Event] = [messages.payment_processed(paid, payment, tx.now)]
    if subscription is None:
        return told
    if subscription.status == "incomplete":
        active = await _activate(tx, subscription)
        await timers.drop_expiry(tx, active.id)
        await timers.renew_at_period_end(tx, active)
        told.append(messages.subscription_updated(active, "activated"))
    elif subscription.status == "past_due" and not await _others_in_dunning(tx, subscription):
        told.append(messages.subscription_updated(await _activate(tx, subscription), "recovered"))
    return told


async def _activate(tx: Transaction, subscription: Subscription) -> Subscription:
    await store.subscriptions.set_status(tx, subscription.id, "active")
    return replace(subscription, status="active")


async def _others_in_dunning(tx: Transaction, subscription: Subscription) -> bool:
    """Whether an invoice that failed before is still open; one whose first charge is on its way does not count."""
    left = await store.invoices.open_of_subscription(tx, subscription.id)
    return any(invoice.first_failed_at is not None for invoice in left)


async def _failed(
    tx: Transaction, payment: Payment, reason: FailureReason, invoice: Invoice, subscription: Subscription | None
) -> list[Event]:
    if subscription is None or subscription.status not in ("active", "past_due") or invoice.status != "open":
        # A first payment, or one that nobody waits for any more: the customer tries again, we do not.
        status = subscription.status if subscription else None
        return [messages.payment_failed(invoice, payment, reason, tx.now, status)]
    failure = dunning.Failure(
        reason=reason,
        trigger=payment.trigger,
        slot=payment.attempt,
        at=tx.now,
        first_failed_at=invoice.first_failed_at,
        pending_at=invoice.next_attempt_at,
    )
    step = dunning.after_failure(failure, await store.invoices.retry_after_days(tx))
    if isinstance(step, dunning.GiveUp):
        return await _given_up(tx, payment, reason, invoice, subscription)
    noted = await _note(tx, payment, invoice, step)
    past_due = replace(subscription, status="past_due")
    told: list[Event] = [messages.payment_failed(noted, payment, reason, tx.now, "past_due")]
    if subscription.status != "past_due":
        await store.subscriptions.set_status(tx, subscription.id, "past_due")
        told.append(messages.subscription_updated(past_due, "past_due"))
    return told


async def _note(
    tx: Transaction, payment: Payment, invoice: Invoice, step: dunning.Attempt | dunning.Wait | dunning.Keep
) -> Invoice:
    """Sets the timer that the step asks for, and notes on the invoice when it is charged next."""
    next_attempt_at = invoice.next_attempt_at
    if isinstance(step, dunning.Attempt):
        next_attempt_at = step.at
        await timers.charge_again(tx, invoice.id, step)
    elif isinstance(step, dunning.Wait):
        next_attempt_at = None
        await timers.end_dunning_at(tx, invoice.id, step.until)
    noted = replace(
        invoice,
        dunning_slot=payment.attempt,
        first_failed_at=invoice.first_failed_at or tx.now,
        next_attempt_at=next_attempt_at,
    )
    await store.invoices.record_failure(tx, noted)
    return noted


async def _given_up(
    tx: Transaction, payment: Payment, reason: FailureReason, invoice: Invoice, subscription: Subscription
) -> list[Event]:
    """The last attempt has failed: the subscription ends, and what it owes is written off."""
    ended = await end(tx, subscription, "dunning_exhausted")
    lost = replace(invoice, status="uncollectible", next_attempt_at=None)
    return [messages.payment_failed(lost, payment, reason, tx.now, "canceled"), *ended]
