"""A subscription over months: renewals on the anchor's day, failing cards, recovery, and the end."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import asyncpg
import pytest

from prog_contracts.ids import new_id
from prog_contracts.payments import (
    CancelSubscription,
    InvoiceGenerated,
    PaymentFailed,
    PaymentProcessed,
    RenewSubscription,
    SubscriptionCanceled,
    SubscriptionUpdated,
)
from prog_contracts.tenants import TenantDeleted
from tests.component.harness import Harness
from tests.component.payments.tenant import START, STARTER, Tenant

FEBRUARY = datetime(2027, 2, 28, 9, 30, tzinfo=UTC)
"""When a subscription of 31 January renews first."""


def days_after(first: datetime, times: list[datetime]) -> list[int]:
    return [(time - first).days for time in times]


async def weekly_price(platform: Harness) -> str:
    price_id = new_id("price")
    await platform.admin.execute(
        "INSERT INTO payments.prices SELECT $1, tenant_id, product_id, model, 1000, currency, 'week', 1"
        " FROM payments.prices WHERE id = $2",
        price_id,
        STARTER,
    )
    return price_id


async def test_a_year_of_renewals_keeps_the_31st_and_bills_each_month_once(tenant: Tenant) -> None:
    subscription = await tenant.subscribe()
    await tenant.move_to(datetime(2028, 1, 31, 9, 29, tzinfo=UTC))
    invoices = await tenant.invoices()
    starts = [invoice["period_start"].date().isoformat()[5:] for invoice in invoices]
    assert starts == [
        "01-31", "02-28", "03-31", "04-30", "05-31", "06-30", "07-31", "08-31", "09-30", "10-31", "11-30", "12-31",
    ]  # fmt: skip
    assert all(before["period_end"] == after["period_start"] for before, after in pairwise(invoices))
    assert {invoice["status"] for invoice in invoices} == {"paid"}
    assert len(await tenant.charges()) == 12
    assert (await tenant.subscription(subscription))["current_period_end"] == datetime(2028, 1, 31, 9, 30, tzinfo=UTC)


async def test_a_renewal_is_told_and_dated_on_the_tenants_clock(platform: Harness, tenant: Tenant) -> None:
    await tenant.subscribe()
    await tenant.move_to(FEBRUARY)
    renewed = [event for event in await platform.events(SubscriptionUpdated) if event.reason == "renewed"]
    assert [(event.current_period_start, event.status) for event in renewed] == [(FEBRUARY, "active")]
    assert [event.issued_at for event in await platform.events(InvoiceGenerated)] == [START, FEBRUARY]


async def test_a_second_bill_run_makes_no_second_invoice(platform: Harness, tenant: Tenant) -> None:
    subscription = await tenant.subscribe()
    await tenant.move_to(FEBRUARY)
    for period_start in (START, START, FEBRUARY):
        again = await tenant.request(RenewSubscription(subscription_id=subscription, period_start=period_start))
        assert again.status == "succeeded"
    assert len(await tenant.invoices()) == 2
    assert len(await tenant.charges()) == 2
    assert len(await platform.fetch("SELECT FROM bus.timers WHERE name LIKE 'renew:%'")) == 1


async def test_a_renewal_told_twice_after_an_outage_moves_one_period(platform: Harness, tenant: Tenant) -> None:
    subscription = await tenant.subscribe()
    await platform.set_clock(tenant.id, START + timedelta(days=95))
    for _ in range(2):
        await tenant.request(RenewSubscription(subscription_id=subscription, period_start=START))
    assert (await tenant.subscription(subscription))["period_index"] == 1
    assert len(await tenant.invoices()) == 2


async def test_bill_runs_at_the_same_time_make_one_invoice(platform: Harness, tenant: Tenant) -> None:
    subscription = await tenant.subscribe()
    await platform.set_clock(tenant.id, FEBRUARY)
    command = RenewSubscription(subscription_id=subscription, period_start=START)
    answers = await asyncio.gather(*(platform.request(command, tenant_id=tenant.id) for _ in range(4)))
    assert [answer.status for answer in answers] == ["succeeded"] * 4
    await platform.settle()
    assert len(await tenant.invoices()) == 2
    assert len(await tenant.charges()) == 2


async def test_a_period_has_one_invoice_by_a_key_of_the_database(platform: Harness, tenant: Tenant) -> None:
    subscription = await tenant.subscribe()
    with pytest.raises(asyncpg.UniqueViolationError, match="invoices_one_a_period"):
        await platform.admin.execute(
            "INSERT INTO payments.invoices (id, tenant_id, customer_id, subscription_id, kind, number, status, plan,"
            " currency, total_minor, amount_due_minor, period_start, period_end, issued_at, customer_company,"
            " customer_name, customer_email) SELECT 'other', tenant_id, customer_id, subscription_id, kind, 'other',"
            " status, plan, currency, total_minor, amount_due_minor, period_start, period_end, issued_at,"
            " customer_company, customer_name, customer_email FROM payments.invoices WHERE subscription_id = $1",
            subscription,
        )


async def test_periods_that_passed_while_nothing_ran_are_billed_one_by_one(tenant: Tenant) -> None:
    subscription = await tenant.subscribe()
    late = START + timedelta(days=95)
    assert await tenant.run_late(late) == 3
    invoices = await tenant.invoices()
    assert [invoice["period_start"].month for invoice in invoices] == [1, 2, 3, 4]
    assert [invoice["issued_at"] for invoice in invoices[1:]] == [late] * 3
    assert (await tenant.subscription(subscription))["current_period_end"] > late


async def test_a_failing_card_is_tried_on_days_0_3_8_15_and_22_and_then_the_subscription_ends(
    platform: Harness, tenant: Tenant
) -> None:
    subscription = await tenant.subscribe("pm_fails_after_1")
    await tenant.move_to(FEBRUARY + timedelta(days=400))
    failures = await platform.events(PaymentFailed)
    assert days_after(FEBRUARY, [failure.failed_at for failure in failures]) == [0, 3, 8, 15, 22]
    assert [failure.attempt for failure in failures] == [0, 1, 2, 3, 4]
    assert [failure.trigger for failure in failures] == ["initial", "dunning", "dunning", "dunning", "dunning"]
    announced = [failure.next_attempt_at for failure in failures]
    assert announced == [failure.failed_at for failure in failures[1:]] + [None]
    assert [failure.subscription_status for failure in failures] == ["past_due"] * 4 + ["canceled"]
    reasons = [event.reason for event in await platform.events(SubscriptionUpdated)]
    assert reasons == ["activated", "renewed", "past_due"]
    (canceled,) = await platform.events(SubscriptionCanceled)
    assert (canceled.subscription_id, canceled.reason) == (subscription, "dunning_exhausted")
    assert [invoice["status"] for invoice in await tenant.invoices()] == ["paid", "uncollectible"]
    assert await tenant.balances() == {"cash": 2900, "revenue": -5800, "bad_debt": 2900}
    assert await platform.fetch("SELECT FROM bus.timers") == []


async def test_a_success_in_dunning_makes_it_active_and_drops_the_later_attempts(
    platform: Harness, tenant: Tenant
) -> None:
    subscription = await tenant.subscribe("pm_fails_after_1")
    await tenant.move_to(FEBRUARY + timedelta(days=4))
    assert (await tenant.subscription(subscription))["status"] == "past_due"
    card = await tenant.add_card("pm_ok")
    assert card.status == "succeeded"
    assert (await tenant.subscription(subscription))["status"] == "active"
    recovered = (await platform.events(SubscriptionUpdated))[-1]
    assert (recovered.reason, recovered.status) == ("recovered", "active")
    assert (await platform.events(PaymentProcessed))[-1].card_last4 == "4242"
    timers = await platform.fetch("SELECT name FROM bus.timers")
    assert [timer["name"] for timer in timers] == [f"renew:{subscription}"]
    charges = len(await tenant.charges())
    await tenant.move_to(FEBRUARY + timedelta(days=30))
    assert len(await tenant.charges()) == charges


async def test_a_new_card_that_fails_uses_up_no_slot(platform: Harness, tenant: Tenant) -> None:
    await tenant.subscribe("pm_fails_after_1")
    await tenant.move_to(FEBRUARY + timedelta(days=1))
    await tenant.add_card("pm_insufficient_funds")
    await tenant.move_to(FEBRUARY + timedelta(days=60))
    failures = await platform.events(PaymentFailed)
    assert [(failure.trigger, days_after(FEBRUARY, [failure.failed_at])[0]) for failure in failures] == [
        ("initial", 0), ("new_card", 1), ("dunning", 3), ("dunning", 8), ("dunning", 15), ("dunning", 22),
    ]  # fmt: skip
    assert failures[1].next_attempt_at == FEBRUARY + timedelta(days=3)


@pytest.mark.parametrize("token", ["pm_lost", "pm_requires_action"])
async def test_a_hard_decline_is_not_tried_again_and_ends_with_the_policy(
    platform: Harness, tenant: Tenant, token: str
) -> None:
    subscription = await tenant.subscribe()
    await tenant.add_card(token)
    await tenant.move_to(FEBRUARY + timedelta(days=21))
    (failed,) = await platform.events(PaymentFailed)
    assert (failed.hard, failed.next_attempt_at, failed.subscription_status) == (True, None, "past_due")
    assert (await tenant.subscription(subscription))["status"] == "past_due"
    await tenant.move_to(FEBRUARY + timedelta(days=22))
    assert (await tenant.subscription(subscription))["status"] == "canceled"
    assert len(await tenant.charges()) == 2


async def test_a_new_card_after_a_hard_decline_is_tried_at_once(tenant: Tenant) -> None:
    subscription = await tenant.subscribe()
    await tenant.add_card("pm_lost")
    await tenant.move_to(FEBRUARY + timedelta(days=10))
    await tenant.add_card("pm_ok")
    assert (await tenant.subscription(subscription))["status"] == "active"
    await tenant.move_to(FEBRUARY + timedelta(days=25))
    assert (await tenant.subscription(subscription))["status"] == "active"


async def test_weekly_cycles_go_on_while_past_due_and_all_must_be_paid_to_recover(
    platform: Harness, tenant: Tenant
) -> None:
    subscription = await tenant.subscribe("pm_fails_after_1", price=await weekly_price(platform))
    await tenant.wait(days=16)
    assert [invoice["status"] for invoice in await tenant.invoices()] == ["paid", "open", "open"]
    await tenant.add_card("pm_fails_after_1")
    statuses = [invoice["status"] for invoice in await tenant.invoices()]
    assert statuses == ["paid", "paid", "open"]
    assert (await tenant.subscription(subscription))["status"] == "past_due"
    assert "recovered" not in [event.reason for event in await platform.events(SubscriptionUpdated)]
    await tenant.add_card("pm_ok")
    assert (await tenant.subscription(subscription))["status"] == "active"
    assert {invoice["status"] for invoice in await tenant.invoices()} == {"paid"}


async def test_the_end_of_dunning_stops_every_cycle_of_a_weekly_plan(platform: Harness, tenant: Tenant) -> None:
    await tenant.subscribe("pm_fails_after_1", price=await weekly_price(platform))
    await tenant.wait(days=90)
    assert await platform.fetch("SELECT FROM bus.timers") == []
    statuses = [invoice["status"] for invoice in await tenant.invoices()]
    assert statuses[0] == "paid"
    assert set(statuses[1:]) == {"uncollectible"}
    assert len({invoice["period_start"] for invoice in await tenant.invoices()}) == len(statuses)
    assert len(await platform.events(SubscriptionCanceled)) == 1
    assert (await tenant.balances()).get("receivable") is None


async def test_paying_by_hand_uses_up_no_slot_and_answers_with_the_outcome(platform: Harness, tenant: Tenant) -> None:
    subscription = await tenant.subscribe("pm_fails_after_2")
    await tenant.move_to(datetime(2027, 3, 31, 9, 30, tzinfo=UTC))
    invoice = (await tenant.invoices())[-1]
    answer = await tenant.pay(invoice["id"])
    assert answer.error is not None
    assert answer.error.code == "declined"
    failures = await platform.events(PaymentFailed)
    assert [failure.trigger for failure in failures] == ["initial", "manual"]
    assert failures[1].next_attempt_at == failures[0].next_attempt_at

    await platform.admin.execute("UPDATE payments.sandbox_cards SET token = 'pm_ok'")
    paid = await tenant.pay(invoice["id"])
    assert paid.status == "succeeded"
    assert paid.result is not None
    assert paid.result["status"] == "paid"
    assert (await tenant.subscription(subscription))["status"] == "active"
    again = await tenant.pay(invoice["id"])
    assert again.error is not None
    assert again.error.code == "invoice_not_open"


async def test_canceling_at_the_period_end_keeps_what_was_paid_for(platform: Harness, tenant: Tenant) -> None:
    subscription = await tenant.subscribe()
    answer = await tenant.request(CancelSubscription(subscription_id=subscription))
    assert answer.result is not None
    assert (answer.result["status"], answer.result["cancel_at_period_end"]) == ("active", True)
    await tenant.move_to(FEBRUARY - timedelta(seconds=1))
    assert (await tenant.subscription(subscription))["status"] == "active"
    await tenant.move_to(FEBRUARY)
    row = await tenant.subscription(subscription)
    assert (row["status"], row["canceled_at"]) == ("canceled", FEBRUARY)
    assert len(await tenant.invoices()) == 1
    (canceled,) = await platform.events(SubscriptionCanceled)
    assert canceled.reason == "requested"


async def test_canceling_now_stops_everything_and_leaves_an_open_invoice_to_be_paid(
    platform: Harness, tenant: Tenant
) -> None:
    subscription = await tenant.subscribe("pm_fails_after_1")
    await tenant.move_to(FEBRUARY + timedelta(days=1))
    answer = await tenant.request(CancelSubscription(subscription_id=subscription, at_period_end=False))
    assert answer.status == "succeeded"
    assert await platform.fetch("SELECT FROM bus.timers") == []
    await tenant.move_to(FEBRUARY + timedelta(days=60))
    invoice = (await tenant.invoices())[-1]
    assert (invoice["status"], invoice["next_attempt_at"]) == ("open", None)
    assert len(await tenant.charges()) == 2
    await tenant.add_card("pm_ok")
    assert len(await tenant.charges()) == 2
    assert (await tenant.pay(invoice["id"])).status == "succeeded"
    assert (await tenant.subscription(subscription))["status"] == "canceled"


@pytest.mark.parametrize("at_period_end", [True, False])
async def test_canceling_twice_is_answered_alike_and_told_once(
    platform: Harness, tenant: Tenant, at_period_end: bool
) -> None:
    subscription = await tenant.subscribe()
    told = SubscriptionUpdated if at_period_end else SubscriptionCanceled
    before = len(await platform.events(told))
    command = CancelSubscription(subscription_id=subscription, at_period_end=at_period_end)
    first, second = await tenant.request(command), await tenant.request(command)
    assert (first.status, second.status) == ("succeeded", "succeeded")
    assert first.result == second.result
    assert len(await platform.events(told)) == before + 1


async def test_canceling_what_dunning_has_ended_says_so(platform: Harness, tenant: Tenant) -> None:
    subscription = await tenant.subscribe("pm_fails_after_1")
    await tenant.move_to(FEBRUARY + timedelta(days=60))
    answer = await tenant.request(CancelSubscription(subscription_id=subscription))
    assert answer.result is not None
    assert (answer.result["status"], answer.result["reason"]) == ("canceled", "dunning_exhausted")


async def test_a_canceled_tenant_may_subscribe_again(tenant: Tenant) -> None:
    first = await tenant.subscribe()
    await tenant.request(CancelSubscription(subscription_id=first, at_period_end=False))
    second = await tenant.subscribe(None)
    assert (await tenant.subscription(second))["status"] == "active"


async def test_a_deleted_tenant_is_billed_no_more(platform: Harness, tenant: Tenant) -> None:
    await tenant.subscribe()
    await platform.publish(TenantDeleted(tenant_id=tenant.id), tenant_id=tenant.id)
    await tenant.wait(days=100)
    assert len(await tenant.invoices()) == 1
    assert len(await platform.events(SubscriptionCanceled)) == 1
