"""Customers, their cards and subscriptions, and what is wrong with a payment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from prog_contracts.money import Money
from prog_contracts.payments import FailureReason, Interval, SubscriptionStatus
from prog_kit.database import Connection
from prog_workers.payments.queries.pages import Page, Selection, page

_CUSTOMERS = "SELECT id, tenant_id, company, name, email, created_at FROM payments.customers"

# The last failed attempt on the oldest invoice of the subscription that is still open.
_SUBSCRIPTIONS = """
    SELECT s.id, s.tenant_id, c.company, s.customer_id, s.price_id, r.name AS plan, s.status, s.quantity,
           p.unit_amount_minor, p.currency, p.interval, p.interval_count, s.current_period_start,
           s.current_period_end, s.cancel_at_period_end, s.created_at, s.canceled_at, s.cancel_reason,
           failed.invoice_id AS failed_invoice_id, failed.failure_reason, failed.settled_at AS failed_at,
           failed.amount_minor AS failed_minor, failed.attempts, failed.next_attempt_at
    FROM payments.subscriptions AS s
    JOIN payments.customers AS c ON c.id = s.customer_id
    JOIN payments.prices AS p ON p.id = s.price_id
    JOIN payments.products AS r ON r.id = p.product_id
    LEFT JOIN LATERAL (
        SELECT i.id AS invoice_id, i.next_attempt_at, a.failure_reason, a.settled_at, a.amount_minor,
               count(*) OVER () AS attempts
        FROM payments.invoices AS i
        JOIN payments.payments AS a ON a.tenant_id = i.tenant_id AND a.invoice_id = i.id AND a.status = 'failed'
        WHERE i.tenant_id = s.tenant_id AND i.subscription_id = s.id AND i.status = 'open'
        ORDER BY i.period_start, a.settled_at DESC, a.id DESC LIMIT 1
    ) AS failed ON s.status <> 'canceled'
"""


@dataclass(frozen=True, slots=True)
class CustomerView:
    """Who is billed: `company` is the tenant's name, `name` and `email` its owner's."""

    id: str
    tenant_id: str
    company: str
    name: str
    email: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class CardView:
    id: str
    tenant_id: str
    customer_id: str
    gateway: str
    brand: str
    last4: str
    expiry_month: int
    expiry_year: int
    is_default: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class DunningView:
    """Why the last charge failed, and when the next one is tried (None: no automatic attempt is planned)."""

    invoice_id: str
    reason: FailureReason
    failed_at: datetime
    amount: Money
    attempts: int
    next_attempt_at: datetime | None


@dataclass(frozen=True, slots=True)
class SubscriptionView:
    """`unit_price` is for one period and unit; `dunning` is set while a failed invoice waits to be paid."""

    id: str
    tenant_id: str
    company: str
    customer_id: str
    price_id: str
    plan: str
    status: SubscriptionStatus
    quantity: int
    unit_price: Money
    interval: Interval
    interval_count: int
    current_period_start: datetime
    current_period_end: datetime
    cancel_at_period_end: bool
    created_at: datetime
    canceled_at: datetime | None
    cancel_reason: str | None
    dunning: DunningView | None


async def customer(connection: Connection) -> CustomerView | None:
    """The tenant's own customer record, None when it is not there yet."""
    row = await connection.fetchrow(f"{_CUSTOMERS} ORDER BY created_at LIMIT 1")
    return None if row is None else CustomerView(**row)


async def customers(
    connection: Connection, *, search: str | None = None, limit: int = 50, cursor: str | None = None
) -> Page[CustomerView]:
    """Customers, newest first; `search` is part of a company, name or address."""
    selection = Selection()
    selection.add("strpos(lower(company || ' ' || name || ' ' || email), lower({})) > 0", search or None)
    return await page(
        connection, _CUSTOMERS, selection, _customer, time="created_at", key="id", limit=limit, cursor=cursor
    )


async def payment_methods(connection: Connection) -> Sequence[CardView]:
    """The cards of the viewer's customer: the default one first, then the newest."""
    rows = await connection.fetch(
        "SELECT id, tenant_id, customer_id, gateway, brand, last4, expiry_month, expiry_year, is_default, created_at"
        " FROM payments.payment_methods ORDER BY is_default DESC, created_at DESC, id DESC LIMIT 100"
    )
    return [CardView(**row) for row in rows]


async def subscriptions(
    connection: Connection,
    *,
    status: str | None = None,
    tenant_id: str | None = None,
    search: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[SubscriptionView]:
    """Subscriptions, newest first; `search` is part of a company or plan, or an id."""
    selection = Selection()
    selection.add("status = {}", status)
    selection.add("tenant_id = {}", tenant_id)
    selection.add("strpos(lower(company || ' ' || plan || ' ' || id), lower({})) > 0", search or None)
    return await page(
        connection, _SUBSCRIPTIONS, selection, _subscription, time="created_at", key="id", limit=limit, cursor=cursor
    )


async def subscription(connection: Connection, subscription_id: str) -> SubscriptionView | None:
    """One subscription; None when it is not there, or not the viewer's."""
    row = await connection.fetchrow(f"{_SUBSCRIPTIONS} WHERE s.id = $1", subscription_id)
    return None if row is None else _subscription(row)


def _customer(row: asyncpg.Record) -> CustomerView:
    return CustomerView(row["id"], row["tenant_id"], row["company"], row["name"], row["email"], row["created_at"])


def _subscription(row: asyncpg.Record) -> SubscriptionView:
    dunning = None
    if row["failed_invoice_id"] is not None:
        dunning = DunningView(
            invoice_id=row["failed_invoice_id"],
            reason=row["failure_reason"],
            failed_at=row["failed_at"],
            amount=Money(amount=row["failed_minor"], currency=row["currency"]),
            attempts=row["attempts"],
            next_attempt_at=row["next_attempt_at"],
        )
    return SubscriptionView(
        id=row["id"],
        tenant_id=row["tenant_id"],
        company=row["company"],
        customer_id=row["customer_id"],
        price_id=row["price_id"],
        plan=row["plan"],
        status=row["status"],
        quantity=row["quantity"],
        unit_price=Money(amount=row["unit_amount_minor"], currency=row["currency"]),
        interval=row["interval"],
        interval_count=row["interval_count"],
        current_period_start=row["current_period_start"],
        current_period_end=row["current_period_end"],
        cancel_at_period_end=row["cancel_at_period_end"],
        created_at=row["created_at"],
        canceled_at=row["canceled_at"],
        cancel_reason=row["cancel_reason"],
        dunning=dunning,
    )
