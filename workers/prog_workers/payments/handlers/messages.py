"""Messages of this domain made of its rows: what is told about a subscription, an invoice, a charge."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from prog_contracts.money import Money
from prog_contracts.payments import (
    FailureReason,
    InvoiceGenerated,
    InvoiceVoided,
    PaymentFailed,
    PaymentMethodAttached,
    PaymentProcessed,
    SubscriptionCanceled,
    SubscriptionCreated,
    SubscriptionStatus,
    SubscriptionUpdated,
)
from prog_workers.payments.model import Card, Invoice, Payment, Subscription
from prog_workers.payments.rules import dunning

UpdateReason = Literal["activated", "renewed", "past_due", "recovered", "cancel_scheduled", "changed", "unpaid"]
CancelReason = Literal["requested", "dunning_exhausted", "never_paid", "superseded"]


def subscription_created(subscription: Subscription) -> SubscriptionCreated:
    return SubscriptionCreated(**_subscription(subscription))


def subscription_updated(subscription: Subscription, reason: UpdateReason) -> SubscriptionUpdated:
    return SubscriptionUpdated(**_subscription(subscription), reason=reason)


def subscription_canceled(subscription: Subscription, reason: CancelReason) -> SubscriptionCanceled:
    return SubscriptionCanceled(**_subscription(subscription), reason=reason)


def invoice_generated(invoice: Invoice) -> InvoiceGenerated:
    return InvoiceGenerated(**_invoice(invoice))


def invoice_voided(invoice: Invoice) -> InvoiceVoided:
    return InvoiceVoided(**_invoice(invoice))


def payment_method_attached(card: Card) -> PaymentMethodAttached:
    return PaymentMethodAttached(
        payment_method_id=card.id,
        customer_id=card.customer_id,
        brand=card.brand,
        last4=card.last4,
        expiry_month=card.expiry_month,
        expiry_year=card.expiry_year,
        created_at=card.created_at,
    )


def payment_processed(invoice: Invoice, payment: Payment, paid_at: datetime) -> PaymentProcessed:
    return PaymentProcessed(
        **_invoice(invoice),
        payment_id=payment.id,
        amount=payment.amount,
        card_brand=payment.card.brand,
        card_last4=payment.card.last4,
        paid_at=paid_at,
        attempt=payment.attempt,
    )


def payment_failed(
    invoice: Invoice,
    payment: Payment,
    reason: FailureReason,
    failed_at: datetime,
    subscription_status: SubscriptionStatus | None,
) -> PaymentFailed:
    return PaymentFailed(
        **_invoice(invoice),
        payment_id=payment.id,
        reason=reason,
        hard=dunning.is_hard(reason),
        attempt=payment.attempt,
        trigger=payment.trigger,
        failed_at=failed_at,
        next_attempt_at=invoice.next_attempt_at,
        subscription_status=subscription_status,
    )


def _subscription(subscription: Subscription) -> dict[str, Any]:
    price = subscription.price
    return {
        "subscription_id": subscription.id,
        "customer_id": subscription.customer_id,
        "price_id": price.id,
        "plan": price.plan,
        "status": subscription.status,
        "quantity": subscription.quantity,
        "unit_price": Money(amount=price.unit_amount_minor, currency=price.currency),
        "interval": price.interval,
        "interval_count": price.interval_count,
        "current_period_start": subscription.current_period_start,
        "current_period_end": subscription.current_period_end,
        "cancel_at_period_end": subscription.cancel_at_period_end,
        "created_at": subscription.created_at,
    }


def _invoice(invoice: Invoice) -> dict[str, Any]:
    return {
        "invoice_id": invoice.id,
        "number": invoice.number,
        "customer_id": invoice.customer_id,
        "customer_email": invoice.customer_email,
        "customer_name": invoice.customer_name,
        "subscription_id": invoice.subscription_id,
        "plan": invoice.plan,
        "status": invoice.status,
        "total": invoice.money(invoice.total_minor),
        "amount_due": invoice.money(invoice.amount_due_minor),
        "period_start": invoice.period_start,
        "period_end": invoice.period_end,
        "issued_at": invoice.issued_at,
    }
