"""The development mailbox as a provider: SMTP to hand over, and its table to ask what arrived.

Asking also fences. A try that is declared absent may still be on the wire (its worker was only slow), so its number is
written down under the same lock that the mailbox takes to store, and the mailbox turns it away when it comes.
"""

from __future__ import annotations

from prog_kit.database import Database
from prog_workers.email import store
from prog_workers.email.providers.port import Absent, Accepted, FindResult
from prog_workers.email.providers.smtp import SmtpAddress, SmtpProvider


class MailboxProvider(SmtpProvider):
    """For a machine where the mailbox process catches all mail."""

    def __init__(self, address: SmtpAddress, database: Database) -> None:
        super().__init__(address)
        self._database = database

    @property
    def name(self) -> str:
        return "mailbox"

    async def find(self, message_id: str, mail_id: str, attempt: int) -> FindResult:
        async with self._database.scope() as connection:
            letter_id = await store.find_letter_or_fence(connection, message_id, attempt)
        return Absent() if letter_id is None else Accepted(letter_id)
