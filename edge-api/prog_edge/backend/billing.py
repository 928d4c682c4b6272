"""A tenant's billing as the pages show it."""

from __future__ import annotations

from datetime import UTC, datetime

from prog_contracts.errors import NotFound
from prog_contracts.tenants import TenantRole
from prog_edge.backend.plans import plans_on_sale
from prog_edge.web.ports import BillingView, Card, Dunning, InvoiceRow, SubscriptionView
from prog_kit.database import Connection
from prog_workers.payments import queries
from prog_workers.tenants import queries as tenants

INVOICES_SHOWN = 50


async def view(
    connection: Connection, tenant_id: str, role: TenantRole, *, sandbox: bool, cursor: str | None = None
) -> BillingView:
    """Plans, subscription, card, and a page of invoices. Raises NotFound when the connection sees no such tenant."""
    tenant = await tenants.tenant(connection, tenant_id)
    if tenant is None:
        raise NotFound("There is no such tenant.")
    cards = await queries.payment_methods(connection)
    invoices = await queries.invoices(connection, limit=INVOICES_SHOWN, cursor=cursor)
    card = next(
        (Card(row.brand, row.last4, row.expiry_month, row.expiry_year) for row in cards if row.is_default), None
    )
    return BillingView(
        tenant_id=tenant_id,
        tenant_name=tenant.name,
        role=role,
        plans=await plans_on_sale(connection),
        subscription=await current_subscription(connection),
        card=card,
        invoices=[_invoice(row) for row in invoices.rows],
        sandbox=sandbox,
        clock_at=tenant.clock_at,
        next_cursor=invoices.next_cursor,
    )


async def current_subscription(connection: Connection) -> SubscriptionView | None:
    """The newest subscription that has not ended."""
    page = await queries.subscriptions(connection, limit=20)
    row = next((row for row in page.rows if row.status != "canceled"), None)
    if row is None:
        return None
    dunning = row.dunning
    return SubscriptionView(
        id=row.id,
        plan=row.plan,
        price_id=row.price_id,
        price=row.unit_price,
        interval=row.interval,
        status=row.status,
        current_period_start=row.current_period_start,
        current_period_end=row.current_period_end,
        cancel_at_period_end=row.cancel_at_period_end,
        dunning=None
        if dunning is None
        else Dunning(
            reason=dunning.reason,
            failed_at=dunning.failed_at,
            amount=dunning.amount,
            attempts=dunning.attempts,
            next_attempt_at=dunning.next_attempt_at,
        ),
    )


async def tenant_now(connection: Connection, tenant_id: str) -> datetime:
    """The present instant on the tenant's clock."""
    clock = await tenants.clock(connection, tenant_id)
    return datetime.now(UTC) if clock is None else clock.stands_at


def _invoice(row: queries.InvoiceView) -> InvoiceRow:
    return InvoiceRow(
        id=row.id,
        number=row.number,
        status=row.status,
        total=row.total,
        amount_due=row.amount_due,
        issued_at=row.issued_at,
        period_start=row.period_start,
        period_end=row.period_end,
        story_id=row.id,
    )
