"""A mail leaves at most once: crashes, broken lines, refusals, and two workers at the same mail."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from prog_broker.domain import Finish, Work
from prog_broker.transaction import Transaction
from prog_contracts.email import DeliverMail, EmailFailed, EmailHeld, EmailSent, SendMail, SettleMail
from prog_contracts.envelope import wrap
from prog_contracts.errors import Unavailable
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_kit.database import Connection, Database
from prog_workers.email.delivery import ASK_TIMES, Delivery
from prog_workers.email.providers.port import Absent, Accepted, Deferred, Rejected, Unknown
from prog_workers.email.render import Renderer
from tests.component.email.conftest import SENDER
from tests.component.email.providers import ScriptedProvider
from tests.component.harness import Harness
from tests.lasting import kept


class Killed(BaseException):
    """Stands for kill -9: nothing after it runs."""


class StandaloneWork:
    """What the runtime gives a performer, without the runtime: the test decides what happens between the phases."""

    replaying = False

    def __init__(self, platform: Harness, database: Database, command: DeliverMail, attempt: int = 1) -> None:
        self.platform = platform
        self.database = database
        self.envelope = wrap(command, tenant_id=PLATFORM_TENANT_ID, source="/prognetwork/test")
        self.attempt = attempt
        self.sealer = platform.sealer

    @asynccontextmanager
    async def look(self) -> AsyncIterator[Connection]:
        async with self.database.pool.acquire() as connection:
            yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        async with self.database.scope(tenant_id=PLATFORM_TENANT_ID) as connection:
            now = self.platform.clock.now()
            yield Transaction(connection, "email", self.envelope, now, self.platform.sealer)


class Desk:
    """One queued mail, and workers that try to deliver it."""

    def __init__(self, platform: Harness, database: Database, provider: ScriptedProvider) -> None:
        self.platform, self.database, self.provider = platform, database, provider
        self.delivery = Delivery(provider, Renderer("https://prog.example"), SENDER)
        self.command = DeliverMail(mail_id=new_id("mail"))

    async def queue(self) -> None:
        command = SendMail(mail_id=self.command.mail_id, template="welcome", to="ada@example.com", to_name="Ada")
        answer = await self.platform.request(command)
        assert answer.status == "succeeded"

    def work(self, attempt: int = 1) -> StandaloneWork:
        return StandaloneWork(self.platform, self.database, self.command, attempt)

    async def call(self, work: Work | None = None) -> Finish:
        """The first two phases: what a worker does before it records the outcome."""
        return await self.delivery.deliver(self.command, work or self.work())

    async def deliver(self, attempt: int = 1) -> Any:
        """All three phases; what the last one returned."""
        work = self.work(attempt)
        finish = await self.call(work)
        async with work.transaction() as tx:
            return await finish(tx)

    async def status(self) -> str:
        rows = await self.platform.fetch("SELECT status FROM email.mails WHERE mail_id = $1", self.command.mail_id)
        return str(rows[0]["status"])

    async def timeline(self) -> list[str]:
        rows = await self.platform.fetch(
            "SELECT status FROM email.mail_events WHERE mail_id = $1 ORDER BY position", self.command.mail_id
        )
        return [row["status"] for row in rows]


@pytest.fixture
async def desk(platform: Harness, postgres: str, provider: ScriptedProvider) -> AsyncIterator[Desk]:
    async with kept().database(postgres, "prog_email") as database:
        desk = Desk(platform, database, provider)
        await desk.queue()
        yield desk


async def test_a_crash_before_the_call_sends_the_mail_once(desk: Desk) -> None:
    desk.provider.answers = [Killed()]
    with pytest.raises(Killed):
        await desk.call()
    assert await desk.status() == "sending"

    sent = await desk.deliver()
    assert isinstance(sent, EmailSent)
    assert desk.provider.asked == [(f"<{desk.command.mail_id}@prognetwork.example>", 1)]
    assert [mail.attempt for mail in desk.provider.sent] == [2]


async def test_a_crash_after_the_call_sends_nothing_again(desk: Desk) -> None:
    await desk.call()  # and the worker dies before the outcome is recorded
    assert len(desk.provider.sent) == 1

    desk.provider.found = Accepted("taken-1")
    sent = await desk.deliver()
    assert isinstance(sent, EmailSent)
    assert sent.provider_id == "taken-1"
    assert len(desk.provider.sent) == 1
    assert await desk.timeline() == ["queued", "sending", "sent"]


async def test_a_delivered_mail_is_not_delivered_again(desk: Desk) -> None:
    await desk.deliver()
    assert await desk.deliver() is None
    assert len(desk.provider.sent) == 1


async def test_two_workers_that_both_hear_absent_send_one_mail(desk: Desk) -> None:
    desk.provider.answers = [Killed()]
    with pytest.raises(Killed):
        await desk.call()

    class Slow(ScriptedProvider):
        """While this worker asks, another one takes the mail over."""

        async def find(self, message_id: str, mail_id: str, attempt: int) -> Absent:
            await desk.deliver()
            return Absent()

    slow = Delivery(Slow(), Renderer("https://prog.example"), SENDER)
    with pytest.raises(Unavailable) as raised:
        await slow.deliver(desk.command, desk.work())
    assert raised.value.code == "in_progress"
    assert len(desk.provider.sent) == 1


async def test_a_provider_that_is_away_gets_the_mail_later(desk: Desk) -> None:
    desk.provider.answers = [Deferred("421 too busy")]
    with pytest.raises(Unavailable, match="421 too busy"):
        await desk.call()
    assert await desk.status() == "queued"

    await desk.deliver()
    assert desk.provider.asked == []
    assert await desk.timeline() == ["queued", "sending", "queued", "sending", "sent"]


async def test_a_refused_mail_fails_for_good_and_a_bad_address_is_not_tried_again(desk: Desk) -> None:
    desk.provider.answers = [Rejected("550 5.1.1 no such user")]
    refused = await desk.deliver()
    assert isinstance(refused, EmailFailed)
    assert refused.permanent
    rows = await desk.platform.fetch("SELECT address, reason FROM email.suppressions")
    assert [tuple(row) for row in rows] == [("ada@example.com", "bounced")]


async def test_a_mail_refused_for_what_it_says_suppresses_nobody(desk: Desk) -> None:
    desk.provider.answers = [Rejected("554 5.7.1 looks like spam")]
    await desk.deliver()
    assert await desk.platform.fetch("SELECT FROM email.suppressions") == []


async def test_an_outcome_that_nobody_knows_is_held_rather_than_sent_twice(desk: Desk) -> None:
    desk.provider.answers = [Unknown("the line broke")]
    with pytest.raises(Unavailable):
        await desk.call()
    desk.provider.found = Unknown("cannot be asked")
    held = await desk.deliver()
    assert isinstance(held, EmailHeld)
    assert await desk.deliver() is None
    assert desk.provider.sent == []


async def test_a_provider_that_knows_later_is_asked_several_times(desk: Desk) -> None:
    await desk.call()
    desk.provider.found = Unknown("not in the feed yet", later=True)
    for attempt in range(1, ASK_TIMES):
        with pytest.raises(Unavailable):
            await desk.deliver(attempt)
    assert isinstance(await desk.deliver(ASK_TIMES), EmailHeld)
    assert len(desk.provider.sent) == 1


@pytest.mark.parametrize(("outcome", "sends"), [("sent", 0), ("not_sent", 1)])
async def test_an_operator_settles_a_held_mail(desk: Desk, outcome: Any, sends: int) -> None:
    desk.provider.answers = [Unknown("the line broke")]
    with pytest.raises(Unavailable):
        await desk.call()
    desk.provider.found = Unknown("cannot be asked")
    await desk.deliver()

    answer = await desk.platform.request(SettleMail(mail_id=desk.command.mail_id, outcome=outcome))
    assert answer.status == "succeeded"
    again = await desk.platform.request(SettleMail(mail_id=desk.command.mail_id, outcome=outcome))
    assert again.error is not None
    assert again.error.code == "mail_not_held"
    desk.provider.found = Absent()
    await desk.platform.settle()
    assert len(desk.provider.sent) == sends
    assert await desk.status() == "sent"


async def test_a_replay_sends_nothing(desk: Desk) -> None:
    work = desk.work()
    work.replaying = True
    finish = await desk.call(work)
    async with desk.work().transaction() as tx:
        assert await finish(tx) is None
    assert desk.provider.sent == []
    assert await desk.status() == "queued"


async def test_a_mail_whose_secret_does_not_open_any_more_fails(desk: Desk) -> None:
    await desk.platform.admin.execute('UPDATE email.mails SET sealed_data = \'{"token": "other key"}\'')
    failed = await desk.deliver()
    assert isinstance(failed, EmailFailed)
    assert "keys" in failed.reason
    assert desk.provider.sent == []
