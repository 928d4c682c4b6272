"""Invoices with their lines and documents, and the payments of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field
from starlette.responses import Response

from prog_contracts.errors import NotFound
from prog_contracts.money import Money
from prog_contracts.payments import FailureReason, InvoiceStatus, PayInvoice
from prog_edge.access import Access, Needs
from prog_edge.api.shapes import Listing, Paging, Resource, problems
from prog_edge.writes import Write, perform
from prog_workers.payments import queries
from prog_workers.payments.queries import InvoiceView

router = APIRouter(prefix="/v1", tags=["Billing"])

Reads = Annotated[Access, Depends(Needs("billing.read"))]
Manages = Annotated[Access, Depends(Needs("billing.manage"))]
InvoicePath = Annotated[str, Path(max_length=100)]


class Invoice(Resource):
    """`company`, `name` and `email` are as they were when the invoice was written."""

    id: str = Field(examples=["invoice_01jd7z4c8nf3ktv9q2m6x0r5we"])
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
    next_attempt_at: datetime | None = Field(description="When an automatic charge is tried next.")
    company: str
    name: str
    email: str


class Line(Resource):
    description: str
    quantity: int
    unit_price: Money
    amount: Money
    period_start: datetime
    period_end: datetime


class InvoiceWithLines(Invoice):
    lines: list[Line]


class Payment(Resource):
    """One attempt to charge an invoice. `unknown`: the gateway has not said what it did, and is being asked."""

    id: str = Field(examples=["payment_01jd7z4c8nf3ktv9q2m6x0r5we"])
    tenant_id: str
    invoice_id: str
    invoice_number: str
    amount: Money
    status: Literal["calling", "unknown", "succeeded", "failed"]
    trigger: Literal["initial", "dunning", "new_card", "manual"]
    attempt: int
    failure_reason: FailureReason | None
    card_brand: str
    card_last4: str
    started_at: datetime
    settled_at: datetime | None


class PaidInvoice(Resource):
    """A payment that has arrived, and the state of its invoice."""

    payment_id: str
    invoice_id: str
    invoice_number: str
    invoice_status: InvoiceStatus
    amount: Money
    paid_at: datetime


class InvoiceFilters(Paging):
    status: InvoiceStatus | None = None
    subscription_id: str | None = Field(None, max_length=100)


class PaymentFilters(Paging):
    status: Literal["calling", "unknown", "succeeded", "failed"] | None = None
    invoice_id: str | None = Field(None, max_length=100)


@router.get("/invoices", responses=problems(400, 401, 403, 404, 422))
async def list_invoices(filters: Annotated[InvoiceFilters, Query()], access: Reads) -> Listing[Invoice]:
    """Invoices, newest first."""
    async with access.rows() as connection:
        page = await queries.invoices(
            connection,
            status=filters.status,
            subscription_id=filters.subscription_id,
            limit=filters.limit,
            cursor=filters.cursor,
        )
    return Listing(data=[Invoice(**_fields(row)) for row in page.rows], next_cursor=page.next_cursor)


@router.get("/invoices/{invoice_id}", responses=problems(400, 401, 403, 404))
async def get_invoice(invoice_id: InvoicePath, access: Reads) -> InvoiceWithLines:
    """One invoice with its lines."""
    async with access.rows() as connection:
        row = await queries.invoice(connection, invoice_id)
        billed = await queries.lines(connection, invoice_id) if row is not None else ()
    if row is None:
        raise NotFound("There is no such invoice.")
    lines = [
        Line(
            description=line.description,
            quantity=line.quantity,
            unit_price=line.unit_price,
            amount=line.amount,
            period_start=line.period_start,
            period_end=line.period_end,
        )
        for line in billed
    ]
    return InvoiceWithLines(**_fields(row), lines=lines)


@router.get(
    "/invoices/{invoice_id}/pdf",
    response_class=Response,
    responses={
        200: {"content": {"application/pdf": {}}, "description": "The document"},
        **problems(400, 401, 403, 404),
    },
)
async def get_invoice_pdf(invoice_id: InvoicePath, access: Reads) -> Response:
    """The invoice as a PDF document."""
    async with access.rows() as connection:
        document = await queries.invoice_pdf(connection, invoice_id)
    if document is None:
        raise NotFound("There is no such invoice.")
    headers = {"Content-Disposition": f'attachment; filename="{document.filename}"'}
    return Response(document.content, media_type="application/pdf", headers=headers)


@router.post(
    "/invoices/{invoice_id}/pay", response_model=PaidInvoice, responses=problems(400, 401, 403, 404, 409, 422, 503)
)
async def pay_invoice(invoice_id: InvoicePath, request: Request, access: Manages) -> Response:
    """Charge the default card for an open invoice now. A declined card is a 409 whose code is the reason."""
    async with access.rows() as connection:
        row = await queries.invoice(connection, invoice_id)
    if row is None:
        raise NotFound("There is no such invoice.")
    return await perform(request, access, Write(PayInvoice(invoice_id=row.id), row.tenant_id, _paid))


@router.get("/payments", responses=problems(400, 401, 403, 404, 422))
async def list_payments(filters: Annotated[PaymentFilters, Query()], access: Reads) -> Listing[Payment]:
    """Attempts to charge, newest first."""
    async with access.rows() as connection:
        page = await queries.payments(
            connection,
            invoice_id=filters.invoice_id,
            status=filters.status,
            limit=filters.limit,
            cursor=filters.cursor,
        )
    return Listing(data=[_payment(row) for row in page.rows], next_cursor=page.next_cursor)


def _fields(row: InvoiceView) -> dict[str, Any]:
    return {name: getattr(row, name) for name in Invoice.model_fields}


def _payment(row: queries.PaymentView) -> Payment:
    return Payment.model_validate({name: getattr(row, name) for name in Payment.model_fields})


def _paid(result: Mapping[str, Any]) -> PaidInvoice:
    return PaidInvoice(
        payment_id=result["payment_id"],
        invoice_id=result["invoice_id"],
        invoice_number=result["number"],
        invoice_status=result["status"],
        amount=result["amount"],
        paid_at=result["paid_at"],
    )
