"""Which message makes which mail, and that no mail is made twice."""

from datetime import UTC, datetime
from typing import Any

import pytest

from prog_contracts.email import CaptureLead, EmailFailed, EmailSent, LeadCaptured, SendMail, Template
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_contracts.messages import Message
from prog_contracts.money import Money
from prog_contracts.payments import (
    CustomerCreated,
    PaymentFailed,
    PaymentProcessed,
    SubscriptionCanceled,
    SubscriptionUpdated,
)
from prog_contracts.second_factors import SecondFactorGuessesRefused
from prog_contracts.tenants import TenantUpdated
from prog_contracts.users import EmailVerified, PasswordChanged, UserUpdated
from prog_kit.secrets import MAIL
from tests.component.email.providers import ScriptedProvider
from tests.component.harness import Harness

TENANT = new_id("tenant")
CUSTOMER = new_id("customer")
AT = datetime(2027, 1, 14, tzinfo=UTC)
LATER = datetime(2027, 2, 14, tzinfo=UTC)
PRICE = Money(amount=4900, currency="USD")

INVOICE: dict[str, Any] = {
    "invoice_id": new_id("invoice"), "number": "PN-42", "customer_id": CUSTOMER, "customer_email": "Ada@Example.com",
    "customer_name": "Ada", "subscription_id": new_id("subscription"), "plan": "Team", "status": "paid", "total": PRICE,
    "amount_due": PRICE, "period_start": AT, "period_end": LATER, "issued_at": AT, "payment_id": new_id("payment"),
}  # fmt: skip
SUBSCRIPTION: dict[str, Any] = {
    "subscription_id": new_id("subscription"), "customer_id": CUSTOMER, "price_id": new_id("price"), "plan": "Team",
    "status": "active", "quantity": 1, "unit_price": PRICE, "interval": "month", "interval_count": 1,
    "current_period_start": AT, "current_period_end": LATER, "created_at": AT,
}  # fmt: skip


def failed(**changes: Any) -> PaymentFailed:
    fields = {
        "reason": "insufficient_funds", "hard": False, "attempt": 1, "trigger": "dunning", "failed_at": AT,
        "next_attempt_at": LATER, "subscription_status": "past_due",
    }  # fmt: skip
    return PaymentFailed(**(INVOICE | fields | changes))


def paid() -> PaymentProcessed:
    return PaymentProcessed(**INVOICE, amount=PRICE, card_brand="visa", card_last4="4242", paid_at=AT, attempt=0)


def ready(**changes: Any) -> TenantUpdated:
    fields = {
        "tenant_id": TENANT, "name": "Acme", "status": "active", "changed": ("status",),
        "owner_email": "ada@example.com", "owner_name": "Ada",
    }  # fmt: skip
    return TenantUpdated(**(fields | changes))


VERIFIED = EmailVerified(user_id=new_id("user"), email="ada@example.com", name="Ada", verified_at=AT)

CHANGED = PasswordChanged(
    user_id=new_id("user"), email="ada@example.com", name="Ada", changed_at=AT, how="reset", sessions_ended=2
)


GUESSED = SecondFactorGuessesRefused(
    user_id=new_id("user"), email="ada@example.com", name="Ada", since=AT, wrong_codes=10
)


@pytest.mark.parametrize(
    ("event", "template", "told"),
    [
        (VERIFIED, "welcome", "Your address is verified"),
        (CHANGED, "password_changed", "was changed on January 14, 2027, 12:00\u202fAM UTC"),
        (GUESSED, "second_factor_guessed", "10 wrong codes were given to sign in"),
        (ready(), "tenant_ready", "Acme is set up"),
        (paid(), "receipt", "We have received $49.00 for Team"),
        (failed(), "payment_failed", "there were not enough funds on the card"),
        (SubscriptionUpdated(**SUBSCRIPTION, reason="recovered"), "payment_recovered", "paid until February 14, 2027"),
        (
            SubscriptionCanceled(**SUBSCRIPTION, reason="dunning_exhausted"),
            "subscription_canceled",
            "We could not collect",
        ),
    ],
)
async def test_an_event_makes_one_mail_however_often_it_comes(
    platform: Harness, provider: ScriptedProvider, event: Message, template: Template, told: str
) -> None:
    customer = CustomerCreated(customer_id=CUSTOMER, name="Ada", email="ada@example.com")
    await platform.publish(customer, tenant_id=TENANT)
    envelope = await platform.publish(event, tenant_id=TENANT)
    await platform.settle()
    await platform.deliver(envelope, "email")
    await platform.settle()

    assert [mail.recipient for mail in provider.sent] == ["ada@example.com"]
    assert told in provider.sent[0].text
    assert "Ada" in provider.sent[0].html
    (sent,) = await platform.events(EmailSent, tenant_id=TENANT)
    assert (sent.template, sent.provider_id) == (template, "taken-1")


@pytest.mark.parametrize(
    "event",
    [
        ready(status="suspended"),
        ready(changed=("name",)),
        failed(trigger="new_card"),
        failed(trigger="initial", subscription_status="incomplete"),
        SubscriptionUpdated(**SUBSCRIPTION, reason="renewed"),
    ],
)
async def test_news_that_nobody_needs_make_no_mail(
    platform: Harness, provider: ScriptedProvider, event: Message
) -> None:
    await platform.publish(event, tenant_id=TENANT)
    await platform.settle()
    assert provider.sent == []


async def test_a_secret_reaches_the_mail_and_is_stored_nowhere_in_clear(
    platform: Harness, provider: ScriptedProvider
) -> None:
    command = verification(platform)
    answer = await platform.request(command)
    assert answer.status == "succeeded"
    stored = await platform.fetch("SELECT m::text AS everything FROM email.mails m")
    log = await platform.fetch("SELECT string_agg(convert_from(data, 'UTF8'), ' ') AS everything FROM bus.event_log")
    assert "s3cret-token" not in stored[0]["everything"] + log[0]["everything"]

    await platform.settle()
    assert "https://prog.example/account/verify?token=s3cret-token" in provider.sent[0].text
    rows = await platform.fetch("SELECT status, sealed_data::text FROM email.mails")
    assert dict(rows[0]) == {"status": "sent", "sealed_data": "{}"}


async def test_the_same_mail_asked_for_by_two_commands_is_one_mail(
    platform: Harness, provider: ScriptedProvider
) -> None:
    command = verification(platform)
    await platform.request(command)
    await platform.request(command)
    await platform.settle()
    assert len(provider.sent) == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"to": "nobody"}, "to"),
        ({"to": "a@b.example\r\nBcc: all@b.example"}, "to"),
        ({"sealed_data": {}}, "sealed_data.token"),
        ({"sealed_data": {"token": "not sealed"}}, "sealed_data.token"),
        ({"template": "invitation"}, "data.tenant_name"),
        ({"template": "receipt"}, "data.plan"),
    ],
)
async def test_a_mail_that_cannot_be_rendered_is_refused_when_it_is_asked_for(
    platform: Harness, change: dict[str, Any], field: str
) -> None:
    answer = await platform.request(verification(platform).model_copy(update=change))
    assert answer.status == "failed"
    assert answer.error is not None
    assert answer.error.kind == "invalid"
    assert field in [item.field for item in answer.error.fields]
    assert await platform.fetch("SELECT FROM email.mails") == []


async def test_a_suppressed_address_gets_no_mail_from_that_tenant_alone(
    platform: Harness, provider: ScriptedProvider
) -> None:
    await suppress(platform, TENANT, "ada@example.com")
    await platform.publish(paid(), tenant_id=TENANT)
    await platform.publish(paid(), tenant_id=new_id("tenant"))
    await platform.settle()
    assert len(provider.sent) == 1
    (refused,) = await platform.events(EmailFailed, tenant_id=TENANT)
    assert refused.reason == "suppressed"


async def test_an_address_suppressed_while_the_mail_waits_gets_none(
    platform: Harness, provider: ScriptedProvider
) -> None:
    await platform.publish(paid(), tenant_id=TENANT)
    await suppress(platform, TENANT, "ada@example.com")
    await platform.settle()
    assert provider.sent == []
    rows = await platform.fetch("SELECT status FROM email.mails")
    assert rows[0]["status"] == "suppressed"


async def test_a_lead_is_kept_and_thanked_once_a_day(platform: Harness, provider: ScriptedProvider) -> None:
    for message in ("hello", "hello again"):
        command = CaptureLead(lead_id=new_id("lead"), email="Eve@Example.com", name=" Eve  Adams ", message=message)
        answer = await platform.request(command)
        assert answer.status == "succeeded"
    await platform.settle()
    rows = await platform.fetch("SELECT address, name, message FROM email.leads ORDER BY lead_id")
    assert [tuple(row) for row in rows] == [
        ("eve@example.com", "Eve Adams", "hello"),
        ("eve@example.com", "Eve Adams", "hello again"),
    ]
    assert len(await platform.events(LeadCaptured)) == 2
    assert [mail.recipient for mail in provider.sent] == ["eve@example.com"]


async def test_nobody_sends_an_advertisement_through_the_greeting(
    platform: Harness, provider: ScriptedProvider
) -> None:
    command = CaptureLead(lead_id=new_id("lead"), email="eve@example.com", name="Win at https://evil.example")
    await platform.request(command)
    await platform.settle()
    assert "evil.example" not in provider.sent[0].text + provider.sent[0].html
    assert provider.sent[0].text.startswith("Hello,")


def verification(platform: Harness) -> SendMail:
    return SendMail(
        mail_id=new_id("mail"),
        template="verify_email",
        to="ada@example.com",
        to_name="Ada",
        sealed_data={"token": platform.seal("s3cret-token", MAIL)},
    )


async def suppress(platform: Harness, tenant_id: str, address: str) -> None:
    await platform.admin.execute(
        "INSERT INTO email.suppressions VALUES ($1, $2, 'manual', $3)", tenant_id, address, platform.clock.now()
    )


def wishes(**said: Any) -> UserUpdated:
    fields = {"user_id": new_id("user"), "email": "Ada@example.com", "name": "Ada", "email_verified": True}
    return UserUpdated(**(fields | said))


async def test_times_are_told_in_the_recipient_s_zone_and_as_they_write_them(
    platform: Harness, provider: ScriptedProvider
) -> None:
    await platform.publish(wishes(time_zone="Europe/Berlin", locale="en-GB"), tenant_id=PLATFORM_TENANT_ID)
    await platform.publish(CHANGED, tenant_id=PLATFORM_TENANT_ID)
    await platform.settle()
    assert "was changed on 14 January 2027, 01:00 GMT+01:00" in " ".join(provider.sent[-1].text.split())
    assert "14 January 2027, 01:00 GMT+01:00" in provider.sent[-1].html
    await platform.publish(wishes(locale="de-DE"), tenant_id=PLATFORM_TENANT_ID)
    await platform.publish(paid(), tenant_id=TENANT)
    await platform.settle()
    assert "49,00" in provider.sent[-1].text, "whichever tenant writes"
    await platform.publish(wishes(), tenant_id=PLATFORM_TENANT_ID)
    await platform.publish(CHANGED.model_copy(update={"sessions_ended": 3}), tenant_id=PLATFORM_TENANT_ID)
    await platform.settle()
    assert "January 14, 2027, 12:00\u202fAM UTC" in " ".join(provider.sent[-1].text.split(" "))
    assert await platform.fetch("SELECT FROM email.wishes") == []
