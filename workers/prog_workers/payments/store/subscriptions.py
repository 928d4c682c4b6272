"""Prices and subscriptions."""

from __future__ import annotations

from datetime import datetime

import asyncpg

from prog_broker.transaction import Transaction
from prog_contracts.payments import SubscriptionStatus
from prog_workers.payments.model import Price, Subscription

_PRICE = """
    p.id AS price_id, r.name AS plan, r.family, p.model, p.unit_amount_minor, p.currency, p.interval,
    p.interval_count, p.active AND r.active AS on_sale
"""
_SUBSCRIPTION = f"""
    SELECT s.id, s.customer_id, s.status, s.quantity, s.anchor, s.period_index, s.current_period_start,
           s.current_period_end, s.cancel_at_period_end, s.created_at, {_PRICE}
    FROM payments.subscriptions AS s
    JOIN payments.prices AS p ON p.id = s.price_id
    JOIN payments.products AS r ON r.id = p.product_id
"""


async def price(tx: Transaction, price_id: str) -> Price | None:
    """A price that this tenant may buy at: its own or the platform's."""
    row = await tx.fetchrow(
        f"SELECT {_PRICE} FROM payments.prices AS p JOIN payments.products AS r ON r.id = p.product_id WHERE p.id = $1",
        price_id,
    )
    return None if row is None else _as_price(row)


async def insert_subscription(tx: Transaction, subscription: Subscription) -> None:
    await tx.execute(
        """
        INSERT INTO payments.subscriptions
            (id, tenant_id, customer_id, price_id, family, status, quantity, anchor, period_index,
             current_period_start, current_period_end, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        """,
        subscription.id,
        tx.tenant_id,
        subscription.customer_id,
        subscription.price.id,
        subscription.price.family,
        subscription.status,
        subscription.quantity,
        subscription.anchor,
        subscription.period_index,
        subscription.current_period_start,
        subscription.current_period_end,
        subscription.created_at,
    )


async def subscription(tx: Transaction, subscription_id: str) -> Subscription | None:
    """The subscription, locked until the transaction ends."""
    row = await tx.fetchrow(f"{_SUBSCRIPTION} WHERE s.id = $1 FOR UPDATE OF s", subscription_id)
    return None if row is None else _as_subscription(row)


async def living_in_family(tx: Transaction, customer_id: str, family: str) -> Subscription | None:
    """The customer's subscription of a family that has not ended, locked; there is at most one."""
    row = await tx.fetchrow(
        f"{_SUBSCRIPTION} WHERE s.customer_id = $1 AND s.family = $2 AND s.status <> 'canceled' FOR UPDATE OF s",
        customer_id,
        family,
    )
    return None if row is None else _as_subscription(row)


async def living(tx: Transaction) -> list[Subscription]:
    """All subscriptions of the tenant that have not ended, locked."""
    rows = await tx.fetch(f"{_SUBSCRIPTION} WHERE s.status <> 'canceled' ORDER BY s.id FOR UPDATE OF s")
    return [_as_subscription(row) for row in rows]


async def set_status(tx: Transaction, subscription_id: str, status: SubscriptionStatus) -> None:
    await tx.execute("UPDATE payments.subscriptions SET status = $2 WHERE id = $1", subscription_id, status)


async def move_period(tx: Transaction, moved: Subscription) -> None:
    """Writes the period that the subscription is in now."""
    await tx.execute(
        """
        UPDATE payments.subscriptions
        SET period_index = $2, current_period_start = $3, current_period_end = $4 WHERE id = $1
        """,
        moved.id,
        moved.period_index,
        moved.current_period_start,
        moved.current_period_end,
    )


async def schedule_cancellation(tx: Transaction, subscription_id: str) -> None:
    await tx.execute("UPDATE payments.subscriptions SET cancel_at_period_end = true WHERE id = $1", subscription_id)


async def cancel(tx: Transaction, subscription_id: str, at: datetime, reason: str) -> None:
    await tx.execute(
        "UPDATE payments.subscriptions SET status = 'canceled', canceled_at = $2, cancel_reason = $3 WHERE id = $1",
        subscription_id,
        at,
        reason,
    )


async def cancel_reason(tx: Transaction, subscription_id: str) -> str | None:
    """Why a subscription ended; None while it lives."""
    reason: str | None = await tx.fetchval(
        "SELECT cancel_reason FROM payments.subscriptions WHERE id = $1", subscription_id
    )
    return reason


def _as_price(row: asyncpg.Record) -> Price:
    return Price(
        id=row["price_id"],
        plan=row["plan"],
        family=row["family"],
        model=row["model"],
        unit_amount_minor=row["unit_amount_minor"],
        currency=row["currency"],
        interval=row["interval"],
        interval_count=row["interval_count"],
        active=row["on_sale"],
    )


def _as_subscription(row: asyncpg.Record) -> Subscription:
    return Subscription(
        id=row["id"],
        customer_id=row["customer_id"],
        price=_as_price(row),
        status=row["status"],
        quantity=row["quantity"],
        anchor=row["anchor"],
        period_index=row["period_index"],
        current_period_start=row["current_period_start"],
        current_period_end=row["current_period_end"],
        cancel_at_period_end=row["cancel_at_period_end"],
        created_at=row["created_at"],
    )
