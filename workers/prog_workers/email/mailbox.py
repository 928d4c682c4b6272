"""The local mailbox: an SMTP server that accepts every mail, delivers none, and stores all of them to be looked at.

It is a process of its own on a development machine, started as `python -m prog_infra.cli mailbox`. A mail is in
`email.mailbox` before its sender is told 250, so a mail that was accepted is never lost, whoever is killed. Duplicates
are kept: the mailbox shows what really arrived.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as default_policy
from typing import Any, Final

import asyncpg
from aiosmtpd.smtp import SMTP, Envelope, Session

from prog_contracts.ids import new_id
from prog_kit import logging
from prog_kit.clock import Clock, SystemClock
from prog_kit.database import Database
from prog_kit.settings import Settings, SettingsError
from prog_workers.email import store
from prog_workers.email.providers.smtp import ATTEMPT_HEADER
from prog_workers.email.rules import storable

MAX_MAIL_BYTES: Final = 10 * 1024 * 1024
HOST: Final = "127.0.0.1"

log = logging.get("prog_workers.email.mailbox")


class MailboxHandler:
    """What the SMTP server asks at the end of a mail."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        letter = read_letter(envelope, self._clock)
        try:
            async with self._database.scope() as connection:
                kept = await store.keep_letter(connection, letter)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("mail_not_stored", message_id=letter.message_id, error=str(error))
            return "451 4.3.0 the mailbox cannot store now"
        if not kept:
            return "451 4.3.0 a later try has taken the place of this one"
        return f"250 2.0.0 stored as {letter.letter_id}"


def read_letter(envelope: Envelope, clock: Clock) -> store.Letter:
    """The mail taken apart. A malformed one is kept too, with what can be read of it."""
    content = envelope.content
    raw = content if isinstance(content, bytes) else (content or "").encode()
    message = message_from_bytes(raw, policy=default_policy)
    attempt = str(message.get(ATTEMPT_HEADER, ""))
    return store.Letter(
        letter_id=new_id("letter"),
        message_id=_header(message, "Message-ID"),
        attempt=int(attempt) if attempt.isdecimal() else 0,
        sender=envelope.mail_from or "",
        recipients=[recipient.lower() for recipient in envelope.rcpt_tos],
        subject_line=_header(message, "Subject") or "",
        text_body=_body(message, "plain"),
        html_body=_body(message, "html"),
        raw=raw,
        received_at=clock.now(),
    )


def _header(message: EmailMessage, name: str) -> str | None:
    value = message.get(name)
    return None if value is None else storable(str(value)).strip()


def _body(message: EmailMessage, kind: str) -> str | None:
    part = message.get_body(preferencelist=(kind,))
    if part is None:
        return None
    try:
        text = str(part.get_content())
    except (LookupError, UnicodeError):
        text = str(part.get_payload())
    return storable(text.replace("\r\n", "\n"))


@asynccontextmanager
async def serving(database: Database, port: int, clock: Clock | None = None) -> AsyncIterator[int]:
    """Serves SMTP on this machine alone until the block ends; yields the port, which is a free one for 0."""
    handler: Any = MailboxHandler(database, clock or SystemClock())
    loop = asyncio.get_running_loop()

    def connection() -> SMTP:
        return SMTP(
            handler, data_size_limit=MAX_MAIL_BYTES, hostname="mailbox.localhost", ident="prognetwork", loop=loop
        )

    server = await loop.create_server(connection, HOST, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def run(settings: Settings | None = None) -> None:
    """Serves until it is cancelled. Raises SettingsError in production, OSError when the port is taken."""
    settings = settings or Settings.load()
    if settings.env == "production":
        raise SettingsError(["the local mailbox delivers no mail: set PROG_SMTP_URL or PROG_SENDGRID_API_KEY"])
    database = await Database.connect(settings.database_url, "prog_email", max_size=4)
    try:
        async with serving(database, settings.smtp_listen_port) as port:
            log.info("mailbox_ready", host=HOST, port=port)
            await asyncio.Event().wait()
    finally:
        await database.close()
