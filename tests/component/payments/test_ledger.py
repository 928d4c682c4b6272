"""The books: balanced, append-only, and in step with invoices and payments."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta

import asyncpg
import pytest

from prog_contracts.ids import new_id
from prog_contracts.payments import CancelSubscription
from prog_kit.database import Database
from tests.component.harness import Harness
from tests.component.payments.tenant import GROWTH, START, Tenant, new_tenant


async def as_payments(postgres: str) -> Database:
    return await Database.connect(postgres, "prog_payments", max_size=2)


async def test_an_unbalanced_transaction_is_refused_by_the_database(postgres: str, tenant: Tenant) -> None:
    await tenant.subscribe()
    database = await as_payments(postgres)
    with pytest.raises(asyncpg.CheckViolationError, match="is off by 100 in USD"):
        await post_twice_fifty(database, tenant.id)
    await database.close()


async def post_twice_fifty(database: Database, tenant_id: str) -> None:
    transaction_id = new_id("ledger_transaction")
    async with database.scope(tenant_id=tenant_id) as connection:
        await connection.execute(
            "INSERT INTO payments.ledger_transactions VALUES ($1, $2, 'payment', 'payment_x', $3)",
            transaction_id,
            tenant_id,
            START,
        )
        await connection.execute(
            "INSERT INTO payments.ledger_entries SELECT $1, $2, n, 'cash', 'USD', 50 FROM generate_series(1, 2) AS n",
            tenant_id,
            transaction_id,
        )


async def test_what_is_posted_cannot_be_changed_by_the_domain_nor_by_the_owner(postgres: str, tenant: Tenant) -> None:
    await tenant.subscribe()
    everything = "SELECT * FROM payments.ledger_entries WHERE tenant_id = $1 ORDER BY transaction_id, position"
    before = await tenant.rows(everything)
    database = await as_payments(postgres)
    for statement in (
        "UPDATE payments.ledger_entries SET amount_minor = 1",
        "DELETE FROM payments.ledger_entries",
        "TRUNCATE payments.ledger_entries",
        "UPDATE payments.ledger_transactions SET kind = 'void'",
        "DELETE FROM payments.ledger_transactions",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await database.pool.execute(statement)
        with pytest.raises(asyncpg.PostgresError, match="append-only"):
            await tenant.platform.admin.execute(statement)
    assert await tenant.rows(everything) == before
    await database.close()


async def test_a_posting_with_a_row_that_fails_takes_the_invoice_with_it(postgres: str, tenant: Tenant) -> None:
    await tenant.platform.admin.execute("REVOKE INSERT ON payments.ledger_entries FROM prog_payments")
    with pytest.raises(AssertionError):
        await tenant.subscribe()
    assert await tenant.invoices() == []
    assert await tenant.rows("SELECT FROM payments.invoice_counters WHERE tenant_id = $1") == []


async def test_the_trial_balance_is_zero_after_a_year_of_many_fates(platform: Harness) -> None:
    chance = random.Random(20270131)
    tenants = [await new_tenant(platform, f"Company {number}") for number in range(6)]
    cards = ["pm_ok", "pm_fails_after_1", "pm_fails_after_3", "pm_declined", "pm_lost", "pm_timeout"]
    for tenant, card in zip(tenants, cards, strict=True):
        subscription = await tenant.subscribe(card, price=GROWTH)
        await tenant.retry()
        for _ in range(4):
            await tenant.wait(days=chance.randint(5, 40))
            await tenant.retry()
            fate = chance.choice(["nothing", "new card", "cancel", "pay"])
            if fate == "new card":
                await tenant.add_card(chance.choice(cards))
            elif fate == "cancel":
                await tenant.request(CancelSubscription(subscription_id=subscription, at_period_end=False))
            elif fate == "pay":
                await tenant.pay((await tenant.invoices())[-1]["id"])
            await tenant.retry()
    (total,) = await platform.fetch(
        "SELECT sum(amount_minor)::bigint AS off, count(*) AS n FROM payments.ledger_entries"
    )
    assert total["off"] == 0
    assert total["n"] > 20
    for tenant in tenants:
        await agree(tenant)


async def agree(tenant: Tenant) -> None:
    """The accounts of a tenant say what its invoices, payments and the gateway's books say."""
    balances = await tenant.balances()
    invoices = await tenant.invoices()
    payments = await tenant.rows(
        "SELECT coalesce(sum(amount_minor), 0)::bigint AS taken FROM payments.payments"
        " WHERE tenant_id = $1 AND status = 'succeeded'"
    )
    charges = await tenant.rows(
        "SELECT coalesce(sum(c.amount_minor), 0)::bigint AS taken FROM payments.sandbox_charges AS c"
        " JOIN payments.payment_methods AS m ON m.gateway_reference = c.card"
        " WHERE m.tenant_id = $1 AND c.failure_reason IS NULL"
    )
    open_minor = sum(invoice["amount_due_minor"] for invoice in invoices if invoice["status"] == "open")
    assert balances.get("receivable", 0) == open_minor
    assert balances.get("cash", 0) == payments[0]["taken"] == charges[0]["taken"]
    billed = sum(invoice["total_minor"] for invoice in invoices if invoice["status"] != "void")
    assert -balances.get("revenue", 0) == billed


async def test_finalisations_at_the_same_time_count_without_gap_or_repeat(postgres: str, tenant: Tenant) -> None:
    database = await Database.connect(postgres, "prog_payments", max_size=8)

    async def take(number: int) -> int | None:
        class RolledBack(Exception):
            pass

        try:
            async with database.scope(tenant_id=tenant.id) as connection:
                count: int = await connection.fetchval(
                    "INSERT INTO payments.invoice_counters VALUES ($1, 1) ON CONFLICT (tenant_id) DO UPDATE"
                    " SET last_number = invoice_counters.last_number + 1 RETURNING last_number",
                    tenant.id,
                )
                if number % 5 == 0:
                    raise RolledBack
                return count
        except RolledBack:
            return None

    taken = await asyncio.gather(*(take(number) for number in range(200)))
    assert sorted(count for count in taken if count is not None) == list(range(1, 161))
    await database.close()


async def test_what_an_invoice_says_cannot_be_changed_by_the_domain(postgres: str, tenant: Tenant) -> None:
    await tenant.subscribe()
    database = await as_payments(postgres)
    for change in ("total_minor = 1", "number = 'X'", "customer_name = 'X'", f"issued_at = '{START - timedelta(1)}'"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with database.scope(tenant_id=tenant.id) as connection:
                await connection.execute(f"UPDATE payments.invoices SET {change}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with database.scope(tenant_id=tenant.id) as connection:
            await connection.execute("UPDATE payments.invoice_lines SET amount_minor = 1")
    await database.close()
