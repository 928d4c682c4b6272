"""Messages of the email domain: mails on their way, and the people who left an address on the site."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from prog_contracts.ids import LeadId, MailId, TenantId
from prog_contracts.messages import Command, Event, command, event

Template = Literal[
    "verify_email",
    "reset_password",
    "magic_link",
    "password_changed",
    "account_deletion",
    "data_exported",
    "impersonated",
    "second_factor_changed",
    "second_factor_guessed",
    "identity_changed",
    "app_connected",
    "welcome",
    "invitation",
    "tenant_ready",
    "tenant_suspended",
    "tenant_resumed",
    "tenant_deletion_requested",
    "tenant_restored",
    "tenant_deleted",
    "tenant_sign_on_changed",
    "tenant_custom_domain_changed",
    "tenant_export_ready",
    "tenant_export_failed",
    "usage_warning",
    "receipt",
    "payment_failed",
    "payment_recovered",
    "subscription_canceled",
    "lead_thanks",
]


@command("prognetwork.email.send_mail", key="mail_id")
class SendMail(Command):
    """Render a template for one recipient and queue it. `sealed_data` holds secret values such as link tokens.

    `site_tenant_id` is the tenant at whose own host somebody asked for it. Whether links lead there the email domain
    says, by what the tenant has proven when the mail is sent.
    """

    mail_id: MailId
    template: Template
    to: str
    to_name: str | None = None
    data: dict[str, Any] = Field(default_factory=dict)
    sealed_data: dict[str, str] = Field(default_factory=dict)
    site_tenant_id: TenantId | None = None


@command("prognetwork.email.deliver_mail", key="mail_id")
class DeliverMail(Command):
    """An outside call: hand a queued mail to the provider."""

    mail_id: MailId


@command("prognetwork.email.settle_mail", key="mail_id")
class SettleMail(Command):
    """An operator tells what became of a held mail: `sent` closes it, `not_sent` has it sent again."""

    mail_id: MailId
    outcome: Literal["sent", "not_sent"]


@command("prognetwork.email.purge_mails")
class PurgeMails(Command):
    """Delete the next mails of a tenant that was deleted."""


@command("prognetwork.email.forget_old_mails")
class ForgetOldMails(Command):
    """Delete mails that were recorded before, and are not on their way any more, whichever tenant's: what they were
    about, to whom they went, and what became of them."""

    recorded_before: datetime


@command("prognetwork.email.capture_lead", key="email", subject="lead_id")
class CaptureLead(Command):
    lead_id: LeadId
    email: str
    name: str | None = None
    message: str | None = None
    source: str = "site"


class MailEvent(Event):
    mail_id: MailId
    template: str
    to: str
    subject_line: str
    occurred_at: datetime


@event("prognetwork.email.email_sent", key="mail_id")
class EmailSent(MailEvent):
    provider: str
    provider_id: str | None = None


@event("prognetwork.email.email_delivered", key="mail_id")
class EmailDelivered(MailEvent):
    pass


@event("prognetwork.email.email_failed", key="mail_id")
class EmailFailed(MailEvent):
    reason: str
    permanent: bool


@event("prognetwork.email.email_held", key="mail_id")
class EmailHeld(MailEvent):
    """Nobody can tell whether the provider took the mail; it waits for `SettleMail` rather than be sent twice."""

    reason: str


@event("prognetwork.email.email_opened", key="mail_id")
class EmailOpened(MailEvent):
    pass


@event("prognetwork.email.email_clicked", key="mail_id")
class EmailClicked(MailEvent):
    url: str


@event("prognetwork.email.lead_captured", key="lead_id")
class LeadCaptured(Event):
    lead_id: LeadId
    email: str
    name: str | None = None
    source: str
    captured_at: datetime
