"""The port of a mail provider: what it is given, what it must answer, and what it promises when something breaks.

A provider never raises for a refusal or a broken line; it says what is known. The difference that matters is between
"it was not taken" (try again), and "nobody knows" (ask first, for a mail must not arrive twice).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class OutgoingMail:
    """One mail, ready to go. `message_id` is the same at every try, `attempt` counts the tries from 1."""

    mail_id: str
    message_id: str
    attempt: int
    sender: str
    sender_name: str
    recipient: str
    recipient_name: str | None
    subject_line: str
    text: str
    html: str
    date: datetime
    reply_to: str | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider has the mail and answers for it."""

    provider_id: str | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """The provider will never take this mail; `reason` holds its words."""

    reason: str


@dataclass(frozen=True, slots=True)
class Deferred:
    """The provider did not take the mail, for certain; a later try may succeed."""

    reason: str


@dataclass(frozen=True, slots=True)
class Absent:
    """The provider does not have the mail, and no try so far can still arrive."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may have been taken or not. `later` says whether asking again can tell."""

    reason: str
    later: bool = False


SendResult: TypeAlias = Accepted | Rejected | Deferred | Unknown
FindResult: TypeAlias = Accepted | Absent | Unknown


class MailProvider(Protocol):
    """Hands mails over. Safe to use from many tasks at once."""

    @property
    def name(self) -> str:
        """As it is shown to people and kept with the mail, such as `smtp`."""
        ...

    async def send(self, mail: OutgoingMail) -> SendResult:
        """Hands one mail over, within 30 s. Times out as Unknown once the body was on its way."""
        ...

    async def find(self, message_id: str, mail_id: str, attempt: int) -> FindResult:
        """Whether the provider took the mail in any try up to `attempt`.

        After Absent none of those tries may be accepted any more, even if its sender was only slow.
        """
        ...
