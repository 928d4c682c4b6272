"""What ends a subscription: somebody cancels it, nobody pays its first invoice, or dunning has run out."""

from __future__ import annotations

from typing import cast

from prog_broker.outcome import Outcome, Reply
from prog_broker.transaction import Transaction
from prog_contracts.messages import Event
from prog_contracts.payments import CancelSubscription, EndDunning, ExpireSubscription
from prog_workers.payments import errors, store
from prog_workers.payments.handlers import messages
from prog_workers.payments.handlers.domain import payments
from prog_workers.payments.handlers.ending import cancel_at_period_end, end
from prog_workers.payments.handlers.messages import CancelReason


@payments.handles(CancelSubscription)
async def cancel_subscription(command: CancelSubscription, tx: Transaction) -> Outcome:
    """Ends the subscription now, or at the end of the period that was paid.

    A subscription that is not paid for (incomplete, past due) ends now in either case: there is no paid period to keep.
    Asked for what is so already, it answers how the subscription stands, and nothing happens a second time.
    """
    subscription = await store.subscriptions.subscription(tx, command.subscription_id)
    if subscription is None:
        raise errors.UnknownSubscription(f"There is no subscription {command.subscription_id}.")
    if subscription.status == "canceled":
        reason = cast(CancelReason, await store.subscriptions.cancel_reason(tx, subscription.id))
        return Reply(messages.subscription_canceled(subscription, reason))
    if not command.at_period_end:
        return await end(tx, subscription, "requested")
    told = await cancel_at_period_end(tx, subscription)
    return told or Reply(messages.subscription_updated(subscription, "cancel_scheduled"))


@payments.handles(ExpireSubscription)
async def expire_subscription(command: ExpireSubscription, tx: Transaction) -> list[Event]:
    """Ends a subscription whose first invoice was not paid in time."""
    subscription = await store.subscriptions.subscription(tx, command.subscription_id)
    if subscription is None or subscription.status != "incomplete":
        return []
    return await end(tx, subscription, "never_paid")


@payments.handles(EndDunning)
async def end_dunning(command: EndDunning, tx: Transaction) -> list[Event]:
    """Ends a subscription whose card was declined for good and that nobody paid for otherwise."""
    invoice = await store.invoices.invoice(tx, command.invoice_id)
    if invoice is None or invoice.status != "open" or invoice.subscription_id is None:
        return []
    subscription = await store.subscriptions.subscription(tx, invoice.subscription_id)
    if subscription is None or subscription.status == "canceled":
        return []
    return await end(tx, subscription, "dunning_exhausted")
