"""Where links in mails lead: to a tenant's own host where that is active, and nobody's account is lost by it."""

from __future__ import annotations

import pytest

from prog_contracts.custom_domains import CustomDomainChanged
from prog_contracts.email import SendMail, Template
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_contracts.sign_on import SignOnChanged
from prog_contracts.tenants import TenantDeleted
from prog_kit.secrets import MAIL
from tests.component.email.providers import ScriptedProvider
from tests.component.email.test_mails import TENANT
from tests.component.harness import Harness

HOST = "accounts.acme.example"
OTHER = new_id("tenant")
SITE = f"https://{HOST}/account/"
PLATFORM = "https://prog.example/account/"
OPENS_AN_ACCOUNT: tuple[Template, ...] = ("verify_email", "reset_password", "magic_link")


async def activate(platform: Harness, mail_domain: str | None = HOST, tenant_id: str = TENANT) -> None:
    changed = CustomDomainChanged(
        tenant_id=tenant_id, domain_name=HOST, change="activated", serves=(HOST,), mail_domain=mail_domain
    )
    await platform.publish(changed, tenant_id=tenant_id)


async def prove_addresses(platform: Harness, *domains: str, tenant_id: str = TENANT) -> None:
    changed = SignOnChanged(tenant_id=tenant_id, change="domain_proven", domains=domains)
    await platform.publish(changed, tenant_id=tenant_id)


async def link(
    platform: Harness,
    provider: ScriptedProvider,
    template: Template,
    *,
    to: str = "ada@acme.example",
    at: str | None = TENANT,
    tenant_id: str = PLATFORM_TENANT_ID,
) -> str:
    """The link in a mail that somebody asked for at a tenant's own host, `at`."""
    mail = SendMail(
        mail_id=new_id("mail"),
        template=template,
        to=to,
        data={"tenant_name": "Acme", "role": "member"},
        sealed_data={"token": platform.seal("prog_token", MAIL)},
        site_tenant_id=at,
    )
    await platform.request(mail, tenant_id=tenant_id)
    await platform.settle()
    [found] = [line for line in provider.sent[-1].text.splitlines() if "/account/" in line]
    assert f'href="{found}"' in provider.sent[-1].html.replace("&amp;", "&")
    return found


@pytest.mark.parametrize("template", OPENS_AN_ACCOUNT)
async def test_check_11_a_link_that_opens_an_account_leads_there_for_the_tenant_s_own_addresses_alone(
    platform: Harness, provider: ScriptedProvider, template: Template
) -> None:
    await activate(platform)
    assert (await link(platform, provider, template)).startswith(PLATFORM), "nothing says whose the address is"
    await prove_addresses(platform, "acme.example")
    assert (await link(platform, provider, template)).startswith(SITE)
    assert (await link(platform, provider, template, to="ada@elsewhere.example")).startswith(PLATFORM)
    assert (await link(platform, provider, template, to="ada@sub.acme.example")).startswith(PLATFORM)
    assert (await link(platform, provider, template, at=None)).startswith(PLATFORM)
    assert (await link(platform, provider, template, at=OTHER)).startswith(PLATFORM)


async def test_check_11_another_tenant_s_proof_of_an_address_leads_nobody_to_this_host(
    platform: Harness, provider: ScriptedProvider
) -> None:
    await activate(platform)
    await prove_addresses(platform, "acme.example", tenant_id=OTHER)
    assert (await link(platform, provider, "reset_password")).startswith(PLATFORM)


async def test_invitations_lead_to_the_tenant_s_host_while_it_is_active(
    platform: Harness, provider: ScriptedProvider
) -> None:
    async def invited() -> str:
        return await link(platform, provider, "invitation", to="new@elsewhere.example", at=None, tenant_id=TENANT)

    assert (await invited()).startswith(PLATFORM)
    await activate(platform)
    assert (await invited()).startswith(f"{SITE}invitations/accept?token=")
    await activate(platform, None)
    assert (await invited()).startswith(PLATFORM), "it leads elsewhere, or is lost"


async def test_what_a_released_domain_or_proof_leaves_behind_is_nothing(
    platform: Harness, provider: ScriptedProvider
) -> None:
    await activate(platform)
    await prove_addresses(platform, "acme.example")
    await prove_addresses(platform)
    assert (await link(platform, provider, "reset_password")).startswith(PLATFORM)
    await prove_addresses(platform, "acme.example")
    await platform.publish(TenantDeleted(tenant_id=TENANT), tenant_id=TENANT)
    await platform.settle()
    assert (await link(platform, provider, "reset_password")).startswith(PLATFORM)
    await activate(platform)
    assert (await link(platform, provider, "reset_password")).startswith(PLATFORM), "an event that was late"
