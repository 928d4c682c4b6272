"""SendGrid's Web API v3. The `sendgrid` package builds the payload; httpx sends it without blocking.

Sources: docs.sendgrid.com/api-reference/mail-send (answers and limits), .../e-mail-activity/filter-all-messages. The
activity feed fills with some delay, so that a mail that is not in it may still have been taken.
"""

from __future__ import annotations

from typing import Any, Final

import httpx
from sendgrid.helpers.mail import (
    ClickTracking,
    CustomArg,
    From,
    Header,
    HtmlContent,
    Mail,
    OpenTracking,
    PlainTextContent,
    ReplyTo,
    Subject,
    To,
    TrackingSettings,
)

from prog_kit.connecting import connecting
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
_NOT_TAKEN: Final = frozenset({401, 403, 408, 429, 503})
"""Answers after which the mail was certainly not taken and the fault is not the mail's: key, limit, or service."""


class SendgridProvider:
    """Hands mails to SendGrid, and asks its activity feed after a crash."""

    def __init__(self, api_key: str, api_base: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._client = httpx.AsyncClient(
            base_url=api_base, headers={"Authorization": f"Bearer {api_key}"}, timeout=timeout_seconds
        )

    @property
    def name(self) -> str:
        return "sendgrid"

    async def close(self) -> None:
        """Ends the connections that are kept open."""
        await self._client.aclose()

    async def send(self, mail: OutgoingMail) -> SendResult:
        try:
            with connecting():
                answer = await self._client.post("/v3/mail/send", json=payload(mail))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return Deferred(f"SendGrid cannot be reached: {error}")
        except httpx.HTTPError as error:
            return Unknown(f"no answer from SendGrid: {type(error).__name__} {error}", later=True)
        if answer.status_code == httpx.codes.ACCEPTED:
            return Accepted(answer.headers.get("X-Message-Id"))
        told = f"{answer.status_code} {_errors(answer)}"
        if answer.status_code in _NOT_TAKEN:
            return Deferred(told)
        return Rejected(told) if answer.is_client_error else Unknown(told, later=True)

    async def find(self, message_id: str, mail_id: str, attempt: int) -> FindResult:
        query = f'(unique_args["mail_id"]="{mail_id}")'
        try:
            with connecting():
                answer = await self._client.get("/v3/messages", params={"query": query, "limit": 1})
        except httpx.HTTPError as error:
            return Unknown(f"SendGrid's activity feed cannot be reached: {error}", later=True)
        if answer.status_code == httpx.codes.FORBIDDEN:
            return Unknown("SendGrid's activity feed is not part of this plan")
        if not answer.is_success:
            return Unknown(f"SendGrid's activity feed says {answer.status_code}", later=True)
        found: list[dict[str, Any]] = answer.json().get("messages", [])
        if found:
            return Accepted(found[0].get("msg_id"))
        return Unknown("SendGrid's activity feed does not show the mail yet", later=True)


def payload(mail: OutgoingMail) -> dict[str, Any]:
    """The body of /v3/mail/send. No link or open tracking: the links carry secrets that are nobody else's."""
    message = Mail(
        from_email=From(mail.sender, mail.sender_name),
        to_emails=To(mail.recipient, mail.recipient_name),
        subject=Subject(mail.subject_line),
        plain_text_content=PlainTextContent(mail.text),
        html_content=HtmlContent(mail.html),
    )
    if mail.reply_to is not None:
        message.reply_to = ReplyTo(mail.reply_to)
    message.add_header(Header("Message-ID", mail.message_id))
    message.add_header(Header("Auto-Submitted", "auto-generated"))
    message.add_custom_arg(CustomArg("mail_id", mail.mail_id))
    message.tracking_settings = TrackingSettings(
        click_tracking=ClickTracking(enable=False, enable_text=False), open_tracking=OpenTracking(enable=False)
    )
    body: dict[str, Any] = message.get()
    return body


def _errors(answer: httpx.Response) -> str:
    try:
        return "; ".join(str(error.get("message")) for error in answer.json().get("errors", []))[:500]
    except (ValueError, AttributeError):
        return answer.text[:200]
