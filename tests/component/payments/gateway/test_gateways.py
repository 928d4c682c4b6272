"""What every payment gateway promises: the sandbox, and Stripe's adapter before a server that answers like Stripe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

from prog_contracts.ids import new_id
from prog_contracts.money import Money
from prog_contracts.payments import FailureReason
from prog_kit.database import Database
from prog_workers.payments.gateway.port import CardRefused, ChargeRequest, ChargeResult, Gateway, GatewaySilent, Payer
from prog_workers.payments.gateway.sandbox import Sandbox
from prog_workers.payments.gateway.stripe import API_VERSION, StripeGateway
from tests.component.payments.gateway import stripe_server
from tests.component.payments.gateway.stripe_server import StripeServer

# Stripe's SDK hands bodies to httpx in a way that httpx is about to drop; the SDK pins what it needs.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

REASONS: tuple[FailureReason, ...] = ("declined", "insufficient_funds", "expired_card", "lost_card", "requires_action")


@dataclass(slots=True)
class Provider:
    """A gateway under test, and what it calls a card that behaves in a certain way."""

    gateway: Gateway
    good: str
    failing: dict[FailureReason, str]

    async def charge_request(self, token: str | None = None, *, key: str | None = None) -> ChargeRequest:
        """A charge of a card that was kept for a new customer."""
        payer = Payer(new_id("customer"), "Ada Lovelace", "ada@acme.example")
        kept = await self.gateway.keep_card(token or self.good, payer, new_id("card"))
        amount = Money(amount=2900, currency="USD")
        return ChargeRequest(key or new_id("charge"), amount, kept.reference, kept.payer_reference, "Invoice 0001")


@pytest.fixture
def stripe_account() -> Iterator[StripeServer]:
    with stripe_server.running() as account:
        yield account


@pytest.fixture(params=["sandbox", "stripe"])
async def provider(request: pytest.FixtureRequest) -> AsyncIterator[Provider]:
    if request.param == "sandbox":
        database = await Database.connect(request.getfixturevalue("module_postgres"), "prog_payments", max_size=2)
        names = ("pm_declined", "pm_insufficient_funds", "pm_expired", "pm_lost", "pm_requires_action")
        yield Provider(Sandbox(database), "pm_ok", dict(zip(REASONS, names, strict=True)))
        await database.close()
    else:
        account = request.getfixturevalue("stripe_account")
        stripe = StripeGateway("sk_test_123", account.url)
        good, *failing = stripe_server.CARDS
        yield Provider(stripe, good, dict(zip(REASONS, failing, strict=True)))
        await stripe.close()


async def test_a_kept_card_is_described_without_its_number(provider: Provider) -> None:
    payer = Payer(new_id("customer"), "Ada Lovelace", "ada@acme.example")
    kept = await provider.gateway.keep_card(provider.good, payer, new_id("card"))
    assert (kept.brand, kept.last4, kept.expiry_month, kept.expiry_year) == ("visa", "4242", 12, 2034)
    assert kept.payer_reference


async def test_keeping_a_card_twice_with_one_key_keeps_it_once(provider: Provider) -> None:
    payer = Payer(new_id("customer"), "Ada Lovelace", "ada@acme.example")
    key = new_id("card")
    first = await provider.gateway.keep_card(provider.good, payer, key)
    assert await provider.gateway.keep_card(provider.good, payer, key) == first
    assert (await provider.gateway.keep_card(provider.good, payer, new_id("card"))).reference != first.reference


async def test_a_token_that_is_none_is_refused(provider: Provider) -> None:
    payer = Payer(new_id("customer"), "Ada Lovelace", "ada@acme.example")
    for token in ("pm_nonsense", "4242424242424242", "pm_fails_after_", "pm_ok; DROP TABLE"):
        with pytest.raises(CardRefused):
            await provider.gateway.keep_card(token, payer, new_id("card"))


async def test_a_charge_is_found_by_its_key_and_not_before_it_was_made(provider: Provider) -> None:
    request = await provider.charge_request()
    assert await provider.gateway.find(request) is None
    made = await provider.gateway.charge(request)
    assert made.failure is None
    assert made.reference
    assert await provider.gateway.find(request) == made


async def test_a_key_charges_once_and_is_answered_alike(provider: Provider) -> None:
    request = await provider.charge_request()
    first = await provider.gateway.charge(request)
    assert await provider.gateway.charge(request) == first


async def test_ten_calls_at_once_with_one_key_charge_once(provider: Provider) -> None:
    request = await provider.charge_request()
    results = await asyncio.gather(*(provider.gateway.charge(request) for _ in range(10)))
    assert len({result.reference for result in results}) == 1


@pytest.mark.parametrize("reason", REASONS)
async def test_a_refusal_names_its_reason_now_and_later(provider: Provider, reason: FailureReason) -> None:
    request = await provider.charge_request(provider.failing[reason])
    refused = await provider.gateway.charge(request)
    assert refused.failure == reason
    assert await provider.gateway.charge(request) == refused
    assert await provider.gateway.find(request) == refused


async def test_a_card_that_is_not_kept_is_the_gateways_error(provider: Provider) -> None:
    known = await provider.charge_request()
    unknown = ChargeRequest(new_id("charge"), known.amount, "pm_elsewhere", known.payer_reference, "Invoice 0001")
    assert (await provider.gateway.charge(unknown)).failure == "gateway_error"


async def test_a_charge_of_one_customer_is_not_found_under_another_key(provider: Provider) -> None:
    request = await provider.charge_request()
    await provider.gateway.charge(request)
    other = ChargeRequest(
        new_id("charge"), request.amount, request.card_reference, request.payer_reference, request.description
    )
    assert await provider.gateway.find(other) is None


async def test_the_sandbox_takes_the_money_and_is_silent_for_pm_timeout(module_postgres: str) -> None:
    database = await Database.connect(module_postgres, "prog_payments", max_size=2)
    provider = Provider(Sandbox(database), "pm_timeout", {})
    request = await provider.charge_request()
    with pytest.raises(GatewaySilent):
        await provider.gateway.charge(request)
    found = await provider.gateway.find(request)
    assert found is not None
    assert found.failure is None
    await database.close()


async def test_a_sandbox_card_that_wears_out_counts_its_own_charges(module_postgres: str) -> None:
    database = await Database.connect(module_postgres, "prog_payments", max_size=2)
    provider = Provider(Sandbox(database), "pm_fails_after_2", {})
    for _ in range(2):
        request = await provider.charge_request()
        outcomes = []
        for _ in range(4):
            again = ChargeRequest(new_id("charge"), request.amount, request.card_reference, request.payer_reference, "")
            outcomes.append((await provider.gateway.charge(again)).failure)
        assert outcomes == [None, None, "declined", "declined"]
    await database.close()


async def test_stripe_is_asked_in_the_pinned_version_with_the_amount_in_its_own_units(
    stripe_account: StripeServer,
) -> None:
    stripe = StripeGateway("sk_test_123", stripe_account.url)
    request = await Provider(stripe, "pm_card_visa", {}).charge_request()
    for amount in (Money(amount=1000, currency="JPY"), Money(amount=5, currency="ISK"), request.amount):
        await stripe.charge(
            ChargeRequest(new_id("charge"), amount, request.card_reference, request.payer_reference, "Invoice")
        )
    assert [(intent["amount"], intent["currency"]) for intent in stripe_account.intents] == [
        (1000, "jpy"),
        (500, "isk"),
        (2900, "usd"),
    ]
    assert stripe_account.version == {API_VERSION}
    await stripe.close()


async def test_an_answer_that_stripe_loses_is_unknown_until_it_is_looked_up(stripe_account: StripeServer) -> None:
    stripe = StripeGateway("sk_test_123", stripe_account.url)
    request = await Provider(stripe, "pm_card_visa", {}).charge_request()
    stripe_account.silent_after = True
    with pytest.raises(GatewaySilent):
        await stripe.charge(request)
    assert await stripe.find(request) == ChargeResult("pi_1")
    await stripe.close()


async def test_a_stripe_that_does_not_work_is_silent_on_every_call(stripe_account: StripeServer) -> None:
    stripe = StripeGateway("sk_test_123", stripe_account.url)
    request = await Provider(stripe, "pm_card_visa", {}).charge_request()
    stripe_account.fail_before = True
    for call in (stripe.charge(request), stripe.find(request)):
        with pytest.raises(GatewaySilent):
            await call
    with pytest.raises(GatewaySilent):
        await stripe.keep_card("pm_card_visa", Payer("c", "n", "e"), "key")
    await stripe.close()


async def test_an_unreachable_stripe_is_silent() -> None:
    stripe = StripeGateway("sk_test_123", "http://127.0.0.1:9")
    with pytest.raises(GatewaySilent):
        await stripe.find(ChargeRequest("key", Money(amount=1, currency="USD"), "pm_1", "cus_1", ""))
    await stripe.close()


async def test_a_charge_far_back_in_stripes_list_is_found_page_by_page(stripe_account: StripeServer) -> None:
    stripe = StripeGateway("sk_test_123", stripe_account.url)
    request = await Provider(stripe, "pm_card_visa", {}).charge_request()
    await stripe.charge(request)
    stripe_account.intents += [
        {**stripe_account.intents[0], "id": f"pi_later_{number}", "metadata": {}} for number in range(150)
    ]
    assert await stripe.find(request) == ChargeResult("pi_1")
    await stripe.close()
