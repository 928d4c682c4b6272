"""The development mailbox: stored before it is acknowledged, honest about duplicates, and asked before a resend."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial

import aiosmtplib
import asyncpg
import pytest
from aiosmtpd.smtp import Envelope

from prog_kit.clock import SystemClock
from prog_kit.database import Database
from prog_kit.settings import Settings, SettingsError
from prog_workers.email import mailbox, queries, store
from prog_workers.email.mailbox import read_letter, serving
from prog_workers.email.providers.mailbox import MailboxProvider
from prog_workers.email.providers.port import Absent, Accepted, Deferred, OutgoingMail, Unknown
from prog_workers.email.providers.smtp import SmtpAddress, compose
from tests.integration.email.test_providers import outgoing
from tests.waiting import wait_until


class Post:
    """A mailbox that serves, its provider, and a reader with the edge's rights."""

    def __init__(self, port: int, database: Database, reader: Database) -> None:
        self.address = SmtpAddress.parse(f"smtp://127.0.0.1:{port}")
        self.provider = MailboxProvider(self.address, database)
        self.database, self.reader = database, reader

    async def letters(self, to: str | None = None) -> list[queries.LetterRow]:
        async with self.reader.scope() as connection:
            return list((await queries.mailbox(connection, to=to, limit=500)).rows)

    async def times_arrived(self) -> Counter[str | None]:
        return Counter(letter.message_id for letter in await self.letters())


@pytest.fixture
async def post(postgres: str) -> AsyncIterator[Post]:
    database = await Database.connect(postgres, "prog_email", max_size=6)
    reader = await Database.connect(postgres, "prog_edge", max_size=2)
    async with serving(database, 0) as port:
        yield Post(port, database, reader)
    await reader.close()
    await database.close()


async def test_a_mail_is_stored_when_its_sender_is_told_so(post: Post) -> None:
    mail = outgoing()
    accepted = await post.provider.send(mail)
    (letter,) = await post.letters(to="ADA@example.com")
    assert isinstance(accepted, Accepted)
    assert letter.letter_id in str(accepted.provider_id)
    assert (letter.mail_id, letter.message_id, letter.subject_line) == (mail.mail_id, mail.message_id, "Grüße")
    assert letter.preview.startswith("Hi Ada, .dot https://prog.example/account/verify?token=abc")
    async with post.reader.scope() as connection:
        whole = await queries.letter(connection, letter.letter_id)
    assert whole is not None
    assert (whole.text_body, whole.html_body) == (mail.text, mail.html)
    assert whole.recipients == ["ada@example.com"]
    assert b"Message-ID: " + mail.message_id.encode() in whole.raw


async def test_two_equal_mails_are_shown_as_two(post: Post) -> None:
    mail = outgoing()
    await post.provider.send(mail)
    await post.provider.send(mail)
    async with post.reader.scope() as connection:
        assert await queries.duplicates(connection) == {mail.message_id: 2}


async def test_a_mail_that_cannot_be_stored_is_not_accepted(post: Post) -> None:
    await post.database.close()
    assert isinstance(await post.provider.send(outgoing()), Deferred)
    assert await post.letters() == []


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no header at all",
        b"Subject: =?utf-8?b?broken\r\n\r\nbody \xff\xfe \x00 end",
        b"Content-Type: text/plain; charset=no-such-charset\r\n\r\n\xe4\xf6",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nnever ends",
        b"Content-Transfer-Encoding: base64\r\n\r\n!!!!",
    ],
)
async def test_a_malformed_mail_is_kept_as_it_came(post: Post, raw: bytes) -> None:
    await aiosmtplib.send(
        raw, sender="a@b.example", recipients=["c@d.example"], hostname=post.address.host, port=post.address.port,
        start_tls=False,
    )  # fmt: skip
    (letter,) = await post.letters()
    async with post.reader.scope() as connection:
        whole = await queries.letter(connection, letter.letter_id)
    assert whole is not None
    assert raw.rstrip() in whole.raw


async def test_a_try_that_was_declared_lost_does_not_arrive_any_more(post: Post) -> None:
    mail = outgoing()
    assert isinstance(await post.provider.find(mail.message_id, mail.mail_id, 1), Absent)
    assert isinstance(await post.provider.send(mail), Deferred)
    assert isinstance(await post.provider.send(replace(mail, attempt=2)), Accepted)
    assert isinstance(await post.provider.find(mail.message_id, mail.mail_id, 2), Accepted)
    assert await post.times_arrived() == {mail.message_id: 1}


async def test_asking_waits_for_a_mail_that_is_just_being_stored(post: Post) -> None:
    mail = outgoing()
    letter = read_letter(envelope_of(mail), SystemClock())
    async with post.database.scope() as storing:
        await store.keep_letter(storing, letter)
        asking = asyncio.create_task(post.provider.find(mail.message_id, mail.mail_id, 1))
        await until_somebody_waits_for_a_lock(storing)
        assert not asking.done()
    assert await asking == Accepted(letter.letter_id)


async def test_storing_waits_for_somebody_who_is_just_asking(post: Post) -> None:
    mail = outgoing()
    async with post.database.scope() as asking:
        assert await store.find_letter_or_fence(asking, mail.message_id, 1) is None
        sending = asyncio.create_task(post.provider.send(mail))
        await until_somebody_waits_for_a_lock(asking)
        assert not sending.done()
    assert isinstance(await sending, Deferred)
    assert await post.letters() == []


@pytest.mark.usefixtures("forked_programs")
async def test_a_killed_mailbox_loses_nothing_that_it_acknowledged_and_no_mail_comes_twice(
    post: Post, environment: dict[str, str]
) -> None:
    """kill -9 again and again while mails are sent as the worker does it: send, and ask before sending again."""
    port = free_port()
    provider = MailboxProvider(SmtpAddress.parse(f"smtp://127.0.0.1:{port}"), post.database)
    mails = [outgoing() for _ in range(60)]
    under_way = asyncio.Semaphore(8)

    async def deliver(mail: OutgoingMail) -> None:
        async with under_way:
            attempt = 1
            while True:
                result = await provider.send(replace(mail, attempt=attempt))
                if isinstance(result, Accepted):
                    return
                if isinstance(result, Unknown):
                    if isinstance(await provider.find(mail.message_id, mail.mail_id, attempt), Accepted):
                        return
                    attempt += 1
                await started.wait()

    async def has_letters(number: int) -> bool:
        return len(await post.letters()) >= number

    started = asyncio.Event()
    process = await start_mailbox(environment, port)
    started.set()
    deliveries = asyncio.gather(*(deliver(mail) for mail in mails))
    for kill_after in (5, 20, 35):
        await wait_until(partial(has_letters, kill_after), within_seconds=60, what="mails to arrive")
        started.clear()
        process.send_signal(signal.SIGKILL)
        await process.wait()
        process = await start_mailbox(environment, port)
        started.set()
    await deliveries
    process.terminate()
    await process.wait()
    assert await post.times_arrived() == {mail.message_id: 1 for mail in mails}


async def test_in_production_there_is_no_mailbox(environment: dict[str, str]) -> None:
    production = {
        "PROG_ENV": "production", "PROG_PUBLIC_URL": "https://prog.example", "PROG_STRIPE_API_KEY": "sk",
        "PROG_SMTP_URL": "smtps://u:p@mail.example.com",
    }  # fmt: skip
    with pytest.raises(SettingsError, match="delivers no mail"):
        await mailbox.run(Settings.load(environment | production))


async def test_the_mailbox_is_paged_and_searched(post: Post) -> None:
    for number in range(5):
        await post.provider.send(replace(outgoing(), subject_line=f"100% number {number}", recipient="eve@example.com"))
    await post.provider.send(outgoing())
    async with post.reader.scope() as connection:
        first = await queries.mailbox(connection, to="eve@example.com", limit=3)
        second = await queries.mailbox(connection, to="eve@example.com", limit=3, cursor=first.next_cursor)
        assert [row.subject_line[-1] for row in (*first.rows, *second.rows)] == list("43210")
        assert second.next_cursor is None
        assert len((await queries.mailbox(connection, search="100% NUMBER 3")).rows) == 1
        assert len((await queries.mailbox(connection, search="ada@")).rows) == 1
        assert (await queries.mailbox(connection, search="100_ number")).rows == []


def envelope_of(mail: OutgoingMail) -> Envelope:
    envelope = Envelope()
    envelope.mail_from, envelope.rcpt_tos = mail.sender, [mail.recipient]
    envelope.content = compose(mail).as_bytes()
    return envelope


async def until_somebody_waits_for_a_lock(connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]") -> None:
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    async with asyncio.timeout(10):
        while not await connection.fetchval(waiting):
            pass


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def start_mailbox(environment: dict[str, str], port: int) -> Process:
    """The mailbox as a process of its own, once it answers."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import asyncio; from prog_workers.email import mailbox; asyncio.run(mailbox.run())",
        env={**os.environ, **environment, "PROG_SMTP_LISTEN_PORT": str(port)},
        stderr=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                assert process.returncode is None, "the mailbox ended by itself"
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return process
