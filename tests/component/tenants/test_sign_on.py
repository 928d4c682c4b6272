"""A tenant's own provider and its domains, with a DNS server on loopback."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from prog_broker.replies import Answer
from prog_contracts.directory import DeleteDirectoryUser, SetDirectoryDefault
from prog_contracts.email import SendMail
from prog_contracts.exports import ExportTenant
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_contracts.messages import Command
from prog_contracts.permissions import ROLES
from prog_contracts.sign_on import (
    AdmitSignedOn,
    CheckDomain,
    ClaimDomain,
    ConfigureSignOn,
    DomainCheckFailed,
    DomainClaimed,
    ReleaseDomain,
    RemoveSignOn,
    SignOnAdmissionRefused,
    SignOnChanged,
)
from prog_contracts.tenants import ChangeMemberRole, MemberJoined, TenantRole
from prog_kit.secrets import sign_on_purpose
from prog_workers.tenants import dns
from tests.component.harness import Harness
from tests.component.tenants.company import Company, code, staff
from tests.component.tenants.provider import Provider
from tests.dns_server import DnsServer

ISSUER = "https://id.acme.example"
DOMAIN = "acme.example"


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DnsServer]:
    async with DnsServer() as server:
        monkeypatch.setattr(dns, "resolver", dns.DnsResolver([server.address]))
        yield server


async def ask(company: Company, command: Command, actor: str | None = None) -> Answer:
    return await company.platform.request(command, tenant_id=company.tenant_id, actor=actor or company.owner_id)


async def configure(company: Company, actor: str | None = None, **changes: Any) -> Answer:
    values: dict[str, Any] = {
        "tenant_id": company.tenant_id,
        "issuer": ISSUER,
        "client_id": "prognetwork",
        "sealed_client_secret": company.platform.seal("hush", sign_on_purpose(company.tenant_id)),
    }
    return await ask(company, ConfigureSignOn(**{**values, **changes}), actor)


async def prove(company: Company, server: DnsServer, domain: str = DOMAIN) -> None:
    """Claims a domain, publishes its record, and has it checked."""
    claimed = await ask(company, ClaimDomain(tenant_id=company.tenant_id, domain_name=domain))
    assert claimed.result is not None, claimed
    server.records[claimed.result["record"]] = ["v=spf1 -all", claimed.result["value"]]
    answer = await check(company, domain)
    assert answer.status == "succeeded", answer


async def check(company: Company, domain: str = DOMAIN, actor: str | None = None) -> Answer:
    return await ask(company, CheckDomain(tenant_id=company.tenant_id, domain_name=domain), actor)


async def last_change(company: Company) -> SignOnChanged:
    return (await company.platform.events(SignOnChanged, tenant_id=company.tenant_id))[-1]


async def test_a_domain_is_proven_by_its_record_and_by_nothing_else(acme: Company, server: DnsServer) -> None:
    claimed = await ask(acme, ClaimDomain(tenant_id=acme.tenant_id, domain_name=" ACME.example. "))
    [event] = await acme.platform.events(DomainClaimed)
    assert (event.domain_name, event.record) == (DOMAIN, "_prognetwork.acme.example")
    assert code(await check(acme)) == "dns_record_missing"
    server.records[event.record] = [event.value + "x", event.value[:-1], "prognetwork-verify="]
    assert code(await check(acme)) == "dns_record_missing"
    server.records[DOMAIN] = [event.value]
    assert code(await check(acme)) == "dns_record_missing", "a record of the domain itself is not looked at"
    again = await ask(acme, ClaimDomain(tenant_id=acme.tenant_id, domain_name=DOMAIN))
    assert claimed.result == again.result, "claimed twice it stays as it was"
    server.records[event.record] = ["other text", event.value]
    assert (await check(acme)).status == "succeeded"
    assert (await check(acme)).status == "succeeded"
    assert (await last_change(acme)).domains == (DOMAIN,)
    mails = [mail for mail in await acme.platform.events(SendMail) if mail.template == "tenant_sign_on_changed"]
    assert [(mail.to, mail.data["what"], mail.data["detail"]) for mail in mails[:1]] == [
        (acme.owner_email, "domain_proven", DOMAIN)
    ]
    assert [failed.reason for failed in await acme.platform.events(DomainCheckFailed)] == ["record_missing"] * 3


async def test_a_dns_that_does_not_answer_proves_nothing(
    acme: Company, server: DnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dns, "LOOK_UP_SECONDS", 0.3)
    await ask(acme, ClaimDomain(tenant_id=acme.tenant_id, domain_name=DOMAIN))
    server.silent = True
    assert code(await check(acme)) == "dns_unanswered"
    assert server.asked, "it was asked"


async def test_a_domain_is_one_tenant_s_until_it_is_released(acme: Company, server: DnsServer) -> None:
    await prove(acme, server)
    other = Company(acme.platform)
    await other.open()
    claimed = await ask(other, ClaimDomain(tenant_id=other.tenant_id, domain_name=DOMAIN))
    assert claimed.result is not None
    server.records[claimed.result["record"]].append(claimed.result["value"])
    assert code(await check(other)) == "domain_taken"
    released = await ask(acme, ReleaseDomain(tenant_id=acme.tenant_id, domain_name=DOMAIN))
    assert released.status == "succeeded"
    assert (await last_change(acme)).domains == ()
    assert (await check(other)).status == "succeeded"
    assert code(await check(acme)) == "domain_not_claimed"


@pytest.mark.parametrize(
    "domain", ["", "acme", "-acme.example", "acme..example", "x" * 300, "a@b.example", "acme.example/x"]
)
async def test_what_is_no_domain_is_refused(acme: Company, domain: str) -> None:
    assert code(await ask(acme, ClaimDomain(tenant_id=acme.tenant_id, domain_name=domain))) == "invalid_domain"


async def test_a_tenant_claims_twenty_domains_and_no_more(acme: Company) -> None:
    for number in range(20):
        claimed = await ask(acme, ClaimDomain(tenant_id=acme.tenant_id, domain_name=f"d{number}.example"))
        assert claimed.status == "succeeded"
    assert (
        code(await ask(acme, ClaimDomain(tenant_id=acme.tenant_id, domain_name="more.example"))) == "too_many_domains"
    )
    again = await ask(acme, ClaimDomain(tenant_id=acme.tenant_id, domain_name="d3.example"))
    assert again.status == "succeeded"


@pytest.mark.parametrize("role", ROLES)
async def test_owners_and_admins_alone_change_sign_on(acme: Company, role: TenantRole, server: DnsServer) -> None:
    actor = acme.owner_id if role == "owner" else await acme.take_in("somebody@example.com", role)
    commands: list[Command] = [
        ClaimDomain(tenant_id=acme.tenant_id, domain_name=DOMAIN),
        CheckDomain(tenant_id=acme.tenant_id, domain_name=DOMAIN),
        ReleaseDomain(tenant_id=acme.tenant_id, domain_name=DOMAIN),
        RemoveSignOn(tenant_id=acme.tenant_id),
    ]
    answers = [await configure(acme, actor), *[await ask(acme, command, actor) for command in commands]]
    denied = {answer.error.code for answer in answers if answer.error is not None} & {"not_permitted"}
    assert bool(denied) == (role not in ("owner", "admin"))
    if denied:
        assert all(code(answer) == "not_permitted" for answer in answers)


async def test_a_key_changes_no_sign_on(acme: Company) -> None:
    key = f"{acme.owner_id}/{new_id('apikey')}"
    assert code(await configure(acme, key)) == "not_permitted"


async def test_the_secret_is_sealed_for_the_tenant_alone_and_given_anew_to_another_issuer(acme: Company) -> None:
    elsewhere = acme.platform.seal("hush", sign_on_purpose(new_id("tenant")))
    assert code(await configure(acme, sealed_client_secret=elsewhere)) == "unreadable_secret"
    assert code(await configure(acme, sealed_client_secret=None)) == "required"
    assert (await configure(acme)).status == "succeeded"
    assert (await configure(acme, sealed_client_secret=None, client_id="another")).status == "succeeded"
    assert code(await configure(acme, sealed_client_secret=None, issuer="https://evil.example")) == "required"
    [row] = await acme.platform.fetch("SELECT issuer, client_id, sealed_client_secret FROM tenants.sign_on")
    assert (row["issuer"], row["client_id"]) == (ISSUER, "another")
    assert "hush" not in row["sealed_client_secret"]
    told = await acme.platform.fetch(
        "SELECT coalesce(string_agg(encode(data, 'escape'), ''), '') AS all FROM bus.event_log"
    )
    assert "hush" not in told[0]["all"]


@pytest.mark.parametrize(
    "issuer", ["", "id.acme.example", "ftp://x", "https://a@b", "https://x/?q", "https://" + "x" * 600]
)
async def test_what_is_no_issuer_is_refused(acme: Company, issuer: str) -> None:
    assert code(await configure(acme, issuer=issuer)) == "invalid_issuer"


async def test_sign_on_is_enforced_once_a_domain_is_proven(acme: Company, server: DnsServer) -> None:
    assert code(await configure(acme, enforced=True)) == "no_proven_domain"
    await prove(acme, server)
    assert (await configure(acme, enforced=True, api_key_days=30)).status == "succeeded"
    change = await last_change(acme)
    assert (change.enforced, change.domains, change.owners) == (True, (DOMAIN,), (acme.owner_id,))
    assert change.api_key_days == 30
    admin = await acme.take_in("second@example.com", "admin")
    promote = ChangeMemberRole(tenant_id=acme.tenant_id, user_id=admin, role="owner")
    assert (await ask(acme, promote)).status == "succeeded"
    change = await last_change(acme)
    assert (change.change, set(change.owners)) == ("owners_changed", {acme.owner_id, admin})
    assert (await ask(acme, ReleaseDomain(tenant_id=acme.tenant_id, domain_name=DOMAIN))).status == "succeeded"
    assert not (await last_change(acme)).enforced, "without a domain there is nobody to bind"
    assert (await ask(acme, RemoveSignOn(tenant_id=acme.tenant_id))).status == "succeeded"
    assert (await last_change(acme)).issuer is None
    assert code(await ask(acme, RemoveSignOn(tenant_id=acme.tenant_id))) == "no_sign_on"


async def admit(company: Company, user_id: str, actor: str | None = None) -> Answer:
    command = AdmitSignedOn(tenant_id=company.tenant_id, user_id=user_id, email=f"{user_id}@{DOMAIN}", name="Joe")
    return await company.platform.request(command, tenant_id=company.tenant_id, actor=actor)


async def test_whoever_signs_on_becomes_a_member_once_with_the_chosen_role(acme: Company) -> None:
    joe = new_id("user")
    assert (await admit(acme, joe)).status == "succeeded"
    assert [refused.reason for refused in await acme.platform.events(SignOnAdmissionRefused)] == ["no_sign_on"]
    await configure(acme, default_role="viewer")
    await acme.platform.fetch("UPDATE tenants.limits SET value = 2 WHERE name = 'members'")
    for _ in range(2):
        assert (await admit(acme, joe)).status == "succeeded"
    [joined] = [event for event in await acme.platform.events(MemberJoined) if event.user_id == joe]
    assert joined.role == "viewer"
    await admit(acme, acme.owner_id)
    assert (await acme.platform.fetch("SELECT role FROM tenants.members WHERE user_id = $1", acme.owner_id))[0][
        "role"
    ] == "owner"
    await admit(acme, new_id("user"))
    assert (await acme.platform.events(SignOnAdmissionRefused))[-1].reason == "member_limit"
    assert code(await admit(acme, new_id("user"), actor=new_id("user"))) == "not_permitted"


async def test_whoever_signs_on_is_linked_to_their_entry_in_the_directory(acme: Company) -> None:
    await configure(acme)
    provider, person = Provider(acme), new_id("user")
    entry = await provider.add(f"{person}@{DOMAIN}")
    assert (await admit(acme, person)).status == "succeeded"
    assert (await provider.row(entry))["user_id"] == person
    await provider.set_active(entry, False)
    assert person not in await acme.roles()
    assert (await admit(acme, person)).status == "succeeded"
    assert person not in await acme.roles(), "whom the directory has deactivated does not sign on again"
    assert [refused.reason for refused in await acme.platform.events(SignOnAdmissionRefused)] == ["deactivated"]


async def test_a_suspended_tenant_takes_nobody_in(acme: Company) -> None:
    await configure(acme)
    await acme.platform.fetch(
        "UPDATE tenants.tenants SET status = 'suspended', suspension_reason = 'x' WHERE tenant_id = $1", acme.tenant_id
    )
    await admit(acme, new_id("user"))
    assert [refused.reason for refused in await acme.platform.events(SignOnAdmissionRefused)] == ["tenant_closed"]


async def test_check_17_a_directory_that_calls_somebody_otherwise_shuts_them_out_all_the_same(acme: Company) -> None:
    """The entry means the account that has joined, whatever address the provider writes later."""
    await configure(acme)
    provider, person = Provider(acme), new_id("user")
    entry = await provider.add(f"{person}@{DOMAIN}")
    assert (await admit(acme, person)).status == "succeeded"
    renamed = {"op": "replace", "path": "emails", "value": [{"value": f"married@{DOMAIN}", "primary": True}]}
    assert (await provider.patch(entry, renamed)).status == "succeeded"
    await provider.set_active(entry, False)
    assert person not in await acme.roles()
    assert (await admit(acme, person)).status == "succeeded"
    assert person not in await acme.roles()
    assert [refused.reason for refused in await acme.platform.events(SignOnAdmissionRefused)] == ["deactivated"]


async def test_check_17_an_owner_whom_the_directory_removes_signs_on_as_all_do(
    acme: Company, server: DnsServer
) -> None:
    await prove(acme, server)
    assert (await configure(acme, enforced=True)).status == "succeeded"
    second = await acme.take_in(f"second@{DOMAIN}", "owner")
    assert set((await last_change(acme)).owners) == {acme.owner_id, second}
    provider = Provider(acme)
    entry = await provider.add(f"second@{DOMAIN}")
    assert (await provider.set_active(entry, False)).status == "succeeded"
    assert second not in await acme.roles()
    assert (await last_change(acme)).owners == (acme.owner_id,)


async def test_nobody_becomes_a_member_of_the_platform_itself_by_a_provider_or_a_directory(platform: Harness) -> None:
    operator = await staff(platform)
    for command in (
        ConfigureSignOn(
            tenant_id=PLATFORM_TENANT_ID,
            issuer=ISSUER,
            client_id="prognetwork",
            sealed_client_secret=platform.seal("hush", sign_on_purpose(PLATFORM_TENANT_ID)),
        ),
        ClaimDomain(tenant_id=PLATFORM_TENANT_ID, domain_name=DOMAIN),
        SetDirectoryDefault(tenant_id=PLATFORM_TENANT_ID, role="member"),
        DeleteDirectoryUser(tenant_id=PLATFORM_TENANT_ID, directory_user_id=new_id("diruser")),
        ExportTenant(tenant_id=PLATFORM_TENANT_ID, export_id=new_id("export")),
    ):
        assert code(await platform.request(command, actor=operator)) == "platform_tenant"
