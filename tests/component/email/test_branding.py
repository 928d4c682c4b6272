"""Mails in a tenant's name: its looks and sender, of its own tenant alone, and never on a notice of the platform's."""

from __future__ import annotations

from typing import Any

import pytest

from prog_contracts.configuration import Branding, Configuration, MailSettings, TenantConfigured
from prog_contracts.email import SendMail, Template
from prog_contracts.ids import new_id
from prog_contracts.messages import Message
from prog_contracts.tenants import TenantCreated, TenantDeleted
from prog_kit.secrets import MAIL
from prog_workers.email.providers.port import OutgoingMail
from tests.component.email.providers import ScriptedProvider
from tests.component.email.test_mails import TENANT, failed, paid, ready
from tests.component.harness import Harness

LOGO = "5f" * 16
OTHER = new_id("tenant")


def configured(version: int, tenant_id: str = TENANT, **looks: Any) -> TenantConfigured:
    mail = MailSettings(sender_name=looks.pop("sender_name", None), reply_to=looks.pop("reply_to", None),
                        support_address=looks.pop("support_address", None))  # fmt: skip
    locale = looks.pop("locale", "en_US")
    document = Configuration(branding=Branding(**looks), mail=mail, locale=locale)
    return TenantConfigured(tenant_id=tenant_id, version=version, configuration=document)


ACME = configured(
    2, name="Acme <b>Group</b>", logo=LOGO, accent_light="#0b6b4f", accent_dark="#5fd0a5", sender_name="Acme Billing",
    reply_to="billing@acme.example", support_address="help@acme.example",
)  # fmt: skip


async def sent(platform: Harness, provider: ScriptedProvider, cause: Message, tenant_id: str = TENANT) -> OutgoingMail:
    before = len(provider.sent)
    await platform.publish(cause, tenant_id=tenant_id)
    await platform.settle()
    assert len(provider.sent) == before + 1
    return provider.sent[-1]


def shows_acme(mail: OutgoingMail) -> bool:
    whole = mail.html + mail.text + mail.sender_name + (mail.reply_to or "")
    marks = ("Group", LOGO, "#0b6b4f", "#5fd0a5", "Acme Billing", "acme.example")
    found = {mark for mark in marks if mark in whole}
    assert found in (set(), set(marks)), found
    return bool(found)


@pytest.mark.parametrize("cause", [paid(), failed()])
async def test_a_mail_about_billing_has_the_tenants_looks(
    platform: Harness, provider: ScriptedProvider, cause: Message
) -> None:
    await platform.publish(ACME, tenant_id=TENANT)
    mail = await sent(platform, provider, cause)
    assert shows_acme(mail)
    assert f'src="https://prog.example/brand/{TENANT}/logo/{LOGO}.png"' in mail.html
    assert "Acme &lt;b&gt;Group&lt;/b&gt;" in mail.html, "a name is never markup"
    assert (mail.sender_name, mail.sender) == ("Acme Billing via ProgNetwork", "hello@prognetwork.example")
    assert mail.reply_to == "billing@acme.example"


async def test_an_invitation_has_them_too(platform: Harness, provider: ScriptedProvider) -> None:
    await platform.publish(ACME, tenant_id=TENANT)
    invitation = SendMail(
        mail_id=new_id("mail"), template="invitation", to="joe@example.com",
        data={"tenant_name": "Acme", "role": "member"}, sealed_data={"token": platform.seal("secret", MAIL)},
    )  # fmt: skip
    await platform.request(invitation, tenant_id=TENANT)
    await platform.settle()
    assert shows_acme(provider.sent[0])


async def test_another_tenants_mails_do_not(platform: Harness, provider: ScriptedProvider) -> None:
    await platform.publish(ACME, tenant_id=TENANT)
    await platform.publish(configured(2, OTHER, name="Other"), tenant_id=OTHER)
    theirs = await sent(platform, provider, paid(), OTHER)
    assert not shows_acme(theirs)
    assert "Other" in theirs.html
    mine = await sent(platform, provider, paid())
    assert shows_acme(mine)


async def test_a_notice_of_the_platforms_keeps_the_platforms_looks(
    platform: Harness, provider: ScriptedProvider
) -> None:
    await platform.publish(ACME, tenant_id=TENANT)
    mail = await sent(platform, provider, ready())
    assert not shows_acme(mail)
    assert mail.sender_name == "ProgNetwork"
    suspended: Template = "tenant_suspended"
    notice = SendMail(mail_id=new_id("mail"), template=suspended, to="ada@example.com",
                      data={"tenant_name": "Acme", "reason": "Unpaid"})  # fmt: skip
    await platform.request(notice, tenant_id=TENANT)
    await platform.settle()
    assert not shows_acme(provider.sent[-1])


async def test_the_newest_version_holds_whatever_comes_last(platform: Harness, provider: ScriptedProvider) -> None:
    await platform.publish(configured(3, name="Newest"), tenant_id=TENANT)
    await platform.publish(ACME, tenant_id=TENANT)
    mail = await sent(platform, provider, paid())
    assert not shows_acme(mail)
    assert "Newest" in mail.html


async def test_a_tenant_with_a_colour_and_no_name_has_its_own_name(
    platform: Harness, provider: ScriptedProvider
) -> None:
    created = TenantCreated(
        tenant_id=TENANT, name="Acme Ltd", slug="acme", status="active", created_at=platform.clock.at,
        owner_user_id=new_id("user"), owner_email="ada@example.com", owner_name="Ada",
    )  # fmt: skip
    await platform.publish(created, tenant_id=TENANT)
    plain = await sent(platform, provider, paid())
    assert "Sent for" not in plain.text, "nothing is set yet"
    assert "for Team of Acme Ltd." in plain.text, "who has several tenants sees whose bill it is"
    assert "you are the billing contact of Acme Ltd." in plain.html
    await platform.publish(configured(2, accent_light="#0b6b4f"), tenant_id=TENANT)
    mail = await sent(platform, provider, failed())
    assert "Sent for Acme Ltd by ProgNetwork" in mail.text
    assert "#0b6b4f" in mail.html


async def test_dates_and_amounts_are_as_the_tenant_wants_them(platform: Harness, provider: ScriptedProvider) -> None:
    await platform.publish(configured(2, locale="en_GB"), tenant_id=TENANT)
    mail = await sent(platform, provider, paid())
    assert "14 January 2027" in mail.text
    assert mail.subject_line.count("US$49.00") == 1


async def test_looks_go_with_the_tenant_and_do_not_come_back(platform: Harness) -> None:
    await platform.publish(ACME, tenant_id=TENANT)
    await platform.publish(TenantDeleted(tenant_id=TENANT), tenant_id=TENANT)
    await platform.publish(ACME.model_copy(update={"version": 9}), tenant_id=TENANT)
    assert await platform.fetch("SELECT FROM email.brandings WHERE tenant_id = $1", TENANT) == []
