"""Plain SMTP. It cannot be asked later: a broken line after the body has begun leaves the outcome unknown."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime
from typing import Final, Literal
from urllib.parse import parse_qs, unquote, urlsplit

import aiosmtplib

from prog_workers.email.providers.port import (
    Accepted,
    Deferred,
    FindResult,
    OutgoingMail,
    Rejected,
    SendResult,
    Unknown,
)

TIMEOUT_SECONDS: Final = 30.0
ATTEMPT_HEADER: Final = "X-Prog-Attempt"
MAIL_HEADER: Final = "X-Prog-Mail"

TlsMode = Literal["implicit", "starttls", "plain"]
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_SEVEN_BIT: Final = SMTP_POLICY.clone(cte_type="7bit")
"""Not every server on the way takes 8-bit bodies (RFC 6152), so none are sent."""
_DEFAULT_PORTS: Final[dict[TlsMode, int]] = {"implicit": 465, "starttls": 587, "plain": 25}


@dataclass(frozen=True, slots=True)
class SmtpAddress:
    """A server and how to speak to it."""

    host: str
    port: int
    tls: TlsMode
    username: str | None = None
    password: str | None = None

    @classmethod
    def parse(cls, url: str) -> SmtpAddress:
        """`smtps://…` has TLS from the first byte, `smtp://…` must be upgraded by STARTTLS.

        Without TLS are only this machine, where no password is sent, and a server for which `?tls=off` says so.
        Raises ValueError for another kind of URL.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise ValueError("PROG_SMTP_URL must be smtp://user:password@host:587 or smtps://user:password@host")
        wish = parse_qs(parts.query).get("tls", [""])[0]
        local = parts.hostname in LOOPBACK and parts.password is None
        tls: TlsMode = "implicit" if parts.scheme == "smtps" else "plain" if local or wish == "off" else "starttls"
        return cls(
            host=parts.hostname,
            port=parts.port or _DEFAULT_PORTS[tls],
            tls=tls,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
        )


class SmtpProvider:
    """Hands mails to one SMTP server, a connection each."""

    def __init__(
        self,
        address: SmtpAddress,
        *,
        tls_context: ssl.SSLContext | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._address = address
        self._tls_context = tls_context
        self._timeout_seconds = timeout_seconds

    @property
    def name(self) -> str:
        return "smtp"

    async def send(self, mail: OutgoingMail) -> SendResult:
        client = self._client()
        try:
            await client.connect()
            await client.mail(mail.sender)
            await client.rcpt(mail.recipient)
        except aiosmtplib.SMTPResponseException as error:
            return _answered(error)
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            return Deferred(f"{self._address.host}:{self._address.port} cannot be used: {error}")
        try:
            response = await client.data(compose(mail).as_bytes())
        except aiosmtplib.SMTPResponseException as error:
            return _answered(error)
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            return Unknown(f"the line broke while the mail was handed over: {error}")
        finally:
            client.close()
        return Accepted(provider_id=response.message[:200] or None)

    async def find(self, message_id: str, mail_id: str, attempt: int) -> FindResult:
        return Unknown("an SMTP server cannot be asked whether it took a mail")

    def _client(self) -> aiosmtplib.SMTP:
        address = self._address
        return aiosmtplib.SMTP(
            hostname=address.host,
            port=address.port,
            username=address.username,
            password=address.password,
            use_tls=address.tls == "implicit",
            start_tls=address.tls == "starttls",
            tls_context=self._tls_context,
            timeout=self._timeout_seconds,
        )


def compose(mail: OutgoingMail) -> EmailMessage:
    """The mail as RFC 5322 text: plain text first, HTML as the richer alternative."""
    message = EmailMessage(policy=_SEVEN_BIT)
    message["From"] = Address(mail.sender_name, addr_spec=mail.sender)
    message["To"] = Address(mail.recipient_name or "", addr_spec=mail.recipient)
    if mail.reply_to is not None:
        message["Reply-To"] = Address(addr_spec=mail.reply_to)
    message["Subject"] = mail.subject_line
    message["Date"] = format_datetime(mail.date)
    message["Message-ID"] = mail.message_id
    message["Auto-Submitted"] = "auto-generated"
    message[MAIL_HEADER] = mail.mail_id
    message[ATTEMPT_HEADER] = str(mail.attempt)
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    return message


def _answered(error: aiosmtplib.SMTPResponseException) -> Rejected | Deferred:
    """A reply code is a certain answer (RFC 5321, 4.2.1): 5xx for ever, 4xx for now.

    Refused sign-in and missing TLS are the operator's to mend, not the mail's fault: the mail waits.
    """
    told = f"{error.code} {error.message}"
    of_the_mail = not isinstance(error, aiosmtplib.SMTPAuthenticationError | aiosmtplib.SMTPConnectResponseError)
    return Rejected(told) if error.code >= 500 and of_the_mail else Deferred(told)
