"""Where mail leaves the platform. `port` says what a provider promises; `choose` picks one by the settings."""

from __future__ import annotations

from prog_kit.database import Database
from prog_kit.settings import Settings, SettingsError
from prog_workers.email.providers.mailbox import MailboxProvider
from prog_workers.email.providers.port import MailProvider
from prog_workers.email.providers.sendgrid import SendgridProvider
from prog_workers.email.providers.smtp import LOOPBACK, SmtpAddress, SmtpProvider


def choose(settings: Settings, database: Database) -> MailProvider:
    """SendGrid where there is a key, else the SMTP server of PROG_SMTP_URL.

    An SMTP server on this machine at PROG_SMTP_LISTEN_PORT is the development mailbox, which can be asked what arrived.
    Raises SettingsError when neither is set.
    """
    if settings.sendgrid_api_key is not None:
        return SendgridProvider(settings.sendgrid_api_key, settings.sendgrid_api_base)
    if settings.smtp_url is None:
        raise SettingsError(["PROG_SMTP_URL or PROG_SENDGRID_API_KEY is missing: mail has no way out"])
    try:
        address = SmtpAddress.parse(settings.smtp_url)
    except ValueError as error:
        raise SettingsError([str(error)]) from None
    if address.host in LOOPBACK and address.port == settings.smtp_listen_port:
        return MailboxProvider(address, database)
    return SmtpProvider(address)
