"""A charge that is interrupted at any point is made once: by a crash, a silent gateway, or a command told twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from prog_contracts.envelope import Envelope, wrap
from prog_contracts.ids import new_id
from prog_contracts.payments import ChargeInvoice, CreateSubscription, PayInvoice, PaymentProcessed
from prog_workers.payments.gateway.port import ChargeRequest, ChargeResult, Gateway, GatewaySilent, KeptCard, Payer
from prog_workers.payments.gateway.sandbox import Sandbox
from prog_workers.payments.handlers.domain import gateway, use_gateway
from tests.component.harness import Harness
from tests.component.payments.tenant import START, STARTER, Tenant


class Killed(BaseException):
    """The process dies here: no handler of exceptions runs, as after kill -9."""


@dataclass(slots=True)
class Troubled:
    """The sandbox behind a network and in a process that fail where the test says."""

    behind: Gateway
    before_charge: Callable[[], None] = lambda: None
    after_charge: Callable[[], None] = lambda: None
    on_find: Callable[[], None] = lambda: None
    calls: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.behind.name

    async def keep_card(self, token: str, payer: Payer, key: str) -> KeptCard:
        return await self.behind.keep_card(token, payer, key)

    async def charge(self, request: ChargeRequest) -> ChargeResult:
        self.calls.append("charge")
        self.before_charge()
        result = await self.behind.charge(request)
        self.after_charge()
        return result

    async def find(self, request: ChargeRequest) -> ChargeResult | None:
        self.calls.append("find")
        self.on_find()
        return await self.behind.find(request)


def die() -> None:
    raise Killed


def silence() -> None:
    raise GatewaySilent("no answer")


def nothing() -> None:
    return None


@pytest.fixture
def troubled(platform: Harness) -> Troubled:
    sandbox = gateway()
    assert isinstance(sandbox, Sandbox)
    troubled = Troubled(sandbox)
    use_gateway(troubled)
    return troubled


async def start(tenant: Tenant) -> Envelope:
    """A subscription whose first charge is asked for and not yet made: the envelope of that command."""
    command = CreateSubscription(subscription_id=new_id("subscription"), price_id=STARTER, payment_method="pm_ok")
    answer = await tenant.platform.request(command, tenant_id=tenant.id)
    assert answer.status == "succeeded"
    (invoice,) = await tenant.invoices()
    await tenant.platform.admin.execute("DELETE FROM bus.event_log WHERE kind = 'command'")
    return wrap(ChargeInvoice(invoice_id=invoice["id"]), tenant_id=tenant.id, source="/test", now=START)


async def paid_once(tenant: Tenant) -> None:
    """One charge, one payment, one posting, one event: whatever happened before."""
    await tenant.platform.settle()
    assert [charge["failure_reason"] for charge in await tenant.charges()] == [None]
    payments = await tenant.rows("SELECT status FROM payments.payments WHERE tenant_id = $1")
    assert [payment["status"] for payment in payments] == ["succeeded"]
    assert [invoice["status"] for invoice in await tenant.invoices()] == ["paid"]
    assert await tenant.balances() == {"cash": 2900, "revenue": -2900}
    assert len(await tenant.platform.events(PaymentProcessed)) == 1


@pytest.mark.parametrize("moment", ["before_charge", "after_charge"])
async def test_a_process_that_dies_around_the_call_charges_once(
    tenant: Tenant, troubled: Troubled, moment: str
) -> None:
    command = await start(tenant)
    setattr(troubled, moment, die)
    with pytest.raises(Killed):
        await tenant.platform.deliver(command, "payments")
    setattr(troubled, moment, nothing)
    await tenant.platform.deliver(command, "payments")
    assert troubled.calls == (["charge", "find", "charge"] if moment == "before_charge" else ["charge", "find"])
    await paid_once(tenant)


async def test_a_process_that_dies_before_it_records_the_outcome_charges_once(
    tenant: Tenant, troubled: Troubled, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = await start(tenant)
    with monkeypatch.context() as patched:
        patched.setattr(
            "prog_workers.payments.handlers.charge_invoice.settle_charge", lambda *_: (_ for _ in ()).throw(Killed)
        )
        with pytest.raises(Killed):
            await tenant.platform.deliver(command, "payments")
    await tenant.platform.deliver(command, "payments")
    assert troubled.calls == ["charge", "find"]
    await paid_once(tenant)


async def test_a_command_told_twice_after_its_outcome_is_recorded_charges_once(
    tenant: Tenant, troubled: Troubled
) -> None:
    command = await start(tenant)
    await tenant.platform.deliver(command, "payments")
    await tenant.platform.deliver(command, "payments")
    assert troubled.calls == ["charge"]
    await paid_once(tenant)


async def test_two_commands_for_one_slot_charge_once(tenant: Tenant, troubled: Troubled) -> None:
    first = await start(tenant)
    invoice = (await tenant.invoices())[0]["id"]
    second = wrap(ChargeInvoice(invoice_id=invoice), tenant_id=tenant.id, source="/test", now=START)
    await tenant.platform.deliver(first, "payments")
    await tenant.platform.deliver(second, "payments")
    await paid_once(tenant)


async def test_a_gateway_that_is_silent_after_it_took_the_money_is_asked_and_not_charged_again(
    tenant: Tenant, troubled: Troubled
) -> None:
    command = await start(tenant)
    troubled.after_charge = silence
    await tenant.platform.deliver(command, "payments")
    (payment,) = await tenant.rows("SELECT status FROM payments.payments WHERE tenant_id = $1")
    assert payment["status"] == "unknown"
    assert await tenant.platform.events(PaymentProcessed) == []
    await tenant.retry()
    assert troubled.calls == ["charge", "find"]
    await paid_once(tenant)


async def test_a_gateway_that_never_got_the_charge_gets_it_with_the_same_key(
    tenant: Tenant, troubled: Troubled
) -> None:
    command = await start(tenant)
    troubled.before_charge = silence
    await tenant.platform.deliver(command, "payments")
    troubled.before_charge = nothing
    await tenant.retry()
    assert troubled.calls == ["charge", "find", "charge"]
    await paid_once(tenant)


async def test_while_the_outcome_is_unknown_nothing_else_charges_the_invoice(
    tenant: Tenant, troubled: Troubled
) -> None:
    command = await start(tenant)
    troubled.after_charge = troubled.on_find = silence
    await tenant.platform.deliver(command, "payments")
    invoice = (await tenant.invoices())[0]["id"]
    answer = await tenant.platform.request(PayInvoice(invoice_id=invoice), tenant_id=tenant.id)
    assert answer.status == "pending"
    troubled.after_charge = troubled.on_find = nothing
    await tenant.retry()
    await paid_once(tenant)


@pytest.mark.parametrize("taken", [True, False])
async def test_an_attempt_that_was_given_up_is_settled_before_the_next_one(
    tenant: Tenant, troubled: Troubled, taken: bool
) -> None:
    command = await start(tenant)
    setattr(troubled, "after_charge" if taken else "before_charge", silence)
    await tenant.platform.deliver(command, "payments")
    await tenant.platform.admin.execute("DELETE FROM bus.retries")
    troubled.after_charge = troubled.before_charge = nothing
    invoice = (await tenant.invoices())[0]["id"]
    assert (await tenant.pay(invoice)).status == "succeeded"
    await paid_once(tenant)


async def test_a_new_card_is_tried_after_an_attempt_that_was_given_up_turns_out_to_have_failed(
    tenant: Tenant, troubled: Troubled
) -> None:
    troubled.after_charge = silence
    await tenant.subscribe("pm_declined")
    await tenant.platform.admin.execute("DELETE FROM bus.retries")
    troubled.after_charge = nothing
    await tenant.add_card("pm_ok")
    assert [charge["failure_reason"] for charge in await tenant.charges()] == ["declined", None]
    assert [invoice["status"] for invoice in await tenant.invoices()] == ["paid"]


async def test_the_time_out_token_of_the_sandbox_ends_in_one_payment(tenant: Tenant) -> None:
    subscription = await tenant.subscribe("pm_timeout")
    assert (await tenant.subscription(subscription))["status"] == "incomplete"
    await tenant.retry()
    assert (await tenant.subscription(subscription))["status"] == "active"
    await paid_once(tenant)


COPY = """
INSERT INTO bus.retries (position, consumer_group, message_id, tenant_id, topic, partition, partition_key, state,
                         due_at, attributes, data)
OVERRIDING SYSTEM VALUE
SELECT -1, consumer_group, gen_random_uuid(), tenant_id, topic, partition, coalesce($1, partition_key), 'dead', due_at,
       attributes, data
FROM bus.retries
"""
"""A dead letter that parks a key: $1, or else that of the only message that was put off."""


async def test_a_charge_that_waits_with_nobody_before_it_is_made_whatever_becomes_of_other_keys(
    tenant: Tenant, troubled: Troubled
) -> None:
    command = await start(tenant)
    troubled.after_charge = silence
    await tenant.platform.deliver(command, "payments")
    await tenant.platform.fetch(COPY, "another key")
    await tenant.platform.fetch("UPDATE bus.retries SET state = 'waiting' WHERE state = 'retry'")
    await tenant.retry()
    await paid_once(tenant)


async def test_a_charge_behind_a_dead_letter_of_its_key_is_not_made(tenant: Tenant, troubled: Troubled) -> None:
    command = await start(tenant)
    troubled.before_charge = silence
    await tenant.platform.deliver(command, "payments")
    await tenant.platform.fetch(COPY, None)
    await tenant.retry()
    assert troubled.calls == ["charge"]


async def test_money_that_arrives_for_an_invoice_closed_meanwhile_is_the_customers(
    tenant: Tenant, troubled: Troubled
) -> None:
    command = await start(tenant)
    troubled.after_charge = silence
    await tenant.platform.deliver(command, "payments")
    await tenant.platform.admin.execute("UPDATE payments.invoices SET status = 'void', amount_due_minor = 0")
    await tenant.retry()
    assert (await tenant.invoices())[0]["status"] == "void"
    balances = await tenant.balances()
    assert (balances["cash"], balances["customer_credit"]) == (2900, -2900)


async def test_a_replayed_command_makes_no_outside_call(tenant: Tenant, troubled: Troubled) -> None:
    from prog_workers.payments.handlers.charge_invoice import charge_invoice

    class Replay:
        attempt = 1
        replaying = True

        def transaction(self) -> object:
            raise AssertionError("a replay records no intent")

    command = await start(tenant)
    invoice = command.subject
    assert invoice is not None
    finish = await charge_invoice(ChargeInvoice(invoice_id=invoice), Replay())  # type: ignore[arg-type]
    assert troubled.calls == []
    assert await finish(None) is None  # type: ignore[arg-type]


async def test_a_late_dunning_timer_leaves_a_paid_invoice_alone(tenant: Tenant, troubled: Troubled) -> None:
    await tenant.subscribe()
    invoice = (await tenant.invoices())[0]["id"]
    await tenant.request(ChargeInvoice(invoice_id=invoice, attempt=1, trigger="dunning"))
    assert troubled.calls == ["charge"]
