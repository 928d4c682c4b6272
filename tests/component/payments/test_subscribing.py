"""From a new tenant to a paid subscription."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from prog_contracts.ids import new_id
from prog_contracts.payments import (
    CreateSubscription,
    CustomerCreated,
    InvoiceGenerated,
    InvoiceVoided,
    PaymentFailed,
    PaymentMethodAttached,
    PaymentProcessed,
    SubscriptionCanceled,
    SubscriptionCreated,
    SubscriptionUpdated,
)
from prog_contracts.tenants import TenantUpdated
from tests.component.harness import Harness
from tests.component.payments.tenant import GROWTH, GROWTH_YEARLY, START, STARTER, Tenant, new_tenant


async def test_a_new_tenant_becomes_a_customer_once_at_its_owners_address(platform: Harness, tenant: Tenant) -> None:
    created = await platform.events(CustomerCreated, tenant_id=tenant.id)
    assert [(event.name, event.email) for event in created] == [("Ada Lovelace", "ada@acme.example")]
    again = await tenant.rows("SELECT count(*) AS n FROM payments.customers WHERE tenant_id = $1")
    assert again[0]["n"] == 1


async def test_later_invoices_follow_the_tenants_name_and_written_ones_do_not(
    platform: Harness, tenant: Tenant
) -> None:
    await tenant.subscribe()
    renamed = TenantUpdated(tenant_id=tenant.id, name="Acme Group", status="active", owner_email="bill@acme.example")
    await platform.publish(renamed, tenant_id=tenant.id)
    await tenant.wait(days=32)
    first, second = await tenant.invoices()
    assert (first["customer_company"], first["customer_email"]) == ("Acme Ltd", "ada@acme.example")
    assert (second["customer_company"], second["customer_email"]) == ("Acme Group", "bill@acme.example")


async def test_a_subscription_is_answered_incomplete_and_active_once_its_invoice_is_paid(
    platform: Harness, tenant: Tenant
) -> None:
    command = CreateSubscription(subscription_id=new_id("subscription"), price_id=STARTER, payment_method="pm_ok")
    answer = await platform.request(command, tenant_id=tenant.id)
    assert answer.status == "succeeded"
    assert answer.result is not None
    reply = SubscriptionCreated.model_validate(answer.result)
    assert (reply.subscription_id, reply.status, reply.plan) == (command.subscription_id, "incomplete", "Starter")

    await platform.settle()
    row = await tenant.subscription(command.subscription_id)
    assert row["status"] == "active"
    (invoice,) = await tenant.invoices()
    assert (invoice["status"], invoice["total_minor"], invoice["amount_due_minor"]) == ("paid", 2900, 0)
    (paid,) = await platform.events(PaymentProcessed)
    assert (paid.status, paid.amount.amount, paid.card_last4, paid.paid_at) == ("paid", 2900, "4242", START)
    (updated,) = await platform.events(SubscriptionUpdated)
    assert (updated.reason, updated.status) == ("activated", "active")
    assert len(await platform.events(InvoiceGenerated)) == 1
    assert len(await platform.events(PaymentMethodAttached)) == 1


async def test_the_same_command_twice_makes_one_subscription_and_one_charge(platform: Harness, tenant: Tenant) -> None:
    command = CreateSubscription(subscription_id=new_id("subscription"), price_id=STARTER, payment_method="pm_ok")
    message_id = (await platform.request(command, tenant_id=tenant.id)).message_id
    again = await platform.request(command, tenant_id=tenant.id, message_id=message_id)
    assert again.status == "succeeded"
    await platform.settle()
    assert len(await tenant.invoices()) == 1
    assert len(await tenant.charges()) == 1


async def test_a_yearly_price_is_billed_for_a_year(tenant: Tenant) -> None:
    row = await tenant.subscription(await tenant.subscribe(price=GROWTH_YEARLY))
    assert row["current_period_end"] == datetime(2028, 1, 31, 9, 30, tzinfo=UTC)
    (invoice,) = await tenant.invoices()
    assert invoice["total_minor"] == 99_000


async def test_a_price_per_unit_counts_the_units_and_a_flat_one_refuses_them(platform: Harness, tenant: Tenant) -> None:
    seats = new_id("price")
    await platform.admin.execute(
        "INSERT INTO payments.prices SELECT $1, tenant_id, product_id, 'per_unit', 700, currency, interval,"
        " interval_count FROM payments.prices WHERE id = $2",
        seats,
        STARTER,
    )
    await tenant.subscribe(price=seats, quantity=12)
    (invoice,) = await tenant.invoices()
    assert invoice["total_minor"] == 8400
    flat = CreateSubscription(subscription_id=new_id("subscription"), price_id=GROWTH, quantity=2)
    answer = await tenant.request(flat)
    assert answer.error is not None
    assert answer.error.fields[0].field == "quantity"


async def test_a_price_of_nothing_needs_no_card_and_no_charge(platform: Harness, tenant: Tenant) -> None:
    free = new_id("price")
    await platform.admin.execute(
        "INSERT INTO payments.prices SELECT $1, tenant_id, product_id, model, 0, currency, interval, interval_count"
        " FROM payments.prices WHERE id = $2",
        free,
        STARTER,
    )
    subscription = await tenant.subscribe(card=None, price=free)
    assert (await tenant.subscription(subscription))["status"] == "active"
    await tenant.wait(days=62)
    assert [invoice["status"] for invoice in await tenant.invoices()] == ["paid"] * 3
    assert await tenant.charges() == []
    assert await tenant.balances() == {}


async def test_a_declined_first_charge_leaves_the_subscription_incomplete_with_no_retry(
    platform: Harness, tenant: Tenant
) -> None:
    subscription = await tenant.subscribe("pm_insufficient_funds")
    assert (await tenant.subscription(subscription))["status"] == "incomplete"
    (failed,) = await platform.events(PaymentFailed)
    assert (failed.reason, failed.next_attempt_at, failed.subscription_status) == (
        "insufficient_funds",
        None,
        "incomplete",
    )


async def test_a_new_card_completes_an_incomplete_subscription(tenant: Tenant) -> None:
    subscription = await tenant.subscribe("pm_declined")
    answer = await tenant.add_card("pm_ok")
    assert answer.status == "succeeded"
    assert (await tenant.subscription(subscription))["status"] == "active"
    assert [charge["failure_reason"] for charge in await tenant.charges()] == ["declined", None]


async def test_subscribing_again_replaces_a_subscription_that_was_never_paid(platform: Harness, tenant: Tenant) -> None:
    first = await tenant.subscribe("pm_declined")
    second = await tenant.subscribe("pm_ok", price=GROWTH)
    assert (await tenant.subscription(first))["status"] == "canceled"
    assert (await tenant.subscription(second))["status"] == "active"
    (canceled,) = await platform.events(SubscriptionCanceled)
    (voided,) = await platform.events(InvoiceVoided)
    assert (canceled.subscription_id, canceled.reason) == (first, "superseded")
    assert (voided.subscription_id, voided.status) == (first, "void")
    assert await tenant.balances() == {"cash": 9900, "revenue": -9900}


async def test_a_subscription_that_nobody_pays_is_gone_after_a_day(platform: Harness, tenant: Tenant) -> None:
    subscription = await tenant.subscribe("pm_declined")
    await tenant.wait(hours=24)
    assert (await tenant.subscription(subscription))["status"] == "canceled"
    (canceled,) = await platform.events(SubscriptionCanceled)
    assert canceled.reason == "never_paid"
    assert await tenant.balances() == {}
    assert await tenant.move_to(START + timedelta(days=400)) == 0


async def test_a_second_plan_is_refused_while_one_is_paid_for(tenant: Tenant) -> None:
    await tenant.subscribe()
    answer = await tenant.request(CreateSubscription(subscription_id=new_id("subscription"), price_id=GROWTH))
    assert answer.error is not None
    assert answer.error.code == "already_subscribed"
    assert len(await tenant.invoices()) == 1


async def test_refusals_name_what_is_wrong_and_leave_nothing_behind(tenant: Tenant) -> None:
    wrong = [
        (CreateSubscription(subscription_id=new_id("subscription"), price_id=new_id("price")), "unknown_price", ""),
        (CreateSubscription(subscription_id=new_id("subscription"), price_id=STARTER), "invalid", "payment_method"),
        (
            CreateSubscription(subscription_id=new_id("subscription"), price_id=STARTER, payment_method="4242424242"),
            "invalid",
            "payment_method",
        ),
    ]
    for command, code, field in wrong:
        answer = await tenant.request(command)
        assert answer.error is not None
        assert answer.error.code == code
        assert [error.field for error in answer.error.fields] == ([field] if field else [])
    for table in ("subscriptions", "invoices", "payments", "payment_methods", "ledger_transactions"):
        assert await tenant.rows(f"SELECT FROM payments.{table} WHERE tenant_id = $1") == []


async def test_a_tenant_whose_customer_is_on_the_way_waits_for_it(platform: Harness) -> None:
    early = Tenant(platform, new_id("tenant"), START)
    command = CreateSubscription(subscription_id=new_id("subscription"), price_id=STARTER, payment_method="pm_ok")
    answer = await platform.request(command, tenant_id=early.id)
    assert answer.status == "pending"
    (retry,) = await platform.fetch("SELECT state FROM bus.retries")
    assert retry["state"] == "retry"


async def test_numbers_count_without_gaps_and_each_tenant_has_its_own(platform: Harness, tenant: Tenant) -> None:
    other = await new_tenant(platform, "Globex")
    await tenant.subscribe()
    await other.subscribe()
    await tenant.wait(days=100)
    await other.wait(days=40)
    for one, count in ((tenant, 4), (other, 2)):
        prefix = one.id[-8:].upper()
        numbers = [invoice["number"] for invoice in await one.invoices()]
        assert numbers == [f"{prefix}-{number:04d}" for number in range(1, count + 1)]
