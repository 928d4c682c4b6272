"""Domains that were proven are looked up again, with a DNS server on loopback."""

from __future__ import annotations

import pytest

from prog_contracts.email import SendMail
from prog_contracts.ids import new_id
from prog_contracts.sign_on import ClaimDomain, DomainCheckFailed, RecheckDomain, RecheckDomains, SignOnChanged
from prog_workers.tenants import dns, rules
from prog_workers.tenants.handlers import domains
from tests.component.tenants.company import Company, code
from tests.component.tenants.test_sign_on import DOMAIN, ask, check, configure, last_change, prove, server
from tests.dns_server import DnsServer

__all__ = ["server"]

RECORD = rules.dns_name(DOMAIN)
SCHEDULER = "prog-scheduler"


async def a_day_later(company: Company, days: int = 1) -> None:
    """Time goes on, and the scheduler asks."""
    await company.platform.fetch(
        "UPDATE tenants.proven_domains SET checked_at = checked_at - $1 * interval '1 day',"
        " missing_since = missing_since - $1 * interval '1 day'",
        days,
    )
    assert (await company.platform.request(RecheckDomains(), actor=SCHEDULER)).status == "succeeded"
    await company.platform.settle()


async def told(company: Company) -> list[str]:
    """What owners were told about domains that are looked up again."""
    mails = [mail for mail in await company.platform.events(SendMail) if mail.template == "tenant_sign_on_changed"]
    return [mail.data["what"] for mail in mails if mail.data["what"] in ("domain_missing", "domain_lost")]


async def is_proven(company: Company) -> bool:
    query = "SELECT FROM tenants.proven_domains WHERE tenant_id = $1 AND domain = $2"
    return bool(await company.platform.fetch(query, company.tenant_id, DOMAIN))


async def test_a_domain_stays_proven_while_its_record_is_there(acme: Company, server: DnsServer) -> None:
    await prove(acme, server)
    asked = len(server.asked)
    assert (await acme.platform.request(RecheckDomains(), actor=SCHEDULER)).status == "succeeded"
    await acme.platform.settle()
    assert len(server.asked) == asked, "it was looked up just now"
    for _ in range(10):
        await a_day_later(acme)
    assert len(server.asked) == asked + 10
    assert await is_proven(acme)
    assert await told(acme) == []


async def test_a_record_that_is_gone_is_told_at_once_and_takes_the_domain_away_after_a_week(
    acme: Company, server: DnsServer
) -> None:
    await prove(acme, server)
    assert (await configure(acme, enforced=True)).status == "succeeded"
    del server.records[RECORD]
    for _ in range(7):
        await a_day_later(acme)
        assert await is_proven(acme)
    assert (await last_change(acme)).enforced, "till then it goes on as before"
    assert await told(acme) == ["domain_missing"], "once, and not every day"
    assert {failed.reason for failed in await acme.platform.events(DomainCheckFailed)} == {"record_missing"}
    await a_day_later(acme)
    assert not await is_proven(acme)
    change = await last_change(acme)
    assert (change.change, change.domains, change.enforced) == ("domain_lost", (), False)
    assert await told(acme) == ["domain_missing", "domain_lost"]
    await a_day_later(acme)
    assert await told(acme) == ["domain_missing", "domain_lost"]


async def test_a_domain_that_is_lost_is_proven_again_by_the_same_record_or_by_somebody_else(
    acme: Company, server: DnsServer
) -> None:
    await prove(acme, server)
    kept = server.records.pop(RECORD)
    await a_day_later(acme)
    await a_day_later(acme, days=8)
    assert not await is_proven(acme)
    other = Company(acme.platform)
    await other.open()
    claimed = await ask(other, ClaimDomain(tenant_id=other.tenant_id, domain_name=DOMAIN))
    assert claimed.result is not None
    server.records[RECORD] = [claimed.result["value"]]
    assert (await check(other)).status == "succeeded"
    server.records[RECORD] += kept
    assert code(await check(acme)) == "domain_taken"


async def test_a_record_that_is_back_in_time_saves_the_domain(acme: Company, server: DnsServer) -> None:
    await prove(acme, server)
    kept = server.records.pop(RECORD)
    for _ in range(6):
        await a_day_later(acme)
    server.records[RECORD] = kept
    await a_day_later(acme)
    del server.records[RECORD]
    for _ in range(6):
        await a_day_later(acme)
    assert await is_proven(acme), "the week begins anew"
    assert await told(acme) == ["domain_missing", "domain_missing"]
    server.records[RECORD] = kept
    assert (await check(acme)).status == "succeeded"
    [row] = await acme.platform.fetch("SELECT missing_since FROM tenants.proven_domains")
    assert row["missing_since"] is None, "an owner who has it checked need not wait for the night"


async def test_a_dns_that_does_not_answer_takes_nothing_away(
    acme: Company, server: DnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dns, "LOOK_UP_SECONDS", 0.1)
    await prove(acme, server)
    server.silent = True
    await a_day_later(acme)
    await a_day_later(acme, days=30)
    assert await is_proven(acme)
    assert await told(acme) == []


async def test_those_that_have_waited_longest_are_looked_up_first_and_few_at_a_time(
    acme: Company, server: DnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(domains, "BATCH", 2)
    names = [f"d{number}.example" for number in range(3)]
    for name in names:
        await prove(acme, server, name)
    await acme.platform.fetch("UPDATE tenants.proven_domains SET checked_at = checked_at - interval '2 days'")
    server.asked.clear()
    for expected in ([rules.dns_name(name) for name in names[:2]], [rules.dns_name(names[2])], []):
        assert (await acme.platform.request(RecheckDomains(), actor=SCHEDULER)).status == "succeeded"
        await acme.platform.settle()
        assert sorted(server.asked) == expected
        server.asked.clear()


async def test_a_domain_that_was_released_meanwhile_is_let_be(acme: Company, server: DnsServer) -> None:
    command = RecheckDomain(tenant_id=acme.tenant_id, domain_name=DOMAIN)
    answer = await acme.platform.request(command, tenant_id=acme.tenant_id, actor=SCHEDULER)
    assert answer.status == "succeeded"
    assert await acme.platform.events(SignOnChanged) == []


async def test_looking_up_again_is_for_processes(acme: Company) -> None:
    assert code(await acme.platform.request(RecheckDomains(), actor=new_id("user"))) == "not_permitted"
    command = RecheckDomain(tenant_id=acme.tenant_id, domain_name=DOMAIN)
    assert code(await ask(acme, command)) == "not_permitted"
