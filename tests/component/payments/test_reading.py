"""What the edge reads: its own tenant's rows, pages that hold while rows are added, and the operator's view of all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from prog_contracts.errors import Invalid
from prog_contracts.ids import new_id
from prog_contracts.money import Money
from prog_kit.database import Database
from prog_workers.payments import queries
from tests.component.harness import Harness
from tests.component.payments.tenant import GROWTH, GROWTH_YEARLY, SCALE, STARTER, Tenant, new_tenant
from tests.lasting import kept

TENANT_TABLES = (
    "customers", "payment_methods", "subscriptions", "invoices", "invoice_lines", "payments", "ledger_accounts",
    "ledger_transactions", "ledger_entries",
)  # fmt: skip


@pytest.fixture
async def edge(postgres: str) -> AsyncIterator[Database]:
    async with kept().database(postgres, "prog_edge") as database:
        yield database


async def test_the_platforms_prices_are_public_and_come_cheapest_first(edge: Database, platform: Harness) -> None:
    async with edge.scope() as connection:
        prices = await queries.prices(connection)
        growth = await queries.price(connection, GROWTH)
    assert [(price.id, price.name, price.unit_price.amount) for price in prices] == [
        (STARTER, "Starter", 2900),
        (GROWTH, "Growth", 9900),
        (SCALE, "Scale", 29900),
        (GROWTH_YEARLY, "Growth", 99000),
    ]
    assert growth is not None
    assert growth.highlighted
    assert len(growth.features) >= 3


async def test_a_tenant_reads_its_billing_and_nobody_elses(edge: Database, platform: Harness, tenant: Tenant) -> None:
    other = await new_tenant(platform, "Globex")
    mine, theirs = await tenant.subscribe(), await other.subscribe(price=GROWTH)
    their_invoice = (await other.invoices())[0]["id"]
    async with edge.scope(tenant_id=tenant.id) as connection:
        customer = await queries.customer(connection)
        (card,) = await queries.payment_methods(connection)
        listed = await queries.subscriptions(connection)
        (invoice,) = (await queries.invoices(connection)).rows
        (payment,) = (await queries.payments(connection)).rows
        assert await queries.subscription(connection, theirs) is None
        assert await queries.invoice(connection, their_invoice) is None
        assert await queries.lines(connection, their_invoice) == []
        assert await queries.invoice_pdf(connection, their_invoice) is None
        assert (await queries.payments(connection, invoice_id=their_invoice)).rows == []
    assert customer is not None
    assert (customer.company, customer.email) == ("Acme Ltd", "ada@acme.example")
    assert (card.brand, card.last4, card.is_default) == ("visa", "4242", True)
    assert [subscription.id for subscription in listed.rows] == [mine]
    assert (invoice.subscription_id, invoice.status, invoice.total) == (
        mine,
        "paid",
        Money(amount=2900, currency="USD"),
    )
    assert (payment.status, payment.invoice_number, payment.card_last4) == ("succeeded", invoice.number, "4242")


@pytest.mark.parametrize("role", ["prog_edge", "prog_payments"])
async def test_without_a_tenant_no_row_of_any_tenant_is_seen(postgres: str, tenant: Tenant, role: str) -> None:
    await tenant.subscribe()
    database = await Database.connect(postgres, role, max_size=1)
    for table in TENANT_TABLES:
        async with database.scope() as connection:
            assert await connection.fetchval(f"SELECT count(tenant_id) FROM payments.{table}") == 0, table
    await database.close()


async def test_no_other_domain_reads_a_table_of_payments(module_postgres: str) -> None:
    for role in ("prog_users", "prog_tenants", "prog_email", "prog_monitoring", "prog_events"):
        database = await Database.connect(module_postgres, role, max_size=1)
        for table in (*TENANT_TABLES, "prices", "products", "sandbox_charges", "sandbox_cards", "dunning_policies"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await database.pool.fetchval(f"SELECT count(*) FROM payments.{table}")
        await database.close()


async def test_the_edge_reads_no_gateway_reference_of_a_card_and_writes_nothing(edge: Database, tenant: Tenant) -> None:
    await tenant.subscribe()
    for statement in (
        "SELECT gateway_reference FROM payments.payment_methods",
        "SELECT idempotency_key FROM payments.payments",
        "SELECT * FROM payments.sandbox_cards",
        "UPDATE payments.invoices SET status = 'void'",
        "DELETE FROM payments.subscriptions",
        "INSERT INTO payments.ledger_accounts VALUES ('t', 'cash', 'USD')",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with edge.scope(tenant_id=tenant.id) as connection:
                await connection.execute(statement)


async def test_the_operator_reads_across_tenants_and_filters(edge: Database, platform: Harness, tenant: Tenant) -> None:
    other = await new_tenant(platform, "Globex")
    mine, theirs = await tenant.subscribe(), await other.subscribe("pm_declined", price=GROWTH)
    async with edge.operator() as connection:
        everything = await queries.subscriptions(connection)
        incomplete = await queries.subscriptions(connection, status="incomplete")
        of_tenant = await queries.subscriptions(connection, tenant_id=tenant.id)
        found = await queries.subscriptions(connection, search="GLOB")
        invoices = await queries.invoices(connection, status="open")
        customers = await queries.customers(connection, search="acme ltd")
        revenue = await queries.revenue(connection)
        balances = await queries.trial_balance(connection)
    assert {row.id for row in everything.rows} == {mine, theirs}
    assert [row.company for row in incomplete.rows] == ["Globex"]
    assert [row.id for row in of_tenant.rows] == [mine]
    assert [row.id for row in found.rows] == [theirs]
    assert [row.company for row in invoices.rows] == ["Globex"]
    assert [row.tenant_id for row in customers.rows] == [tenant.id]
    assert revenue.subscriptions == {"active": 1, "incomplete": 1}
    assert revenue.monthly == [Money(amount=2900, currency="USD")]
    assert sum(balance.balance.amount for balance in balances) == 0


async def test_yearly_subscriptions_add_a_twelfth_to_the_monthly_revenue(
    edge: Database, platform: Harness, tenant: Tenant
) -> None:
    other = await new_tenant(platform, "Globex")
    await tenant.subscribe(price=GROWTH_YEARLY)
    await other.subscribe()
    async with edge.operator() as connection:
        revenue = await queries.revenue(connection)
    assert revenue.monthly == [Money(amount=8250 + 2900, currency="USD")]


async def test_what_is_wrong_with_a_payment_is_shown_until_it_is_paid(edge: Database, tenant: Tenant) -> None:
    subscription = await tenant.subscribe("pm_fails_after_1")
    await tenant.wait(days=28 + 4)
    async with edge.scope(tenant_id=tenant.id) as connection:
        view = await queries.subscription(connection, subscription)
    assert view is not None
    assert view.status == "past_due"
    assert view.dunning is not None
    assert (view.dunning.reason, view.dunning.attempts, view.dunning.amount.amount) == ("declined", 2, 2900)
    assert view.dunning.failed_at == view.current_period_start + timedelta(days=3)
    assert view.dunning.next_attempt_at == view.current_period_start + timedelta(days=8)
    await tenant.add_card("pm_ok")
    async with edge.scope(tenant_id=tenant.id) as connection:
        view = await queries.subscription(connection, subscription)
    assert view is not None
    assert (view.status, view.dunning) == ("active", None)


async def test_pages_are_whole_and_stay_true_while_invoices_are_added(edge: Database, tenant: Tenant) -> None:
    await tenant.subscribe()
    await tenant.wait(days=200)
    expected = [invoice["number"] for invoice in reversed(await tenant.invoices())]
    seen: list[str] = []
    cursor = None
    while True:
        async with edge.scope(tenant_id=tenant.id) as connection:
            page = await queries.invoices(connection, limit=2, cursor=cursor)
        seen += [invoice.number for invoice in page.rows]
        if len(seen) == 2:
            await tenant.wait(days=31)
        if page.next_cursor is None:
            break
        cursor = page.next_cursor
    assert seen == expected


async def test_a_cursor_that_no_list_gave_out_is_refused(module_postgres: str) -> None:
    edge = await Database.connect(module_postgres, "prog_edge", max_size=1)
    for cursor in (
        "nonsense",
        "WyJ4IiwieSJd",
        "bnVsbA",
        "W10",
        "e30",
        "é",
        "WyIyMDI3LTAxLTAxIiwieCJd",
        "WyIyMDI3LTAxLTAxVDAwOjAwWiIsMV0",
    ):
        with pytest.raises(Invalid) as refused:
            async with edge.scope() as connection:
                await queries.invoices(connection, cursor=cursor)
        assert refused.value.fields[0].field == "cursor"
    await edge.close()


async def test_an_invoices_pdf_is_the_same_before_and_after_it_is_paid(edge: Database, tenant: Tenant) -> None:
    await tenant.subscribe("pm_declined")
    (invoice,) = await tenant.invoices()
    async with edge.scope(tenant_id=tenant.id) as connection:
        before = await queries.invoice_pdf(connection, invoice["id"])
    await tenant.add_card("pm_ok")
    async with edge.scope(tenant_id=tenant.id) as connection:
        after = await queries.invoice_pdf(connection, invoice["id"])
    assert before is not None
    assert before == after
    assert before.filename == f"invoice-{invoice['number']}.pdf"
    assert before.content.startswith(b"%PDF-")


async def test_an_unknown_invoice_has_no_pdf(edge: Database, tenant: Tenant) -> None:
    async with edge.scope(tenant_id=tenant.id) as connection:
        assert await queries.invoice_pdf(connection, new_id("invoice")) is None
