"""The rows of this domain as handlers, rules and store pass them around."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from prog_contracts.money import Money
from prog_contracts.payments import Interval, InvoiceStatus, SubscriptionStatus
from prog_workers.payments.rules.amounts import PriceModel
from prog_workers.payments.rules.dunning import Trigger


@dataclass(frozen=True, slots=True)
class Customer:
    id: str
    company: str
    name: str
    email: str
    gateway_reference: str | None


@dataclass(frozen=True, slots=True)
class Price:
    """A price with the name of its product. `family` is set where a customer has one subscription at most."""

    id: str
    plan: str
    family: str | None
    model: PriceModel
    unit_amount_minor: int
    currency: str
    interval: Interval
    interval_count: int
    active: bool


@dataclass(frozen=True, slots=True)
class Card:
    id: str
    customer_id: str
    gateway_reference: str
    brand: str
    last4: str
    expiry_month: int
    expiry_year: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Subscription:
    id: str
    customer_id: str
    price: Price
    status: SubscriptionStatus
    quantity: int
    anchor: datetime
    period_index: int
    current_period_start: datetime
    current_period_end: datetime
    cancel_at_period_end: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    description: str
    quantity: int
    unit_amount_minor: int
    amount_minor: int
    period_start: datetime
    period_end: datetime


@dataclass(frozen=True, slots=True)
class Invoice:
    """A final invoice and the state of its collection. `dunning_slot` is the last automatic attempt."""

    id: str
    customer_id: str
    subscription_id: str | None
    number: str
    status: InvoiceStatus
    plan: str
    currency: str
    total_minor: int
    amount_due_minor: int
    period_start: datetime
    period_end: datetime
    issued_at: datetime
    customer_company: str
    customer_name: str
    customer_email: str
    dunning_slot: int = 0
    first_failed_at: datetime | None = None
    next_attempt_at: datetime | None = None

    def money(self, amount_minor: int) -> Money:
        return Money(amount=amount_minor, currency=self.currency)


@dataclass(frozen=True, slots=True)
class Payment:
    """One attempt to charge an invoice.

    `settled` says that its outcome is recorded, `resumed` that an earlier delivery began it and may have called.
    """

    id: str
    invoice_id: str
    amount: Money
    trigger: Trigger
    attempt: int
    idempotency_key: str
    settled: bool
    resumed: bool
    card: Card
