"""RenewSubscription: a timer at the end of each period; bills the next one, or lets a canceled subscription go."""

from __future__ import annotations

from prog_broker.transaction import Transaction
from prog_contracts.messages import Message
from prog_contracts.payments import RenewSubscription
from prog_workers.payments import store
from prog_workers.payments.handlers import messages, timers
from prog_workers.payments.handlers.billing import bill_current_period, first_charge, in_period
from prog_workers.payments.handlers.cards import customer_of
from prog_workers.payments.handlers.domain import payments
from prog_workers.payments.handlers.ending import end


@payments.handles(RenewSubscription)
async def renew_subscription(command: RenewSubscription, tx: Transaction) -> list[Message]:
    """Moves the subscription into its next period, whose timer it sets, and has it charged.

    The cycle goes on while an earlier invoice is in dunning. A second telling, or one that comes late, finds the period
    over and does nothing; the unique key on invoices stands behind that.
    """
    subscription = await store.subscriptions.subscription(tx, command.subscription_id)
    if subscription is None or subscription.status not in ("active", "past_due", "trialing"):
        return []
    if subscription.current_period_start != command.period_start:
        return []
    if tx.now < subscription.current_period_end:
        # Told too early, by a hand or by a machine whose clock is ahead: the timer comes again.
        await timers.renew_at_period_end(tx, subscription)
        return []
    if subscription.cancel_at_period_end:
        return list(await end(tx, subscription, "requested"))
    renewed = in_period(subscription, subscription.period_index + 1)
    await store.subscriptions.move_period(tx, renewed)
    await timers.renew_at_period_end(tx, renewed)
    invoice = await bill_current_period(tx, await customer_of(tx), renewed)
    return [
        messages.subscription_updated(renewed, "renewed"),
        messages.invoice_generated(invoice),
        *first_charge(invoice),
    ]
