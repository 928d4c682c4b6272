"""The timers of this domain, by name. All run on the tenant's clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from prog_broker.transaction import Transaction
from prog_contracts.payments import ChargeInvoice, EndDunning, ExpireSubscription, RenewSubscription
from prog_workers.payments.model import Subscription
from prog_workers.payments.rules.dunning import Attempt

FIRST_PAYMENT_WITHIN: Final = timedelta(hours=23)
"""How long a subscription waits for its first payment, as at Stripe."""


async def renew_at_period_end(tx: Transaction, subscription: Subscription) -> None:
    command = RenewSubscription(subscription_id=subscription.id, period_start=subscription.current_period_start)
    await tx.schedule(f"renew:{subscription.id}", command, subscription.current_period_end)


async def expire_unless_paid(tx: Transaction, subscription_id: str) -> None:
    command = ExpireSubscription(subscription_id=subscription_id)
    await tx.schedule(f"expire:{subscription_id}", command, tx.now + FIRST_PAYMENT_WITHIN)


async def charge_again(tx: Transaction, invoice_id: str, attempt: Attempt) -> None:
    command = ChargeInvoice(invoice_id=invoice_id, attempt=attempt.slot, trigger="dunning")
    await tx.schedule(f"dunning:{invoice_id}", command, attempt.at)


async def end_dunning_at(tx: Transaction, invoice_id: str, until: datetime) -> None:
    await tx.schedule(f"dunning:{invoice_id}", EndDunning(invoice_id=invoice_id), until)


async def drop_for_invoice(tx: Transaction, invoice_id: str) -> None:
    await tx.unschedule(f"dunning:{invoice_id}")


async def drop_expiry(tx: Transaction, subscription_id: str) -> None:
    await tx.unschedule(f"expire:{subscription_id}")


async def drop_for_subscription(tx: Transaction, subscription_id: str) -> None:
    await tx.unschedule(f"renew:{subscription_id}")
    await drop_expiry(tx, subscription_id)
