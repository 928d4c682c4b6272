"""What is asked for by many at the same instant: a limit is never passed, and what is good once counts once.

Each command runs in a transaction of its own, all of them at work together, as on several workers. Partitions keep most
of them apart in production; nothing here rests on that.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from prog_broker.replies import Answer
from prog_contracts.accounts import TokenSet
from prog_contracts.api_keys import CreateApiKey
from prog_contracts.configuration import StoreLogo
from prog_contracts.custom_domains import CheckCustomDomain, ClaimCustomDomain
from prog_contracts.exports import ExportTenant
from prog_contracts.ids import new_id
from prog_contracts.payments import CreateSubscription
from prog_contracts.sign_on import AdmitSignedOn, ClaimDomain, SignOnAdmissionRefused
from prog_contracts.tenants import TenantCreated
from prog_kit.database import Database
from prog_workers.payments.app import domain as payments
from prog_workers.payments.gateway.sandbox import Sandbox
from prog_workers.payments.handlers.domain import use_gateway
from prog_workers.tenants import rules as tenant_rules
from prog_workers.tenants.handlers import tenants
from prog_workers.tenants.rules import configuration
from prog_workers.users.handlers import users
from prog_workers.users.rules import clients as client_rules
from tests.component.harness import Harness
from tests.component.payments.tenant import STARTER
from tests.component.tenants.company import Company
from tests.component.tenants.test_sign_on import server
from tests.component.users.people import Person
from tests.component.users.test_authorizing import Shop
from tests.dns_server import DnsServer

__all__ = ["server"]

AT_ONCE = 8


@pytest.fixture
async def platform(postgres: str) -> AsyncIterator[Harness]:
    async with Harness(postgres, users, tenants, payments, connections=AT_ONCE) as platform:
        database = await Database.connect(postgres, "prog_payments", max_size=AT_ONCE)
        use_gateway(Sandbox(database))
        yield platform
        await database.close()


@pytest.fixture
async def acme(platform: Harness) -> Company:
    company = Company(platform)
    await company.open()
    return company


async def people(platform: Harness, count: int = AT_ONCE) -> list[Person]:
    """So many with an account, whoever of them asks: one person's own commands wait for each other anyway."""
    found = [Person(platform, email=f"p{number}@example.com") for number in range(count)]
    for person in found:
        assert (await person.sign_up()).status == "succeeded"
    return found


async def at_once(ask: Callable[[int], Awaitable[Answer]]) -> Counter[str]:
    """Asks eight times together; how many answers of each kind there were, refusals by their code."""
    answers = await asyncio.wait_for(asyncio.gather(*(ask(number) for number in range(AT_ONCE))), 60)
    return Counter("ok" if each.error is None and each.status == "succeeded" else outcome(each) for each in answers)


def outcome(answer: Answer) -> str:
    return answer.status if answer.error is None else answer.error.code


# -- limits ------------------------------------------------------------------------------------------------------------


async def test_invitations_never_pass_the_seats_of_the_plan(platform: Harness, acme: Company) -> None:
    outcomes = await at_once(lambda number: acme.invite(f"p{number}@example.com"))
    assert outcomes == {"ok": 4, "member_limit": 4}, "five seats, and the owner has one"
    [row] = await platform.fetch("SELECT count(*) AS open FROM tenants.invitations WHERE status = 'open'")
    assert row["open"] == 4


async def test_whoever_signs_on_never_passes_the_seats_of_the_plan(platform: Harness, acme: Company) -> None:
    await platform.fetch(
        "INSERT INTO tenants.sign_on (tenant_id, issuer, client_id, sealed_client_secret, default_role, enforced,"
        " updated_at) VALUES ($1, 'https://id.example', 'c', 'x', 'member', false, clock_timestamp())",
        acme.tenant_id,
    )

    async def admit(number: int) -> Answer:
        command = AdmitSignedOn(
            tenant_id=acme.tenant_id, user_id=new_id("user"), email=f"p{number}@example.com", name="Joe"
        )
        return await platform.request(command, tenant_id=acme.tenant_id)

    await at_once(admit)
    refused = await platform.events(SignOnAdmissionRefused)
    assert [event.reason for event in refused] == ["member_limit"] * 4
    assert len(await acme.roles()) == 5
    [row] = await platform.fetch("SELECT member_count FROM tenants.tenants WHERE tenant_id = $1", acme.tenant_id)
    assert row["member_count"] == 5


async def test_api_keys_never_pass_the_limit_of_the_plan(platform: Harness, acme: Company) -> None:
    makers = await people(platform)

    async def make(number: int) -> Answer:
        key_id = new_id("apikey")
        command = CreateApiKey(
            key_id=key_id,
            tenant_id=acme.tenant_id,
            name="Import",
            scopes=("event.read",),
            key_digest=hashlib.sha256(key_id.encode()).hexdigest(),
            hint="q7Rk0b",
            limit=3,
        )
        return await acme.send(command, makers[number].user_id)

    assert await at_once(make) == {"ok": 3, "api_key_limit": 5}


async def test_clients_never_pass_their_number(platform: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_rules, "CLIENTS_MAX", 3)
    shops = [Shop(person, await signed_in(person)) for person in await people(platform)]
    assert await at_once(lambda number: shops[number].register()) == {"ok": 3, "too_many_clients": 5}


async def test_custom_domains_never_pass_the_limit_of_the_plan(acme: Company) -> None:
    async def claim(number: int) -> Answer:
        return await acme.send(ClaimCustomDomain(tenant_id=acme.tenant_id, domain_name=f"p{number}.acme.example"))

    assert await at_once(claim) == {"ok": 1, "custom_domain_limit": AT_ONCE - 1}


async def test_a_custom_domain_that_many_tenants_prove_at_once_is_one_s(platform: Harness, server: DnsServer) -> None:
    companies = [Company(platform, owner_id=new_id("user")) for _ in range(AT_ONCE)]
    host = "accounts.acme.example"
    for company in companies:
        await company.open()
        claimed = await company.send(ClaimCustomDomain(tenant_id=company.tenant_id, domain_name=host))
        assert claimed.result is not None
        server.records.setdefault(claimed.result["record"], []).append(claimed.result["value"])

    async def check(number: int) -> Answer:
        company = companies[number]
        return await company.send(CheckCustomDomain(tenant_id=company.tenant_id, domain_name=host))

    assert await at_once(check) == {"ok": 1, "custom_domain_taken": AT_ONCE - 1}


async def test_domains_never_pass_their_number(acme: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenant_rules, "DOMAINS_MAX", 3)

    async def claim(number: int) -> Answer:
        return await acme.send(ClaimDomain(tenant_id=acme.tenant_id, domain_name=f"p{number}.example"))

    assert await at_once(claim) == {"ok": 3, "too_many_domains": 5}


async def test_logos_never_pass_their_number(acme: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "LOGOS_MAX", 3)

    async def store(number: int) -> Answer:
        picture = base64.b64encode(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", number)).decode()
        return await acme.send(StoreLogo(tenant_id=acme.tenant_id, content=picture, width=40, height=20))

    assert await at_once(store) == {"ok": 3, "too_many_logos": 5}


async def test_one_export_runs_at_a_time(acme: Company) -> None:
    async def export(_: int) -> Answer:
        return await acme.send(ExportTenant(tenant_id=acme.tenant_id, export_id=new_id("export")))

    assert await at_once(export) == {"ok": 1, "export_running": 7}


# -- what is good once -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["one person", "several persons"])
async def test_an_invitation_is_accepted_once(platform: Harness, acme: Company, by: str) -> None:
    await acme.invite("joe@example.com")
    token, joe = await acme.mailed_token(), new_id("user")

    async def accept(_: int) -> Answer:
        return await acme.accept(token, "joe@example.com", joe if by == "one person" else new_id("user"))

    assert await at_once(accept) == {"ok": 1, "invitation_invalid": 7}
    [row] = await platform.fetch("SELECT member_count FROM tenants.tenants WHERE tenant_id = $1", acme.tenant_id)
    assert row["member_count"] == len(await acme.roles()) == 2


async def test_an_address_has_one_account(platform: Harness) -> None:
    twins = [Person(platform) for _ in range(AT_ONCE)]
    await at_once(lambda number: twins[number].sign_up())
    assert len(await platform.fetch("SELECT FROM users.users WHERE email = $1", twins[0].email)) == 1


async def test_a_magic_link_signs_in_once(platform: Harness) -> None:
    ada = await verified(platform)
    await ada.ask_for_link()
    token = (await ada.mailed_tokens())[-1]
    outcomes = await at_once(lambda _: ada.sign_in_by_link(token))
    assert outcomes["ok"] == 1
    assert len(await platform.fetch("SELECT FROM users.sessions")) == 1


async def test_a_link_sets_one_password(platform: Harness) -> None:
    ada = await verified(platform)
    await ada.forget()
    token = (await ada.mailed_tokens())[-1]
    outcomes = await at_once(lambda number: ada.reset(token, f"{number} unlikely purple elephants"))
    assert outcomes["ok"] == 1


async def test_a_recovery_code_completes_one_sign_in(platform: Harness) -> None:
    ada = await verified(platform)
    codes = await ada.enrol()
    waiting = [await ada.pending() for _ in range(AT_ONCE)]
    outcomes = await at_once(lambda number: ada.complete(waiting[number], codes[0], "recovery_code"))
    assert outcomes["ok"] == 1


async def test_an_app_s_code_completes_one_sign_in(platform: Harness) -> None:
    ada = await verified(platform)
    await ada.enrol()
    await ada.next_step()
    waiting, shown = [await ada.pending() for _ in range(AT_ONCE)], ada.app_code()
    outcomes = await at_once(lambda number: ada.complete(waiting[number], shown))
    assert outcomes["ok"] == 1


async def test_an_authorization_code_is_exchanged_once_and_a_second_use_ends_what_it_gave(platform: Harness) -> None:
    ada = await verified(platform)
    shop = Shop(ada, await ada.tokens())
    await shop.register()
    text = await shop.code()
    assert await at_once(lambda _: shop.exchange(text)) == {"ok": 1, "invalid_grant": 7}
    [row] = await platform.fetch("SELECT ended_at FROM users.oauth_authorizations")
    assert row["ended_at"] is not None


# -- what is made once -------------------------------------------------------------------------------------------------


async def test_a_tenant_is_made_once(platform: Harness) -> None:
    company = Company(platform)
    outcomes = await at_once(lambda _: company.create())
    await platform.settle()
    assert outcomes["ok"] == 1, outcomes
    assert len(await platform.events(TenantCreated)) == 1


async def test_a_tenant_gets_one_subscription_and_one_invoice(platform: Harness, acme: Company) -> None:
    await platform.settle()

    async def subscribe(_: int) -> Answer:
        return await acme.send(
            CreateSubscription(subscription_id=new_id("subscription"), price_id=STARTER, payment_method="pm_ok")
        )

    await at_once(subscribe)
    await platform.settle()
    rows = await platform.fetch("SELECT status FROM payments.subscriptions WHERE status <> 'canceled'")
    assert len(rows) == 1
    charges = await platform.fetch("SELECT FROM payments.sandbox_charges WHERE failure_reason IS NULL")
    assert len(charges) <= 1
    numbers = [row["number"] for row in await platform.fetch("SELECT number FROM payments.invoices ORDER BY number")]
    assert len(numbers) == len(set(numbers))


# -- people ------------------------------------------------------------------------------------------------------------


async def verified(platform: Harness) -> Person:
    person = Person(platform)
    await person.become_verified()
    return person


async def signed_in(person: Person) -> TokenSet:
    """Their tokens, with the address verified."""
    token = (await person.mailed_tokens())[-1]
    assert (await person.open_link(token)).status == "succeeded"
    return await person.tokens()
