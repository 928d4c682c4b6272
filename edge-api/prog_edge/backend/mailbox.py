"""Behind the development mailbox."""

from __future__ import annotations

from prog_contracts.errors import NotFound
from prog_edge.platform import Platform
from prog_edge.web.ports import ListQuery, MailRow, MailView, Page
from prog_workers.email import queries


class Mailbox:
    """Implements `prog_edge.web.ports.MailboxBackend`."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def mails(self, query: ListQuery) -> Page[MailRow]:
        async with self._platform.reader.scope() as connection:
            page = await queries.mailbox(connection, search=query.search, cursor=query.cursor, limit=query.limit)
        rows = [
            MailRow(
                id=row.letter_id,
                to=", ".join(row.recipients),
                subject=row.subject_line,
                preview=row.preview,
                received_at=row.received_at,
            )
            for row in page.rows
        ]
        return Page(rows, page.next_cursor)

    async def mail(self, mail_id: str) -> MailView:
        async with self._platform.reader.scope() as connection:
            letter = await queries.letter(connection, mail_id)
        if letter is None:
            raise NotFound("There is no such mail in the mailbox.")
        return MailView(
            id=letter.letter_id,
            sender=letter.sender,
            to=", ".join(letter.recipients),
            subject=letter.subject_line,
            text=letter.text_body or "",
            html=letter.html_body,
            received_at=letter.received_at,
            size_bytes=len(letter.raw),
            story_id=letter.mail_id,
        )
