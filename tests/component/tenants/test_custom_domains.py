"""Custom domains: claimed, proven, pointed at the platform, looked at again and lost, with a DNS on loopback."""

from __future__ import annotations

import pytest

from prog_broker.replies import Answer
from prog_contracts.custom_domains import (
    CheckCustomDomain,
    ClaimCustomDomain,
    CustomDomainChanged,
    CustomDomainCheckFailed,
    CustomDomainClaimed,
    RecheckCustomDomain,
    ReleaseCustomDomain,
)
from prog_contracts.email import SendMail
from prog_contracts.hosts import PlatformHosts
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_contracts.messages import Command
from prog_contracts.permissions import ROLES
from prog_contracts.sign_on import ClaimDomain, RecheckDomains
from prog_contracts.tenants import TenantRole
from prog_workers.tenants import dns
from prog_workers.tenants.handlers import custom_domains
from prog_workers.tenants.queries.custom_domains import CustomDomainRow, served_domains
from prog_workers.tenants.queries.custom_domains import custom_domains as read
from tests.component.harness import Harness
from tests.component.tenants.company import Company, code, staff
from tests.component.tenants.test_sign_on import ask, server
from tests.dns_server import DnsServer
from tests.lasting import kept

__all__ = ["server"]

HOST = "accounts.acme.example"
TARGET = "app.prog.example"
RECORD = f"_prognetwork-host.{HOST}"
SCHEDULER = "prog-scheduler"
OWN = frozenset({TARGET, "id.prog.example"})


@pytest.fixture(autouse=True)
def platform_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(custom_domains, "platform", PlatformHosts(f"https://{TARGET}", OWN, OWN, TARGET))


async def claim(company: Company, domain: str = HOST, actor: str | None = None) -> Answer:
    return await ask(company, ClaimCustomDomain(tenant_id=company.tenant_id, domain_name=domain), actor)


async def check(company: Company, domain: str = HOST) -> Answer:
    return await ask(company, CheckCustomDomain(tenant_id=company.tenant_id, domain_name=domain))


async def prove(company: Company, server: DnsServer, *, leads_here: bool = True) -> None:
    """Claims the domain, publishes its record, points it here, and has it checked."""
    claimed = (await claim(company)).result
    assert claimed is not None
    server.records[claimed["record"]] = [claimed["value"]]
    if leads_here:
        server.aliases[HOST] = TARGET
        server.addresses[TARGET] = ["192.0.2.1"]
    answer = await check(company)
    assert answer.status == "succeeded", answer


async def row(company: Company) -> CustomDomainRow:
    async with (
        kept().database(company.platform.url, "prog_edge") as database,
        database.scope(tenant_id=company.tenant_id) as connection,
    ):
        [found] = await read(connection, company.tenant_id)
    return found


async def served(company: Company, *, active: bool | None = None) -> dict[str, str]:
    """What the edge routes by; of the names that are `active` or are not, where that is said."""
    async with kept().database(company.platform.url, "prog_edge") as database, database.operator() as connection:
        found = await served_domains(connection)
    return {name: each.tenant_id for name, each in found.items() if active in (None, each.is_active)}


async def changes(company: Company) -> list[str]:
    return [each.change for each in await company.platform.events(CustomDomainChanged, tenant_id=company.tenant_id)]


async def mailed(company: Company) -> list[tuple[str, str]]:
    """Who was told what."""
    mails = await company.platform.events(SendMail, tenant_id=company.tenant_id)
    return [(mail.to, mail.data["what"]) for mail in mails if mail.template == "tenant_custom_domain_changed"]


async def a_day_later(company: Company, days: int = 1) -> None:
    """Time goes on, and the scheduler asks."""
    await company.platform.fetch(
        "UPDATE tenants.served_domains SET checked_at = checked_at - $1 * interval '1 day',"
        " missing_since = missing_since - $1 * interval '1 day'",
        days,
    )
    assert (await company.platform.request(RecheckDomains(), actor=SCHEDULER)).status == "succeeded"
    await company.platform.settle()


async def test_a_domain_is_claimed_proven_and_active(acme: Company, server: DnsServer) -> None:
    claimed = await claim(acme, " Accounts.ACME.example. ")
    [event] = await acme.platform.events(CustomDomainClaimed)
    assert (event.domain_name, event.record, event.target) == (HOST, RECORD, TARGET)
    assert (await claim(acme)).result == claimed.result, "claimed twice it stays as it was"
    assert (await row(acme)).status == "pending"
    assert await served(acme) == {}
    server.records[RECORD] = ["v=spf1 -all", event.value]
    answer = await check(acme)
    assert answer.result == {"domain_name": HOST, "status": "proven", "problem": "points_nowhere", "seen": []}
    assert await served(acme) == {HOST: acme.tenant_id}, "it is served from when it is proven"
    assert await served(acme, active=True) == {}
    server.aliases[HOST] = TARGET
    server.addresses[TARGET] = ["192.0.2.1"]
    answer = await check(acme)
    assert answer.result == {"domain_name": HOST, "status": "active", "problem": None, "seen": []}
    assert await served(acme, active=True) == {HOST: acme.tenant_id}
    assert await changes(acme) == ["proven", "activated"]
    last = (await acme.platform.events(CustomDomainChanged))[-1]
    assert (last.serves, last.mail_domain) == ((HOST,), HOST)
    assert await mailed(acme) == [(acme.owner_email, "proven"), (acme.owner_email, "activated")]


async def test_admins_are_told_as_owners_are_and_nobody_else(acme: Company, server: DnsServer) -> None:
    await acme.take_in("admin@example.com", "admin")
    await acme.take_in("member@example.com", "member")
    await prove(acme, server)
    assert {who for who, _ in await mailed(acme)} == {acme.owner_email, "admin@example.com"}


async def test_each_way_in_which_the_dns_says_no_is_told_apart(
    acme: Company, server: DnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await claim(acme)
    assert (code(await check(acme)), (await row(acme)).problem) == ("dns_record_missing", "no_such_name")
    server.records[RECORD] = []
    assert (code(await check(acme)), (await row(acme)).problem) == ("dns_record_missing", "record_missing")
    server.records[RECORD] = ["prognetwork-verify=another", "x" * 1000, "a\x07b"]
    assert code(await check(acme)) == "dns_record_different"
    found = await row(acme)
    assert found.problem == "record_different"
    assert sorted(found.seen) == ["ab", "prognetwork-verify=another", "x" * 200]
    server.broken = True
    assert (code(await check(acme)), (await row(acme)).problem) == ("dns_failed", "server_failed")
    server.broken, server.silent = False, True
    monkeypatch.setattr(dns, "LOOK_UP_SECONDS", 0.3)
    assert (code(await check(acme)), (await row(acme)).problem) == ("dns_unanswered", "timed_out")
    failures = await acme.platform.events(CustomDomainCheckFailed)
    assert [each.reason for each in failures] == [
        "no_such_name", "record_missing", "record_different", "server_failed", "timed_out",
    ]  # fmt: skip
    assert await served(acme) == {}


async def test_where_a_name_leads_instead_is_shown(acme: Company, server: DnsServer) -> None:
    await prove(acme, server, leads_here=False)
    server.aliases[HOST] = "acme.pages.example"
    server.addresses["acme.pages.example"] = ["192.0.2.7"]
    assert (await check(acme)).result == {
        "domain_name": HOST, "status": "proven", "problem": "points_elsewhere", "seen": ["acme.pages.example"],
    }  # fmt: skip
    del server.aliases[HOST]
    server.addresses[HOST] = ["192.0.2.9", "192.0.2.1"]
    server.addresses[TARGET] = ["192.0.2.1", "192.0.2.2"]
    answer = await check(acme)
    assert answer.result is not None
    assert answer.result["seen"] == ["192.0.2.1", "192.0.2.9"], "one of its addresses is not ours"
    server.addresses[HOST] = ["192.0.2.1"]
    answer = await check(acme)
    assert answer.result is not None
    assert answer.result["status"] == "active", "as at the top of a zone, where no CNAME can be"


async def test_a_domain_is_one_tenant_s_until_its_record_is_gone(acme: Company, server: DnsServer) -> None:
    await prove(acme, server)
    other = Company(acme.platform)
    await other.open()
    claimed = (await claim(other)).result
    assert claimed is not None
    server.records[RECORD].append(claimed["value"])
    assert code(await check(other)) == "custom_domain_taken"
    assert (await row(other)).problem == "proven_elsewhere"
    assert await served(acme) == {HOST: acme.tenant_id}
    server.records[RECORD] = [claimed["value"]]
    await a_day_later(acme)
    assert code(await check(other)) == "custom_domain_taken", "who moves their DNS has a week"
    await a_day_later(acme, days=8)
    assert (await check(other)).status == "succeeded"
    assert await served(acme) == {HOST: other.tenant_id}
    assert code(await check(acme)) == "dns_record_different"
    assert (await row(acme)).status == "lost"


async def test_a_domain_that_loses_its_proof_is_served_no_more_and_all_are_told(
    acme: Company, server: DnsServer
) -> None:
    await prove(acme, server)
    kept = server.records.pop(RECORD)
    for _ in range(7):
        await a_day_later(acme)
        assert await served(acme) == {HOST: acme.tenant_id}
    assert (await row(acme)).missing_since is not None
    await a_day_later(acme)
    assert await served(acme) == {}
    assert (await row(acme)).status == "lost"
    lost = (await acme.platform.events(CustomDomainChanged))[-1]
    assert (lost.change, lost.serves, lost.mail_domain) == ("lost", (), None)
    assert [what for _, what in await mailed(acme)] == ["proven", "activated", "missing", "lost"]
    server.records[RECORD] = kept
    assert (await check(acme)).status == "succeeded", "the same record proves it again"
    assert (await row(acme)).status == "active"


async def test_a_dns_that_does_not_answer_takes_nothing_away(
    acme: Company, server: DnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await prove(acme, server)
    monkeypatch.setattr(dns, "LOOK_UP_SECONDS", 0.1)
    server.silent = True
    await a_day_later(acme)
    await a_day_later(acme, days=30)
    assert (await row(acme)).status == "active"
    assert await changes(acme) == ["proven", "activated"]


async def test_a_domain_that_leads_elsewhere_is_in_no_mail_and_comes_back(acme: Company, server: DnsServer) -> None:
    await prove(acme, server)
    server.aliases[HOST] = "elsewhere.example"
    server.addresses["elsewhere.example"] = ["192.0.2.66"]
    await a_day_later(acme)
    last = (await acme.platform.events(CustomDomainChanged))[-1]
    assert (last.change, last.serves, last.mail_domain) == ("misdirected", (HOST,), None)
    server.aliases[HOST] = TARGET
    await a_day_later(acme)
    assert (await changes(acme))[-1] == "activated"
    await a_day_later(acme)
    assert await changes(acme) == ["proven", "activated", "misdirected", "activated"], "told once, and not every day"


async def test_what_was_just_proven_is_looked_at_until_it_leads_here(acme: Company, server: DnsServer) -> None:
    await prove(acme, server, leads_here=False)
    server.aliases[HOST] = TARGET
    server.addresses[TARGET] = ["192.0.2.1"]
    await acme.platform.fetch("UPDATE tenants.served_domains SET checked_at = checked_at - interval '11 minutes'")
    assert (await acme.platform.request(RecheckDomains(), actor=SCHEDULER)).status == "succeeded"
    await acme.platform.settle()
    assert (await row(acme)).status == "active"


async def test_a_released_domain_is_gone(acme: Company, server: DnsServer) -> None:
    await prove(acme, server)
    release = ReleaseCustomDomain(tenant_id=acme.tenant_id, domain_name=HOST)
    assert (await ask(acme, release)).status == "succeeded"
    assert await served(acme) == {}
    assert (await changes(acme))[-1] == "released"
    assert code(await ask(acme, release)) == "custom_domain_not_claimed"
    assert code(await check(acme)) == "custom_domain_not_claimed"
    command = RecheckCustomDomain(tenant_id=acme.tenant_id, domain_name=HOST)
    again = await acme.platform.request(command, tenant_id=acme.tenant_id, actor=SCHEDULER)
    assert again.status == "succeeded"


async def test_the_record_of_a_domain_of_addresses_proves_no_host(acme: Company, server: DnsServer) -> None:
    claimed = (await ask(acme, ClaimDomain(tenant_id=acme.tenant_id, domain_name=HOST))).result
    assert claimed is not None
    server.records[claimed["record"]] = [claimed["value"]]
    await claim(acme)
    assert code(await check(acme)) == "dns_record_missing"
    server.records[RECORD] = [claimed["value"]]
    assert code(await check(acme)) == "dns_record_different"


@pytest.mark.parametrize(
    ("domain", "problem"),
    [
        ("", "invalid_domain"),
        ("acme", "invalid_domain"),
        ("-acme.example", "invalid_domain"),
        ("acme..example", "invalid_domain"),
        ("a_b.acme.example", "invalid_domain"),
        (f"{'x' * 300}.example", "invalid_domain"),
        ("x." * 40 + "example", "invalid_domain"),
        ("acme.example/x", "invalid_domain"),
        ("https://acme.example", "invalid_domain"),
        ("acme.example:8000", "invalid_domain"),
        ("me@acme.example", "invalid_domain"),
        ("acme.example\x00", "invalid_domain"),
        ("*.acme.example", "wildcard_not_allowed"),
        ("192.0.2.1", "address_not_allowed"),
        ("[2001:db8::1]", "address_not_allowed"),
        ("2001:db8::1", "address_not_allowed"),
        ("accounts.localhost", "private_name"),
        ("printer.local", "private_name"),
        ("db.internal", "private_name"),
        (TARGET, "reserved_domain"),
        (TARGET.upper() + ".", "reserved_domain"),
        (f"acme.{TARGET}", "reserved_domain"),
        ("prog.example", "reserved_domain"),
        ("id.prog.example", "reserved_domain"),
        ("co.uk", "public_suffix"),
        ("github.io", "public_suffix"),
    ],
)
async def test_what_no_tenant_can_have_is_refused_with_what_is_wrong(acme: Company, domain: str, problem: str) -> None:
    answer = await claim(acme, domain)
    assert answer.error is not None
    assert [field.code for field in answer.error.fields] == [problem]
    assert answer.error.fields[0].message.startswith(("Enter", "Name", "This name", "Anybody"))


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Konten.Müller.example", "konten.xn--mller-kva.example"),
        ("accounts.straße.example", "accounts.xn--strae-oqa.example"),
        ("accounts。acme。example", HOST),
        ("ACCOUNTS.acme.example", HOST),
    ],
)
async def test_a_name_has_one_spelling_that_of_browsers(acme: Company, typed: str, kept: str) -> None:
    claimed = (await claim(acme, typed)).result
    assert claimed is not None
    assert claimed["domain_name"] == kept


async def test_the_plan_says_how_many(acme: Company) -> None:
    assert (await claim(acme)).status == "succeeded"
    refused = await claim(acme, "second.acme.example")
    assert code(refused) == "custom_domain_limit"
    assert (await claim(acme)).status == "succeeded", "the one that it has is no other"
    await acme.platform.fetch("DELETE FROM tenants.limits WHERE name = 'custom_domains'")
    assert code(await claim(acme, "second.acme.example")) == "custom_domain_limit", (
        "as the plan says where none is kept"
    )


@pytest.mark.parametrize("role", ROLES)
async def test_owners_and_admins_alone_change_custom_domains(
    acme: Company, role: TenantRole, server: DnsServer
) -> None:
    actor = acme.owner_id if role == "owner" else await acme.take_in("somebody@example.com", role)
    commands: list[Command] = [
        ClaimCustomDomain(tenant_id=acme.tenant_id, domain_name=HOST),
        CheckCustomDomain(tenant_id=acme.tenant_id, domain_name=HOST),
        ReleaseCustomDomain(tenant_id=acme.tenant_id, domain_name=HOST),
    ]
    found = [(await ask(acme, command, actor)).error for command in commands]
    codes = [None if error is None else error.code for error in found]
    allowed = role in ("owner", "admin")
    assert codes == ([None, "dns_record_missing", None] if allowed else ["not_permitted"] * 3)


async def test_another_tenant_s_domains_are_not_seen_or_touched(acme: Company, server: DnsServer) -> None:
    await prove(acme, server)
    other = Company(acme.platform)
    await other.open()
    for command in (
        CheckCustomDomain(tenant_id=acme.tenant_id, domain_name=HOST),
        ReleaseCustomDomain(tenant_id=acme.tenant_id, domain_name=HOST),
    ):
        assert code(await ask(acme, command, other.owner_id)) == "tenant_not_found"
        forged = await acme.platform.request(command, tenant_id=other.tenant_id, actor=other.owner_id)
        assert code(forged) == "wrong_tenant"
    assert code(await ask(other, ReleaseCustomDomain(tenant_id=other.tenant_id, domain_name=HOST))) == (
        "custom_domain_not_claimed"
    )
    assert await served(acme) == {HOST: acme.tenant_id}


async def test_the_platform_s_own_tenant_has_none(platform: Harness) -> None:
    command = ClaimCustomDomain(tenant_id=PLATFORM_TENANT_ID, domain_name=HOST)
    operator = await staff(platform, "operator")
    assert code(await platform.request(command, actor=operator)) == "platform_tenant"


async def test_looking_again_is_for_processes(acme: Company) -> None:
    command = RecheckCustomDomain(tenant_id=acme.tenant_id, domain_name=HOST)
    assert code(await ask(acme, command)) == "not_permitted"
    assert code(await acme.platform.request(RecheckDomains(), actor=new_id("user"))) == "not_permitted"
