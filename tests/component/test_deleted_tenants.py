"""A tenant is deleted: every domain lets go of what is the tenant's, and keeps what it says that it keeps."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from prog_broker import purging
from prog_contracts.email import DeliverMail, PurgeMails, SendMail
from prog_contracts.events import NewEvent, PublishEvents, PurgeStreams, RegisterSchema
from prog_contracts.ids import new_id
from prog_contracts.payments import CreateSubscription, SubscriptionCreated, SubscriptionUpdated
from prog_contracts.tenants import CreateTenant, DeleteTenant, ProvisionTenant, TenantDeleted
from prog_workers.email.handlers import email
from prog_workers.events.handlers import events
from prog_workers.payments.app import domain as payments
from prog_workers.payments.gateway.sandbox import Sandbox
from prog_workers.payments.handlers.domain import use_gateway
from prog_workers.tenants.handlers import tenants
from prog_workers.users.handlers import users
from tests import lasting
from tests.component.harness import Harness
from tests.component.payments.tenant import START, STARTER
from tests.component.tenants.company import Company

DOMAINS = (users, tenants, payments, email, events)
TABLES = """
SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND a.attnotnull
WHERE n.nspname = ANY ($1::text[]) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
"""
SCHEMAS = ["bus", "users", "tenants", "payments", "email", "events"]


@pytest.fixture
async def platform(postgres: str) -> AsyncIterator[Harness]:
    async with (
        Harness(postgres, *DOMAINS, at=START) as platform,
        lasting.kept().database(postgres, "prog_payments") as database,
    ):
        use_gateway(Sandbox(database))
        yield platform


async def rows_of(platform: Harness, tenant_id: str) -> dict[str, int]:
    """How many rows each table has of a tenant; none are left out."""
    found = {}
    for table in await platform.fetch(TABLES, SCHEMAS):
        [row] = await platform.fetch(f"SELECT count(*) AS n FROM {table['name']} WHERE tenant_id = $1", tenant_id)
        found[table["name"]] = row["n"]
    return {name: count for name, count in found.items() if count}


async def dead_letters(platform: Harness) -> set[str]:
    """What could not be handled; nobody delivers mails here."""
    rows = await platform.fetch("SELECT type FROM bus.dead_letters WHERE type <> $1", DeliverMail.TYPE)
    return {row["type"] for row in rows}


def kept() -> set[str]:
    return set(purging.KEPT).union(*(domain.tenant_rows.kept for domain in DOMAINS))


async def busy(platform: Harness, name: str) -> Company:
    """A tenant with something in every domain but a bill."""
    company = Company(platform, name=name, owner_email=f"owner@{name}.example")
    await company.open()
    await platform.set_clock(company.tenant_id, START)
    await company.invite(f"guest@{name}.example")
    schema = RegisterSchema(event_type="com.acme.thing", json_schema='{"type": "object"}')
    published = PublishEvents(events=(NewEvent(id="1", source="/shop", type="com.acme.thing", data={}, stream="s"),))
    for command in (schema, published):
        answer = await company.send(command)
        assert answer.status == "succeeded", answer
    await platform.settle()
    return company


async def subscribed(platform: Harness, company: Company) -> None:
    command = CreateSubscription(
        subscription_id=new_id("subscription"), price_id=STARTER, payment_method="pm_ok", quantity=1
    )
    assert (await company.send(command)).status == "succeeded"
    await platform.settle()


async def delete(platform: Harness, company: Company) -> None:
    assert (await company.send(DeleteTenant(tenant_id=company.tenant_id))).status == "succeeded"
    await platform.settle()
    await platform.fire_timers(company.tenant_id, START + timedelta(days=30))
    await platform.settle()


async def test_a_deleted_tenant_that_was_never_billed_leaves_nothing_but_what_is_kept(platform: Harness) -> None:
    company, other = await busy(platform, "gone"), await busy(platform, "stays")
    before, others = await rows_of(platform, company.tenant_id), await rows_of(platform, other.tenant_id)
    for table in ("tenants.members", "email.mails", "payments.customers", "bus.event_schemas", "bus.streams"):
        assert before[table], f"{table} has something to delete"
    await delete(platform, company)
    left = await rows_of(platform, company.tenant_id)
    assert set(left) <= kept(), "what is left is named, with a reason"
    assert "bus.timers" not in left
    assert await rows_of(platform, other.tenant_id) == others, "nobody else loses a row"


async def test_of_a_deleted_tenant_that_was_billed_the_books_stay_and_the_cards_are_forgotten(
    platform: Harness,
) -> None:
    company = await busy(platform, "billed")
    await subscribed(platform, company)
    books = {name: n for name, n in (await rows_of(platform, company.tenant_id)).items() if name.startswith("payments")}
    assert books["payments.invoices"] == 1
    await delete(platform, company)
    left = await rows_of(platform, company.tenant_id)
    assert {name: n for name, n in left.items() if name.startswith("payments")} == books
    assert {name for name in left if not name.startswith("payments")} <= kept()
    [card] = await platform.fetch("SELECT * FROM payments.payment_methods WHERE tenant_id = $1", company.tenant_id)
    assert (card["gateway_reference"], card["is_default"]) == ("", False)
    [subscription] = await platform.fetch(
        "SELECT status FROM payments.subscriptions WHERE tenant_id = $1", company.tenant_id
    )
    assert subscription["status"] == "canceled"


async def test_what_is_paid_for_is_not_renewed_once_deletion_is_asked_for(platform: Harness) -> None:
    company = await busy(platform, "leaving")
    await subscribed(platform, company)
    await company.send(DeleteTenant(tenant_id=company.tenant_id))
    await platform.settle()
    assert (await platform.events(SubscriptionUpdated, tenant_id=company.tenant_id))[-1].reason == "cancel_scheduled"
    await delete_is_over(platform, company)
    rows = await platform.fetch("SELECT FROM payments.invoices WHERE tenant_id = $1", company.tenant_id)
    assert len(rows) == 1, "no second period was billed"


async def delete_is_over(platform: Harness, company: Company) -> None:
    await platform.fire_timers(company.tenant_id, START + timedelta(days=40))
    await platform.settle()


async def test_mails_go_a_batch_at_a_time_and_a_purge_goes_on_where_it_was(
    platform: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    company = await busy(platform, "mails")
    for number in range(7):
        mail = SendMail(mail_id=new_id("mail"), template="lead_thanks", to=f"x{number}@mails.example")
        await platform.request(mail, tenant_id=company.tenant_id, actor="test")
    await platform.settle()
    usual = purging.purge_rows
    calls: list[bool] = []

    async def three(tx: Any, tables: Any) -> bool:
        calls.append(await usual(tx, tables, batch=3))
        return calls[-1]

    monkeypatch.setattr("prog_workers.email.handlers.purge_rows", three)
    await platform.publish(TenantDeleted(tenant_id=company.tenant_id), tenant_id=company.tenant_id, to="email")
    [left] = await platform.fetch("SELECT count(*) AS n FROM email.mails WHERE tenant_id = $1", company.tenant_id)
    assert left["n"] >= 7, "events of mails go before the mails that they refer to"
    await platform.settle()
    assert len(calls) > 3
    assert calls[-1] is False
    assert not {name for name in await rows_of(platform, company.tenant_id) if name.startswith("email.")} - kept()


async def test_streams_go_a_batch_a_transaction(platform: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    company, other = await busy(platform, "streams"), await busy(platform, "flows")
    told = tuple(NewEvent(id=f"n{n}", source="/s", type="com.acme.n", data={}, stream=f"s{n}") for n in range(10))
    assert (await company.send(PublishEvents(events=told))).status == "succeeded"
    usual = purging.purge_rows

    async def three(tx: Any, tables: Any) -> bool:
        return await usual(tx, tables, batch=3)

    monkeypatch.setattr("prog_workers.events.handlers.purge_rows", three)
    await platform.publish(TenantDeleted(tenant_id=company.tenant_id), tenant_id=company.tenant_id, to="events")
    assert (await rows_of(platform, company.tenant_id))["bus.streams"] == 8, "one batch is gone"
    await platform.settle()
    left = await rows_of(platform, company.tenant_id)
    assert not {"bus.streams", "bus.event_types", "bus.event_schemas"} & set(left)
    assert len(await platform.events(PurgeStreams, tenant_id=company.tenant_id)) >= 3
    answer = await platform.request(PurgeStreams(), tenant_id=other.tenant_id, actor="test")
    assert answer.error is not None
    assert answer.error.code == "tenant_not_deleted"
    assert (await rows_of(platform, other.tenant_id))["bus.streams"] == 1


async def test_nothing_is_written_for_a_tenant_that_was_deleted(platform: Harness) -> None:
    company = await busy(platform, "silent")
    await delete(platform, company)
    late = SendMail(mail_id=new_id("mail"), template="lead_thanks", to="late@silent.example")
    assert (await platform.request(late, tenant_id=company.tenant_id, actor="test")).status == "succeeded"
    await platform.settle()
    assert not await platform.fetch("SELECT FROM email.mails WHERE tenant_id = $1", company.tenant_id)
    assert not await dead_letters(platform)


async def test_what_comes_too_late_makes_no_rows_of_a_deleted_tenant(platform: Harness) -> None:
    company = await busy(platform, "late")
    await subscribed(platform, company)
    [created] = await platform.events(SubscriptionCreated, tenant_id=company.tenant_id)
    await delete(platform, company)
    late = created.model_copy(update={"status": "active"})
    await platform.publish(late, tenant_id=company.tenant_id, to="tenants")
    again = ProvisionTenant(tenant_id=company.tenant_id)
    assert (await platform.request(again, tenant_id=company.tenant_id, actor="test")).status == "succeeded"
    await platform.settle()
    left = await rows_of(platform, company.tenant_id)
    assert {name for name in left if not name.startswith("payments")} <= kept(), "its books are another test's"
    [tenant] = await platform.fetch("SELECT plan FROM tenants.tenants WHERE tenant_id = $1", company.tenant_id)
    assert tenant["plan"] is None


async def test_mails_of_a_living_tenant_are_purged_by_nobody(platform: Harness) -> None:
    company = await busy(platform, "alive")
    answer = await platform.request(PurgeMails(), tenant_id=company.tenant_id, actor="test")
    assert answer.error is not None
    assert answer.error.code == "tenant_not_deleted"
    assert await platform.fetch("SELECT FROM email.mails WHERE tenant_id = $1", company.tenant_id)


async def test_a_deleted_tenant_s_event_can_be_told_twice(platform: Harness) -> None:
    company = await busy(platform, "twice")
    await delete(platform, company)
    left = await rows_of(platform, company.tenant_id)
    await platform.publish(TenantDeleted(tenant_id=company.tenant_id), tenant_id=company.tenant_id)
    await platform.settle()
    again = await rows_of(platform, company.tenant_id)
    assert set(again) == set(left)
    assert not await dead_letters(platform)


async def test_a_name_of_a_deleted_tenant_is_free_again(platform: Harness) -> None:
    company = await busy(platform, "again")
    [before] = await platform.fetch("SELECT slug FROM tenants.tenants WHERE tenant_id = $1", company.tenant_id)
    await delete(platform, company)
    assert not await platform.fetch("SELECT FROM tenants.tenants WHERE slug = $1", before["slug"])
    command = CreateTenant(
        tenant_id=new_id("tenant"), name="again", owner_user_id=company.owner_id,
        owner_email=company.owner_email, owner_name="Olga Owner",
    )  # fmt: skip
    answer = await platform.request(command, tenant_id=command.tenant_id, actor=company.owner_id)
    assert answer.status == "succeeded"
