"""Invoices with their lines and attempts, and an invoice as PDF."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from prog_contracts.money import Money
from prog_contracts.payments import FailureReason, InvoiceStatus
from prog_kit.database import Connection
from prog_workers.payments.queries.pages import Page, Selection, page
from prog_workers.payments.rules.dunning import Trigger

_INVOICES = """
    SELECT id, tenant_id, customer_id, subscription_id, number, status, plan, currency, total_minor,
           amount_due_minor, period_start, period_end, issued_at, paid_at, customer_company, customer_name,
           customer_email, next_attempt_at
    FROM payments.invoices
"""
_PAYMENTS = """
    SELECT p.id, p.tenant_id, p.invoice_id, i.number AS invoice_number, p.amount_minor, p.currency, p.status,
           p.trigger, p.attempt, p.gateway, p.gateway_reference, p.failure_reason, p.hard, p.started_at, p.settled_at,
           m.brand, m.last4
    FROM payments.payments AS p
    JOIN payments.invoices AS i ON i.tenant_id = p.tenant_id AND i.id = p.invoice_id
    JOIN payments.payment_methods AS m ON m.tenant_id = p.tenant_id AND m.id = p.payment_method_id
"""


@dataclass(frozen=True, slots=True)
class InvoiceView:
    """`company`, `name` and `email` are as they were when the invoice was written."""

    id: str
    tenant_id: str
    customer_id: str
    subscription_id: str | None
    number: str
    status: InvoiceStatus
    plan: str
    total: Money
    amount_due: Money
    period_start: datetime
    period_end: datetime
    issued_at: datetime
    paid_at: datetime | None
    next_attempt_at: datetime | None
    company: str
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class LineView:
    description: str
    quantity: int
    unit_price: Money
    amount: Money
    period_start: datetime
    period_end: datetime


@dataclass(frozen=True, slots=True)
class PaymentView:
    """One attempt to charge. `status` is calling, unknown, succeeded or failed."""

    id: str
    tenant_id: str
    invoice_id: str
    invoice_number: str
    amount: Money
    status: str
    trigger: Trigger
    attempt: int
    gateway: str
    gateway_reference: str | None
    failure_reason: FailureReason | None
    hard: bool | None
    card_brand: str
    card_last4: str
    started_at: datetime
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class InvoicePdf:
    filename: str
    content: bytes


async def invoices(
    connection: Connection,
    *,
    status: str | None = None,
    subscription_id: str | None = None,
    tenant_id: str | None = None,
    search: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[InvoiceView]:
    """Invoices, newest first; `search` is part of a number or company, or an id."""
    selection = Selection()
    selection.add("status = {}", status)
    if status not in (None, "paid"):
        selection.add("status <> 'paid'")  # in step with the index invoices_unpaid
    selection.add("subscription_id = {}", subscription_id)
    selection.add("tenant_id = {}", tenant_id)
    selection.add("strpos(lower(number || ' ' || customer_company || ' ' || id), lower({})) > 0", search or None)
    return await page(
        connection, _INVOICES, selection, _invoice, time="issued_at", key="id", limit=limit, cursor=cursor
    )


async def invoice(connection: Connection, invoice_id: str) -> InvoiceView | None:
    """One invoice; None when it is not there, or not the viewer's."""
    row = await connection.fetchrow(f"{_INVOICES} WHERE id = $1", invoice_id)
    return None if row is None else _invoice(row)


async def lines(connection: Connection, invoice_id: str) -> Sequence[LineView]:
    """What an invoice bills, in its order."""
    rows = await connection.fetch(
        """
        SELECT l.description, l.quantity, l.unit_amount_minor, l.amount_minor, l.period_start, l.period_end, i.currency
        FROM payments.invoice_lines AS l
        JOIN payments.invoices AS i ON i.tenant_id = l.tenant_id AND i.id = l.invoice_id
        WHERE l.invoice_id = $1 ORDER BY l.position
        """,
        invoice_id,
    )
    return [
        LineView(
            description=row["description"],
            quantity=row["quantity"],
            unit_price=Money(amount=row["unit_amount_minor"], currency=row["currency"]),
            amount=Money(amount=row["amount_minor"], currency=row["currency"]),
            period_start=row["period_start"],
            period_end=row["period_end"],
        )
        for row in rows
    ]


async def payments(
    connection: Connection,
    *,
    invoice_id: str | None = None,
    status: str | None = None,
    tenant_id: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[PaymentView]:
    """Attempts to charge, newest first."""
    selection = Selection()
    selection.add("invoice_id = {}", invoice_id)
    selection.add("status = {}", status)
    if status not in (None, "succeeded"):
        selection.add("status <> 'succeeded'")  # in step with the index payments_unsettled
    selection.add("tenant_id = {}", tenant_id)
    return await page(
        connection, _PAYMENTS, selection, _payment, time="started_at", key="id", limit=limit, cursor=cursor
    )


async def invoice_pdf(connection: Connection, invoice_id: str) -> InvoicePdf | None:
    """The invoice as a document; None when it is not there, or not the viewer's.

    It holds what never changes of an invoice, so the same one has the same bytes for ever, paid or not.
    """
    found = await invoice(connection, invoice_id)
    if found is None:
        return None
    # Drawing takes a library that is slow to import; most processes that read invoices never draw one.
    from prog_workers.payments import pdf

    document = pdf.InvoiceDocument(
        number=found.number,
        issued_at=found.issued_at,
        company=found.company,
        name=found.name,
        email=found.email,
        total=found.total,
        lines=[
            pdf.DocumentLine(
                line.description, line.period_start, line.period_end, line.quantity, line.unit_price, line.amount
            )
            for line in await lines(connection, invoice_id)
        ],
    )
    return InvoicePdf(f"invoice-{found.number}.pdf", pdf.render(document))


def _invoice(row: asyncpg.Record) -> InvoiceView:
    return InvoiceView(
        id=row["id"],
        tenant_id=row["tenant_id"],
        customer_id=row["customer_id"],
        subscription_id=row["subscription_id"],
        number=row["number"],
        status=row["status"],
        plan=row["plan"],
        total=Money(amount=row["total_minor"], currency=row["currency"]),
        amount_due=Money(amount=row["amount_due_minor"], currency=row["currency"]),
        period_start=row["period_start"],
        period_end=row["period_end"],
        issued_at=row["issued_at"],
        paid_at=row["paid_at"],
        next_attempt_at=row["next_attempt_at"],
        company=row["customer_company"],
        name=row["customer_name"],
        email=row["customer_email"],
    )


def _payment(row: asyncpg.Record) -> PaymentView:
    return PaymentView(
        id=row["id"],
        tenant_id=row["tenant_id"],
        invoice_id=row["invoice_id"],
        invoice_number=row["invoice_number"],
        amount=Money(amount=row["amount_minor"], currency=row["currency"]),
        status=row["status"],
        trigger=row["trigger"],
        attempt=row["attempt"],
        gateway=row["gateway"],
        gateway_reference=row["gateway_reference"],
        failure_reason=row["failure_reason"],
        hard=row["hard"],
        card_brand=row["brand"],
        card_last4=row["last4"],
        started_at=row["started_at"],
        settled_at=row["settled_at"],
    )
