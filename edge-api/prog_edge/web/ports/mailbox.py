"""What the development mailbox shows. It does not exist in production."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from prog_edge.web.ports.shared import ListQuery, Page


@dataclass(frozen=True, slots=True)
class MailRow:
    id: str
    to: str
    subject: str
    preview: str
    received_at: datetime


@dataclass(frozen=True, slots=True)
class MailView:
    """A mail as the catch-all server got it. `html` is shown in a sandboxed frame under its own policy.

    `story_id` (the platform's mail id or a correlation id) opens its causal story when the mail carries one.
    """

    id: str
    sender: str
    to: str
    subject: str
    text: str
    html: str | None
    received_at: datetime
    size_bytes: int
    story_id: str | None = None


class MailboxBackend(Protocol):
    async def mails(self, query: ListQuery) -> Page[MailRow]:
        """Newest first; `query.search` matches recipient or subject."""
        ...

    async def mail(self, mail_id: str) -> MailView: ...
