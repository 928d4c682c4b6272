"""Who is billed, and with which card."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field
from starlette.responses import Response

from prog_contracts.ids import new_id
from prog_contracts.payments import AttachPaymentMethod
from prog_edge.access import Access, Needs
from prog_edge.api.shapes import Body, Listing, Paging, Resource, problems
from prog_edge.writes import Write, perform
from prog_workers.payments import queries

router = APIRouter(prefix="/v1", tags=["Billing"])


class Customer(Resource):
    """Who is billed: `company` is the tenant's name, `name` and `email` its owner's."""

    id: str = Field(examples=["customer_01jd7z4c8nf3ktv9q2m6x0r5we"])
    tenant_id: str
    company: str
    name: str
    email: str
    created_at: datetime


class PaymentMethod(Resource):
    """A card as the gateway describes it; a card number never comes here."""

    id: str = Field(examples=["method_01jd7z4c8nf3ktv9q2m6x0r5we"])
    customer_id: str
    brand: str
    last4: str
    expiry_month: int
    expiry_year: int
    is_default: bool
    created_at: datetime


class NewPaymentMethod(Body):
    token: str = Field(min_length=1, max_length=200, description="The gateway's token of a card.", examples=["pm_ok"])


class CustomerFilters(Paging):
    search: str | None = Field(None, max_length=200, description="Part of a company, name or address.")


@router.get("/customers", responses=problems(400, 401, 403, 404, 422))
async def list_customers(
    filters: Annotated[CustomerFilters, Query()], access: Annotated[Access, Depends(Needs("billing.read"))]
) -> Listing[Customer]:
    """Customers, newest first: the tenant's own; for the platform's staff, all."""
    async with access.rows() as connection:
        page = await queries.customers(connection, search=filters.search, limit=filters.limit, cursor=filters.cursor)
    customers = [
        Customer(
            id=row.id,
            tenant_id=row.tenant_id,
            company=row.company,
            name=row.name,
            email=row.email,
            created_at=row.created_at,
        )
        for row in page.rows
    ]
    return Listing(data=customers, next_cursor=page.next_cursor)


@router.get("/payment-methods", responses=problems(400, 401, 403, 404))
async def list_payment_methods(
    access: Annotated[Access, Depends(Needs("billing.read"))],
) -> Listing[PaymentMethod]:
    """The tenant's cards: the default one first."""
    async with access.rows() as connection:
        rows = await queries.payment_methods(connection)
    return Listing(data=[_card(row) for row in rows], next_cursor=None)


@router.post(
    "/payment-methods", status_code=201, response_model=PaymentMethod, responses=problems(400, 401, 403, 404, 409, 422)
)
async def attach_payment_method(
    body: NewPaymentMethod, request: Request, access: Annotated[Access, Depends(Needs("billing.manage"))]
) -> Response:
    """Keep a card as the default one. What is still to be paid is tried with it at once."""
    command = AttachPaymentMethod(payment_method_id=new_id("method"), token=body.token)
    return await perform(request, access, Write(command, access.tenant, _attached, status=201))


def _card(row: queries.CardView) -> PaymentMethod:
    return PaymentMethod(
        id=row.id,
        customer_id=row.customer_id,
        brand=row.brand,
        last4=row.last4,
        expiry_month=row.expiry_month,
        expiry_year=row.expiry_year,
        is_default=row.is_default,
        created_at=row.created_at,
    )


def _attached(result: Mapping[str, Any]) -> PaymentMethod:
    fields = {name: result[name] for name in ("customer_id", "brand", "last4", "expiry_month", "expiry_year")}
    return PaymentMethod(id=result["payment_method_id"], is_default=True, created_at=result["created_at"], **fields)
