"""Subscriptions of a tenant to the platform's plans."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field
from starlette.responses import Response

from prog_contracts.errors import NotFound
from prog_contracts.ids import PriceId, new_id
from prog_contracts.money import Money
from prog_contracts.payments import CancelSubscription, CreateSubscription, FailureReason, Interval, SubscriptionStatus
from prog_edge.access import Access, Needs
from prog_edge.api.shapes import Body, Listing, Paging, Resource, problems
from prog_edge.writes import Write, perform
from prog_workers.payments import queries
from prog_workers.payments.queries import SubscriptionView

router = APIRouter(prefix="/v1/subscriptions", tags=["Billing"])

MAX_QUANTITY = 1_000_000
Reads = Annotated[Access, Depends(Needs("billing.read"))]
Manages = Annotated[Access, Depends(Needs("billing.manage"))]
SubscriptionPath = Annotated[str, Path(max_length=100)]


class Dunning(Resource):
    """Why the last charge failed, and when the next one is tried (null: none is planned)."""

    invoice_id: str
    reason: FailureReason
    failed_at: datetime
    amount: Money
    attempts: int
    next_attempt_at: datetime | None


class Subscription(Resource):
    """`unit_price` is for one period and unit; `dunning` is set while a failed invoice waits to be paid."""

    id: str = Field(examples=["subscription_01jd7z4c8nf3ktv9q2m6x0r5we"])
    tenant_id: str
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
    canceled_at: datetime | None = None
    dunning: Dunning | None = None


class NewSubscription(Body):
    price_id: PriceId = Field(examples=["price_01jd7z4c8nf3ktv9q2m6x0r5we"])
    payment_method: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="The gateway's token of a card, which becomes the default one.",
        examples=["pm_ok"],
    )
    quantity: int = Field(1, ge=1, le=MAX_QUANTITY, strict=True)


class SubscriptionCancellation(Body):
    at_period_end: bool = Field(True, strict=True, description="False ends it now.")


class Filters(Paging):
    status: SubscriptionStatus | None = None


@router.post("", status_code=201, response_model=Subscription, responses=problems(400, 401, 403, 404, 409, 422))
async def create_subscription(body: NewSubscription, request: Request, access: Manages) -> Response:
    """Subscribe the tenant to a price. It is `incomplete` until its first invoice is paid, moments later."""
    command = CreateSubscription(
        subscription_id=new_id("subscription"),
        price_id=body.price_id,
        payment_method=body.payment_method,
        quantity=body.quantity,
    )
    write = Write(command, access.tenant, _presenter(access.tenant), status=201, location=_address)
    return await perform(request, access, write)


@router.get("", responses=problems(400, 401, 403, 404, 422))
async def list_subscriptions(filters: Annotated[Filters, Query()], access: Reads) -> Listing[Subscription]:
    """Subscriptions, newest first."""
    async with access.rows() as connection:
        page = await queries.subscriptions(
            connection, status=filters.status, limit=filters.limit, cursor=filters.cursor
        )
    return Listing(data=[_of_view(row) for row in page.rows], next_cursor=page.next_cursor)


@router.get("/{subscription_id}", responses=problems(400, 401, 403, 404))
async def get_subscription(subscription_id: SubscriptionPath, access: Reads) -> Subscription:
    """One subscription."""
    async with access.rows() as connection:
        row = await queries.subscription(connection, subscription_id)
    if row is None:
        raise NotFound("There is no such subscription.")
    return _of_view(row)


@router.post("/{subscription_id}/cancel", response_model=Subscription, responses=problems(400, 401, 403, 404, 409, 422))
async def cancel_subscription(
    subscription_id: SubscriptionPath, request: Request, access: Manages, body: SubscriptionCancellation | None = None
) -> Response:
    """End a subscription, at the end of the paid period unless told otherwise."""
    async with access.rows() as connection:
        row = await queries.subscription(connection, subscription_id)
    if row is None:
        raise NotFound("There is no such subscription.")
    at_period_end = body.at_period_end if body is not None else True
    command = CancelSubscription(subscription_id=row.id, at_period_end=at_period_end)
    return await perform(request, access, Write(command, row.tenant_id, _presenter(row.tenant_id)))


def _of_view(row: SubscriptionView) -> Subscription:
    dunning = row.dunning
    return Subscription(
        id=row.id,
        tenant_id=row.tenant_id,
        customer_id=row.customer_id,
        price_id=row.price_id,
        plan=row.plan,
        status=row.status,
        quantity=row.quantity,
        unit_price=row.unit_price,
        interval=row.interval,
        interval_count=row.interval_count,
        current_period_start=row.current_period_start,
        current_period_end=row.current_period_end,
        cancel_at_period_end=row.cancel_at_period_end,
        created_at=row.created_at,
        canceled_at=row.canceled_at,
        dunning=None
        if dunning is None
        else Dunning(
            invoice_id=dunning.invoice_id,
            reason=dunning.reason,
            failed_at=dunning.failed_at,
            amount=dunning.amount,
            attempts=dunning.attempts,
            next_attempt_at=dunning.next_attempt_at,
        ),
    )


def _presenter(tenant_id: str) -> Any:
    def present(result: Mapping[str, Any]) -> Subscription:
        fields = {name: value for name, value in result.items() if name in Subscription.model_fields}
        return Subscription(id=result["subscription_id"], tenant_id=tenant_id, **fields)

    return present


def _address(subscription: Any) -> str:
    return f"/v1/subscriptions/{subscription.id}"
