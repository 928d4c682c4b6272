"""Use cases of the email domain: which message makes which mail.

A mail that an event causes has an id derived from that event, so an event that comes twice makes one mail.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from prog_broker.domain import Domain, Finish, Work
from prog_broker.outcome import Outcome
from prog_broker.purging import purge_rows
from prog_broker.transaction import Transaction
from prog_contracts.actors import is_process
from prog_contracts.configuration import TenantConfigured
from prog_contracts.custom_domains import CustomDomainChanged
from prog_contracts.email import (
    CaptureLead,
    DeliverMail,
    EmailSent,
    ForgetOldMails,
    LeadCaptured,
    PurgeMails,
    SendMail,
    SettleMail,
    Template,
)
from prog_contracts.erasure import ForgetRecipient, Person
from prog_contracts.errors import Conflict, Denied, Invalid, NotFound
from prog_contracts.identities import IdentityLinked, IdentityUnlinked
from prog_contracts.inputs import clean_name, normalize_email
from prog_contracts.messages import Message
from prog_contracts.passkeys import PasskeyChanged, PasskeyCopyRefused
from prog_contracts.payments import (
    CustomerCreated,
    PaymentFailed,
    PaymentProcessed,
    SubscriptionCanceled,
    SubscriptionUpdated,
)
from prog_contracts.second_factors import RecoveryCodeUsed, SecondFactorChanged, SecondFactorGuessesRefused
from prog_contracts.sign_on import SignOnChanged
from prog_contracts.tenants import TenantCreated, TenantDeleted, TenantUpdated
from prog_contracts.users import EmailVerified, PasswordChanged, UserUpdated
from prog_kit.secrets import MAIL, PERSON, SealError
from prog_workers.email import rules, store
from prog_workers.email.branding import BRANDED
from prog_workers.email.contexts import context_of
from prog_workers.email.delivery import Delivery, failure, record_sent
from prog_workers.email.render import subject_line
from prog_workers.email.store import retention, sites, wishes

BATCH: Final = 2000

email = Domain("email")

email.owns(
    deleted=(
        "email.mail_events",
        "email.mails",
        "email.suppressions",
        "email.customers",
        "email.leads",
        "email.brandings",
    ),
    kept={"email.deleted_tenants": "that nothing is to be written for the tenant any more"},
)

_deliveries: list[Delivery] = []


def open_office(delivery: Delivery) -> None:
    """Says how this process hands mails over. `app` calls it before the first message."""
    _deliveries[:] = [delivery]


@email.handles(SendMail)
async def send_mail(command: SendMail, tx: Transaction) -> Outcome:
    """Queues a mail; the same mail asked for twice is one mail."""
    return await _queue(tx, command)


@email.performs(DeliverMail)
async def deliver_mail(command: DeliverMail, work: Work) -> Finish:
    """Hands a queued mail to the provider."""
    return await _deliveries[0].deliver(command, work)


@email.handles(SettleMail)
async def settle_mail(command: SettleMail, tx: Transaction) -> EmailSent | DeliverMail | None:
    """Ends the uncertainty about a held mail as the operator found it."""
    mail = await store.lock_mail(tx, command.mail_id)
    if mail is None:
        raise NotFound(f"there is no mail {command.mail_id}")
    if mail.status != "held":
        raise Conflict(f"the mail is {mail.status}, not held", code="mail_not_held")
    if command.outcome == "sent":
        return await record_sent(tx, mail, "operator", None)
    await store.release(tx, mail)
    return DeliverMail(mail_id=mail.mail_id)


@email.handles(CaptureLead)
async def capture_lead(command: CaptureLead, tx: Transaction) -> Outcome:
    """Keeps the address that a visitor left, and thanks; a flood of forms does not become a flood of mails."""
    address = normalize_email(command.email)
    name = None if command.name is None else clean_name(command.name)
    since = tx.now - timedelta(days=1)
    thanked = await store.leads_since(tx, address, since) >= rules.LEAD_THANKS_PER_DAY
    if not await store.insert_lead(
        tx,
        lead_id=command.lead_id,
        address=address,
        name=name,
        message=rules.lead_message(command.message),
        source=command.source,
    ):
        return None
    captured = LeadCaptured(
        lead_id=command.lead_id, email=address, name=name, source=command.source, captured_at=tx.now
    )
    if thanked:
        return captured
    return [captured, *await _write(tx, "lead_thanks", address, name, {})]


@email.handles(EmailVerified)
async def welcome(event: EmailVerified, tx: Transaction) -> Outcome:
    return await _write(tx, "welcome", event.email, event.name, {"tenant_name": event.tenant_name})


@email.handles(PasswordChanged)
async def password_changed(event: PasswordChanged, tx: Transaction) -> Outcome:
    """Tells the holder of the mailbox, who may not be the one who changed it."""
    return await _write(tx, "password_changed", event.email, event.name, {"changed_at": event.changed_at})


@email.handles(SecondFactorChanged)
async def second_factor_changed(event: SecondFactorChanged, tx: Transaction) -> Outcome:
    """As for a password. Why an operator took it away is not told: that is for the records."""
    data = {"change": event.change, "changed_at": event.changed_at}
    return await _write(tx, "second_factor_changed", event.email, event.name, data)


@email.handles(SecondFactorGuessesRefused)
async def second_factor_guessed(event: SecondFactorGuessesRefused, tx: Transaction) -> Outcome:
    """Somebody has the password, or the mailbox, and tries codes."""
    data = {"since": event.since, "wrong_codes": event.wrong_codes}
    return await _write(tx, "second_factor_guessed", event.email, event.name, data)


@email.handles(RecoveryCodeUsed)
async def recovery_code_used(event: RecoveryCodeUsed, tx: Transaction) -> Outcome:
    data = {"change": "code_used", "changed_at": event.used_at, "codes_left": event.codes_left}
    return await _write(tx, "second_factor_changed", event.email, event.name, data)


@email.handles(IdentityLinked)
async def identity_linked(event: IdentityLinked, tx: Transaction) -> Outcome:
    """Another way into the account. Whose account was made for it is welcomed instead."""
    if event.with_account:
        return None
    data = {"linked": True, "provider": event.title, "changed_at": event.linked_at}
    return await _write(tx, "identity_changed", event.email, event.name, data)


@email.handles(IdentityUnlinked)
async def identity_unlinked(event: IdentityUnlinked, tx: Transaction) -> Outcome:
    data = {"linked": False, "provider": event.title, "changed_at": event.unlinked_at}
    return await _write(tx, "identity_changed", event.email, event.name, data)


@email.handles(PasskeyChanged)
async def passkey_changed(event: PasskeyChanged, tx: Transaction) -> Outcome:
    """Another name is no change to how somebody signs in."""
    if event.change == "renamed":
        return None
    data = {"change": f"passkey_{event.change}", "changed_at": event.changed_at, "passkey": event.passkey_name}
    return await _write(tx, "second_factor_changed", event.email, event.name, data)


@email.handles(PasskeyCopyRefused)
async def passkey_copied(event: PasskeyCopyRefused, tx: Transaction) -> Outcome:
    data = {"change": "passkey_copied", "changed_at": event.refused_at, "passkey": event.passkey_name}
    return await _write(tx, "second_factor_changed", event.email, event.name, data)


@email.handles(UserUpdated)
async def follow_wishes(event: UserUpdated, tx: Transaction) -> None:
    """Keeps in which time zone a person wants to read times, and how dates and amounts are written to them."""
    locale = None if event.locale is None else event.locale.replace("-", "_")
    await wishes.put_wishes(tx, normalize_email(event.email), locale=locale, time_zone=event.time_zone)


@email.handles(TenantConfigured)
async def follow_configuration(event: TenantConfigured, tx: Transaction) -> None:
    """Keeps how the tenant's mails are to look."""
    if not await store.is_deleted(tx):
        await store.put_brand(tx, event.version, event.configuration)


@email.handles(CustomDomainChanged)
async def follow_site(event: CustomDomainChanged, tx: Transaction) -> None:
    """Keeps to which host links in the tenant's mails lead. The event tells all of it, so the last one holds."""
    if not await store.is_deleted(tx):
        await sites.put_mail_domain(tx, event.tenant_id, event.mail_domain)


@email.handles(SignOnChanged)
async def follow_proven_addresses(event: SignOnChanged, tx: Transaction) -> None:
    """Keeps for whose addresses links that open an account may lead there, too."""
    if not await store.is_deleted(tx):
        await sites.put_address_domains(tx, event.tenant_id, event.domains)


@email.handles(TenantCreated)
async def follow_name(event: TenantCreated, tx: Transaction) -> None:
    if not await store.is_deleted(tx):
        await store.put_tenant_name(tx, event.name)


@email.handles(TenantUpdated)
async def follow_tenant(event: TenantUpdated, tx: Transaction) -> Outcome:
    """Keeps the tenant's name, tells the owner once it is provisioned, and its bills to whoever is the owner now."""
    if not await store.is_deleted(tx):
        await store.put_tenant_name(tx, event.name)
    if "owner" in event.changed and event.owner_email is not None:
        await store.readdress_customer(tx, event.owner_name or "", normalize_email(event.owner_email))
    if event.status != "active" or "status" not in event.changed or event.owner_email is None:
        return None
    data = {"tenant_id": event.tenant_id, "tenant_name": event.name}
    return await _write(tx, "tenant_ready", event.owner_email, event.owner_name, data)


@email.handles(TenantDeleted)
async def purge_tenant(event: TenantDeleted, tx: Transaction) -> PurgeMails | None:
    """Writes nothing for the tenant any more, and deletes what it had, a batch at a time."""
    await store.note_deletion(tx)
    await sites.drop_site(tx, tx.tenant_id)
    return PurgeMails() if await purge_rows(tx, email.tenant_rows.deleted) else None


@email.handles(PurgeMails)
async def purge_mails(command: PurgeMails, tx: Transaction) -> PurgeMails | None:
    if not await store.is_deleted(tx):
        raise Conflict("The tenant was not deleted.", code="tenant_not_deleted")
    return command if await purge_rows(tx, email.tenant_rows.deleted) else None


@email.handles(ForgetOldMails)
async def forget_old_mails(command: ForgetOldMails, tx: Transaction) -> ForgetOldMails | None:
    """A batch, so that no transaction is long; it asks for the next one."""
    if not is_process(tx.actor):
        raise Denied("The platform's own processes alone ask for this.", code="not_permitted")
    return command if await retention.forget_old_mails(tx, command.recorded_before, BATCH) == BATCH else None


@email.handles(ForgetRecipient)
async def forget_recipient(command: ForgetRecipient, tx: Transaction) -> None:
    """Mails to a person who has no account any more lose their address, in every tenant."""
    person = Person.model_validate_json(tx.sealer.open(command.sealed_person, PERSON))
    await store.forget_person(tx, person, rules.FORGOTTEN_ADDRESS)


@email.handles(CustomerCreated)
async def remember_customer(event: CustomerCreated, tx: Transaction) -> None:
    """Keeps the address for the billing mails whose events do not carry it."""
    await store.remember_customer(tx, event.customer_id, event.name, normalize_email(event.email))


@email.handles(PaymentProcessed)
async def receipt(event: PaymentProcessed, tx: Transaction) -> Outcome:
    return await _write(tx, "receipt", event.customer_email, event.customer_name, event.model_dump(mode="json"))


@email.handles(PaymentFailed)
async def payment_failed(event: PaymentFailed, tx: Transaction) -> Outcome:
    if not rules.tells_about(event):
        return None
    return await _write(tx, "payment_failed", event.customer_email, event.customer_name, event.model_dump(mode="json"))


@email.handles(SubscriptionUpdated)
async def payment_recovered(event: SubscriptionUpdated, tx: Transaction) -> Outcome:
    """Gives the all-clear after a payment that had failed."""
    if event.reason != "recovered":
        return None
    return await _write_customer(
        tx, "payment_recovered", event.customer_id, {"plan": event.plan, "current_period_end": event.current_period_end}
    )


@email.handles(SubscriptionCanceled)
async def subscription_canceled(event: SubscriptionCanceled, tx: Transaction) -> Outcome:
    """One that was never paid has never begun: nobody is told that it ended."""
    if event.reason in ("never_paid", "superseded"):
        return None
    return await _write_customer(
        tx,
        "subscription_canceled",
        event.customer_id,
        {"plan": event.plan, "reason": event.reason, "ended_at": tx.now},
    )


async def _write_customer(
    tx: Transaction, template: Template, customer_id: str, data: Mapping[str, Any]
) -> list[Message]:
    customer = await store.customer(tx, customer_id)
    if customer is None:
        if await store.is_deleted(tx):
            return []
        raise NotFound(f"no address is known of the customer {customer_id}")
    # A tenant whose only owner deleted their account while it was being deleted has nobody to write to.
    return await _write(tx, template, customer.address, customer.name, data) if customer.address else []


async def _write(
    tx: Transaction, template: Template, address: str, name: str | None, data: Mapping[str, Any]
) -> list[Message]:
    """A mail that the message in hand causes."""
    mail_id = rules.derived_mail_id(tx.message_id, template)
    return await _queue(tx, SendMail(mail_id=mail_id, template=template, to=address, to_name=name, data=dict(data)))


async def _queue(tx: Transaction, command: SendMail) -> list[Message]:
    """Checks and stores the mail, and has it delivered unless its address is suppressed."""
    if await store.is_deleted(tx):
        return []
    recipient = normalize_email(command.to, field="to")
    name = rules.greeting_name(command.to_name)
    data = command.model_dump(mode="json")["data"]
    data["name"] = data.get("name") or name
    if "locale" not in data and command.template in BRANDED and (known := await store.brand(tx)) is not None:
        data["locale"] = known.configuration.locale
    data |= await wishes.wishes_of(tx, recipient)
    context = context_of(command.template, data, command.sealed_data)
    _check_seals(tx, command)
    suppressed = await store.is_suppressed(tx, recipient)
    mail = store.Mail(
        mail_id=command.mail_id,
        tenant_id=tx.tenant_id,
        template=command.template,
        recipient=recipient,
        recipient_name=name,
        subject_line=subject_line(command.template, context),
        data=data,
        sealed_data={} if suppressed else command.sealed_data,
        status="suppressed" if suppressed else "queued",
        attempt=0,
        site_tenant_id=command.site_tenant_id,
    )
    if not await store.insert_mail(tx, mail):
        return []
    return [failure(tx, mail, "suppressed")] if suppressed else [DeliverMail(mail_id=mail.mail_id)]


def _check_seals(tx: Transaction, command: SendMail) -> None:
    for name, value in command.sealed_data.items():
        try:
            tx.sealer.open(value, MAIL)
        except SealError:
            raise Invalid.field(f"sealed_data.{name}", "unreadable", "is not sealed for mails") from None
