"""Payments: one row for each attempt to charge an invoice."""

from __future__ import annotations

import asyncpg

from prog_broker.transaction import Transaction
from prog_contracts.money import Money
from prog_contracts.payments import FailureReason
from prog_workers.payments.model import Card, Payment

_PAYMENT = """
    SELECT p.id, p.invoice_id, p.amount_minor, p.currency, p.status, p.trigger, p.attempt, p.idempotency_key,
           m.id AS card_id, m.customer_id, m.gateway_reference, m.brand, m.last4, m.expiry_month, m.expiry_year,
           m.created_at
    FROM payments.payments AS p JOIN payments.payment_methods AS m ON m.id = p.payment_method_id
"""


async def of_message(tx: Transaction) -> Payment | None:
    """The attempt that an earlier delivery of this very message began."""
    row = await tx.fetchrow(f"{_PAYMENT} WHERE p.message_id = $1", tx.message_id)
    return None if row is None else _as_payment(row)


async def in_flight(tx: Transaction, invoice_id: str) -> Payment | None:
    """The attempt on an invoice whose outcome nobody knows yet; there is at most one."""
    row = await tx.fetchrow(f"{_PAYMENT} WHERE p.invoice_id = $1 AND p.status IN ('calling', 'unknown')", invoice_id)
    return None if row is None else _as_payment(row)


async def slot_used(tx: Transaction, invoice_id: str, attempt: int) -> bool:
    """Whether the automatic attempt of a dunning slot was made."""
    return bool(
        await tx.fetchval(
            """
            SELECT EXISTS (SELECT FROM payments.payments
                           WHERE invoice_id = $1 AND attempt = $2 AND trigger IN ('initial', 'dunning'))
            """,
            invoice_id,
            attempt,
        )
    )


async def insert_payment(tx: Transaction, payment: Payment, gateway: str) -> None:
    """Records the intent to charge what is due, before anybody is called."""
    await tx.execute(
        """
        INSERT INTO payments.payments
            (id, tenant_id, customer_id, invoice_id, payment_method_id, amount_minor, currency, status, trigger,
             attempt, idempotency_key, message_id, gateway, started_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, 'calling', $8, $9, $10, $11, $12, $13)
        """,
        payment.id,
        tx.tenant_id,
        payment.card.customer_id,
        payment.invoice_id,
        payment.card.id,
        payment.amount.amount,
        payment.amount.currency,
        payment.trigger,
        payment.attempt,
        payment.idempotency_key,
        tx.message_id,
        gateway,
        tx.now,
    )


async def mark_unknown(tx: Transaction, payment_id: str) -> None:
    await tx.execute("UPDATE payments.payments SET status = 'unknown' WHERE id = $1 AND status = 'calling'", payment_id)


async def settle(
    tx: Transaction, payment_id: str, reference: str, failure: FailureReason | None, *, hard: bool
) -> bool:
    """Records what the gateway did; False when that was recorded before."""
    status = await tx.execute(
        """
        UPDATE payments.payments
        SET status = $2, gateway_reference = $3, failure_reason = $4, hard = $5, settled_at = $6
        WHERE id = $1 AND status IN ('calling', 'unknown')
        """,
        payment_id,
        "succeeded" if failure is None else "failed",
        reference,
        failure,
        None if failure is None else hard,
        tx.now,
    )
    return status == "UPDATE 1"


def _as_payment(row: asyncpg.Record) -> Payment:
    return Payment(
        id=row["id"],
        invoice_id=row["invoice_id"],
        amount=Money(amount=row["amount_minor"], currency=row["currency"]),
        trigger=row["trigger"],
        attempt=row["attempt"],
        idempotency_key=row["idempotency_key"],
        settled=row["status"] in ("succeeded", "failed"),
        resumed=True,
        card=Card(
            id=row["card_id"],
            customer_id=row["customer_id"],
            gateway_reference=row["gateway_reference"],
            brand=row["brand"],
            last4=row["last4"],
            expiry_month=row["expiry_month"],
            expiry_year=row["expiry_year"],
            created_at=row["created_at"],
        ),
    )
