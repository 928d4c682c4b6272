"""Messages of the payments domain: customers, cards, subscriptions, invoices, payments and dunning.

A customer belongs to the tenant in the envelope; every tenant is a customer of the platform, and the customer's rows
live under the tenant itself, so that its people see their own bills.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from prog_contracts.ids import (
    CustomerId,
    InvoiceId,
    PaymentId,
    PaymentMethodId,
    PriceId,
    SubscriptionId,
)
from prog_contracts.messages import Command, Event, command, event
from prog_contracts.money import Money

SubscriptionStatus = Literal["incomplete", "trialing", "active", "past_due", "paused", "canceled", "unpaid"]
InvoiceStatus = Literal["draft", "open", "paid", "void", "uncollectible"]
Interval = Literal["day", "week", "month", "year"]
FailureReason = Literal[
    "declined", "insufficient_funds", "expired_card", "lost_card", "requires_action", "gateway_error"
]


@command("prognetwork.payments.create_subscription", subject="subscription_id")
class CreateSubscription(Command):
    """Subscribe the tenant's customer to a price, paid with the gateway token `payment_method` (kept as its card)."""

    subscription_id: SubscriptionId
    price_id: PriceId
    payment_method: str | None = None
    quantity: int = 1


@command("prognetwork.payments.attach_payment_method", subject="payment_method_id")
class AttachPaymentMethod(Command):
    """Keep a card as the customer's default; open invoices in dunning are tried at once with it."""

    payment_method_id: PaymentMethodId
    token: str


@command("prognetwork.payments.cancel_subscription", subject="subscription_id")
class CancelSubscription(Command):
    subscription_id: SubscriptionId
    at_period_end: bool = True


@command("prognetwork.payments.renew_subscription", subject="subscription_id")
class RenewSubscription(Command):
    """A timer: the period that began at `period_start` is over; bill the next one."""

    subscription_id: SubscriptionId
    period_start: datetime


@command("prognetwork.payments.charge_invoice", subject="invoice_id")
class ChargeInvoice(Command):
    """An outside call: charge the default card for an open invoice. `attempt` counts the dunning slots from 0."""

    invoice_id: InvoiceId
    attempt: int = 0
    trigger: Literal["initial", "dunning", "new_card", "manual"] = "initial"


@command("prognetwork.payments.pay_invoice", subject="invoice_id")
class PayInvoice(Command):
    """Try an open invoice now; uses up no dunning slot."""

    invoice_id: InvoiceId


@command("prognetwork.payments.end_dunning", subject="invoice_id")
class EndDunning(Command):
    """A timer: the time to pay an invoice whose card was declined for good is over."""

    invoice_id: InvoiceId


@command("prognetwork.payments.expire_subscription", subject="subscription_id")
class ExpireSubscription(Command):
    """A timer: the first invoice of a subscription was not paid in time."""

    subscription_id: SubscriptionId


@event("prognetwork.payments.customer_created", subject="customer_id")
class CustomerCreated(Event):
    customer_id: CustomerId
    name: str
    email: str


@event("prognetwork.payments.payment_method_attached", subject="payment_method_id")
class PaymentMethodAttached(Event):
    payment_method_id: PaymentMethodId
    customer_id: CustomerId
    brand: str
    last4: str
    expiry_month: int
    expiry_year: int
    created_at: datetime | None = None


class SubscriptionEvent(Event):
    """The state of a subscription after a change."""

    subscription_id: SubscriptionId
    customer_id: CustomerId
    price_id: PriceId
    plan: str
    status: SubscriptionStatus
    quantity: int
    unit_price: Money
    interval: Interval
    interval_count: int
    current_period_start: datetime
    current_period_end: datetime
    cancel_at_period_end: bool = False
    created_at: datetime


@event("prognetwork.payments.subscription_created", subject="subscription_id")
class SubscriptionCreated(SubscriptionEvent):
    pass


@event("prognetwork.payments.subscription_updated", subject="subscription_id")
class SubscriptionUpdated(SubscriptionEvent):
    reason: Literal["activated", "renewed", "past_due", "recovered", "cancel_scheduled", "changed", "unpaid"]


@event("prognetwork.payments.subscription_canceled", subject="subscription_id")
class SubscriptionCanceled(SubscriptionEvent):
    reason: Literal["requested", "dunning_exhausted", "never_paid", "superseded"]


class InvoiceEvent(Event):
    """The state of an invoice, with what a mail needs to say about it."""

    invoice_id: InvoiceId
    number: str
    customer_id: CustomerId
    customer_email: str
    customer_name: str
    subscription_id: SubscriptionId | None = None
    plan: str
    status: InvoiceStatus
    total: Money
    amount_due: Money
    period_start: datetime
    period_end: datetime
    issued_at: datetime


@event("prognetwork.payments.invoice_generated", subject="invoice_id")
class InvoiceGenerated(InvoiceEvent):
    pass


@event("prognetwork.payments.invoice_voided", subject="invoice_id")
class InvoiceVoided(InvoiceEvent):
    """Nothing is owed any more: what it billed never began."""


@event("prognetwork.payments.payment_processed", subject="payment_id")
class PaymentProcessed(InvoiceEvent):
    """Money has arrived; the invoice is paid by it when `status` says so."""

    payment_id: PaymentId
    amount: Money
    card_brand: str
    card_last4: str
    paid_at: datetime
    attempt: int


@event("prognetwork.payments.payment_failed", subject="payment_id")
class PaymentFailed(InvoiceEvent):
    payment_id: PaymentId
    reason: FailureReason
    hard: bool
    attempt: int
    trigger: Literal["initial", "dunning", "new_card", "manual"]
    failed_at: datetime
    next_attempt_at: datetime | None = None
    subscription_status: SubscriptionStatus | None = None
