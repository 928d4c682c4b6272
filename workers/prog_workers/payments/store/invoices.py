"""Invoices, their lines and their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from prog_broker.transaction import Transaction
from prog_contracts.payments import InvoiceStatus
from prog_workers.payments.model import Invoice, InvoiceLine

_INVOICE = """
    SELECT id, customer_id, subscription_id, number, status, plan, currency, total_minor, amount_due_minor,
           period_start, period_end, issued_at, customer_company, customer_name, customer_email, dunning_slot,
           first_failed_at, next_attempt_at
    FROM payments.invoices
"""


async def next_number(tx: Transaction) -> str:
    """The tenant's next invoice number: a prefix of its own, and a count without gaps.

    The counter's row stays locked until the transaction ends, so finalisations of one tenant wait for each other, and a
    rolled-back one uses no number.
    """
    count = await tx.fetchval(
        """
        INSERT INTO payments.invoice_counters (tenant_id, last_number) VALUES ($1, 1)
        ON CONFLICT (tenant_id) DO UPDATE SET last_number = invoice_counters.last_number + 1
        RETURNING last_number
        """,
        tx.tenant_id,
    )
    return f"{tx.tenant_id[-8:].upper()}-{count:04d}"


async def billed(tx: Transaction, subscription_id: str, period_start: datetime) -> bool:
    """Whether the period has its invoice already."""
    return bool(
        await tx.fetchval(
            """
            SELECT EXISTS (SELECT FROM payments.invoices
                           WHERE subscription_id = $1 AND kind = 'subscription' AND period_start = $2)
            """,
            subscription_id,
            period_start,
        )
    )


async def insert_invoice(tx: Transaction, invoice: Invoice, lines: Sequence[InvoiceLine]) -> None:
    """Writes a final invoice. Raises asyncpg.UniqueViolationError when its period is billed already."""
    await tx.execute(
        """
        INSERT INTO payments.invoices
            (id, tenant_id, customer_id, subscription_id, kind, number, status, plan, currency, total_minor,
             amount_due_minor, period_start, period_end, issued_at, paid_at, customer_company, customer_name,
             customer_email)
        VALUES ($1, $2, $3, $4, 'subscription', $5, $6, $7, $8, $9, $10, $11, $12, $13,
                CASE WHEN $6 = 'paid' THEN $13::timestamptz END, $14, $15, $16)
        """,
        invoice.id,
        tx.tenant_id,
        invoice.customer_id,
        invoice.subscription_id,
        invoice.number,
        invoice.status,
        invoice.plan,
        invoice.currency,
        invoice.total_minor,
        invoice.amount_due_minor,
        invoice.period_start,
        invoice.period_end,
        invoice.issued_at,
        invoice.customer_company,
        invoice.customer_name,
        invoice.customer_email,
    )
    for position, line in enumerate(lines, 1):
        await tx.execute(
            """
            INSERT INTO payments.invoice_lines
                (tenant_id, invoice_id, position, description, quantity, unit_amount_minor, amount_minor,
                 period_start, period_end)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            """,
            tx.tenant_id,
            invoice.id,
            position,
            line.description,
            line.quantity,
            line.unit_amount_minor,
            line.amount_minor,
            line.period_start,
            line.period_end,
        )


async def invoice(tx: Transaction, invoice_id: str) -> Invoice | None:
    """The invoice, locked until the transaction ends."""
    row = await tx.fetchrow(f"{_INVOICE} WHERE id = $1 FOR UPDATE", invoice_id)
    return None if row is None else _as_invoice(row)


async def open_of_subscription(tx: Transaction, subscription_id: str) -> list[Invoice]:
    """The open invoices of a subscription, oldest first, locked."""
    rows = await tx.fetch(
        f"{_INVOICE} WHERE subscription_id = $1 AND status = 'open' ORDER BY period_start FOR UPDATE", subscription_id
    )
    return [_as_invoice(row) for row in rows]


async def close(tx: Transaction, invoice_id: str, status: InvoiceStatus) -> None:
    """Ends collection: `paid` settles what is due, `void` and `uncollectible` take it out of dunning."""
    await tx.execute(
        """
        UPDATE payments.invoices
        SET status = $2, next_attempt_at = NULL,
            amount_due_minor = CASE WHEN $2 = 'uncollectible' THEN amount_due_minor ELSE 0 END,
            paid_at = CASE WHEN $2 = 'paid' THEN $3::timestamptz END
        WHERE id = $1
        """,
        invoice_id,
        status,
        tx.now,
    )


async def record_failure(tx: Transaction, noted: Invoice) -> None:
    """Writes what a failed charge changes: the slot it used, day 0, and when the next automatic attempt is due."""
    await tx.execute(
        "UPDATE payments.invoices SET dunning_slot = $2, first_failed_at = $3, next_attempt_at = $4 WHERE id = $1",
        noted.id,
        noted.dunning_slot,
        noted.first_failed_at,
        noted.next_attempt_at,
    )


async def stop_attempts(tx: Transaction, invoice_id: str) -> None:
    """The invoice stays open, and nobody charges it automatically any more."""
    await tx.execute("UPDATE payments.invoices SET next_attempt_at = NULL WHERE id = $1", invoice_id)


async def retry_after_days(tx: Transaction) -> list[int]:
    """The platform's dunning policy: days from each failed attempt to the next."""
    days = await tx.fetchval(
        """
        SELECT retry_after_days FROM payments.dunning_policies
        WHERE is_default AND tenant_id = payments.platform_tenant()
        """
    )
    return list(days)


def _as_invoice(row: asyncpg.Record) -> Invoice:
    return Invoice(**row)


async def was_billed(tx: Transaction) -> bool:
    """Whether an invoice was ever issued to the tenant."""
    query = "SELECT EXISTS (SELECT FROM payments.invoices WHERE tenant_id = $1)"
    return bool(await tx.fetchval(query, tx.tenant_id))
