"""What ended long ago is let go of, whichever tenant's, and nothing that is younger."""

from __future__ import annotations

import base64
import struct
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from prog_contracts.configuration import Branding, Configuration, ConfigureTenant, StoreLogo
from prog_contracts.email import ForgetOldMails
from prog_contracts.ids import new_id
from prog_contracts.messages import Command
from prog_contracts.tenants import ForgetOldInvitations, ForgetOldLogos
from prog_kit.settings import Settings
from prog_scheduler.housekeeping import COMMANDS
from prog_workers.email import handlers as email_handlers
from prog_workers.email.handlers import email
from prog_workers.tenants.handlers import tenants
from tests.component.harness import Harness
from tests.component.tenants.company import Company, code

NOW = datetime.now(UTC)
SCHEDULER = "prog-scheduler"

MAIL = """
INSERT INTO email.mails (mail_id, tenant_id, template, recipient, subject_line, data, sealed_data, status, message_id,
                         correlation_id, queued_at, recorded_at)
VALUES ($1, $2, 'welcome', 'ada@example.com', 'Hello', '{}', '{}', $3, gen_random_uuid(), gen_random_uuid(), $4, $4)
"""
STEP = """
INSERT INTO email.mail_events (mail_id, tenant_id, status, attempt, occurred_at) VALUES ($1, $2, $3, 1, $4)
"""


@pytest.fixture
async def platform(postgres: str) -> AsyncIterator[Harness]:
    async with Harness(postgres, email, tenants, at=NOW) as platform:
        yield platform


async def company(platform: Harness) -> Company:
    made = Company(platform)
    await made.open()
    return made


async def mail(platform: Harness, days: int, status: str = "sent") -> str:
    mail_id, tenant_id, at = new_id("mail"), new_id("tenant"), NOW - timedelta(days=days)
    await platform.fetch(MAIL, mail_id, tenant_id, status, at)
    await platform.fetch(STEP, mail_id, tenant_id, status, at)
    return mail_id


async def ask(platform: Harness, command: Command) -> None:
    """The scheduler asks, and the batches follow one another."""
    assert (await platform.request(command, actor=SCHEDULER)).status == "succeeded"
    await platform.settle()


async def left(platform: Harness, table: str, column: str) -> set[str]:
    return {row[column] for row in await platform.fetch(f"SELECT {column} FROM {table}")}


async def test_old_mails_go_with_their_steps_and_others_stay(
    platform: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(email_handlers, "BATCH", 2)
    for _ in range(5):
        await mail(platform, 500)
    young, waiting, held = (
        await mail(platform, 300),
        await mail(platform, 500, "queued"),
        await mail(platform, 500, "held"),
    )
    await ask(platform, ForgetOldMails(recorded_before=NOW - timedelta(days=400)))
    assert await left(platform, "email.mails", "mail_id") == {young, waiting, held}
    assert await left(platform, "email.mail_events", "mail_id") == {young, waiting, held}


async def test_nothing_younger_than_thirty_days_goes_whatever_is_asked(platform: Harness) -> None:
    young, _ = await mail(platform, 29), await mail(platform, 31)
    await ask(platform, ForgetOldMails(recorded_before=NOW + timedelta(days=1)))
    assert await left(platform, "email.mails", "mail_id") == {young}


async def test_ended_invitations_go_and_open_ones_stay_until_they_ran_out_long_ago(platform: Harness) -> None:
    acme, other = await company(platform), await company(platform)
    for each, name in ((acme, "a"), (other, "b")):
        for kind in ("open", "over", "accepted", "lately"):
            assert (await each.invite(f"{kind}.{name}@example.com", "viewer")).status == "succeeded"
    await platform.fetch(
        "UPDATE tenants.invitations SET status = 'accepted', settled_at = $1 WHERE email LIKE 'accepted%'",
        NOW - timedelta(days=91),
    )
    await platform.fetch(
        "UPDATE tenants.invitations SET status = 'revoked', settled_at = $1 WHERE email LIKE 'lately%'",
        NOW - timedelta(days=89),
    )
    await platform.fetch(
        "UPDATE tenants.invitations SET expires_at = $1 WHERE email LIKE 'over%'", NOW - timedelta(days=91)
    )
    await ask(platform, ForgetOldInvitations(ended_before=NOW - timedelta(days=90)))
    kept = await left(platform, "tenants.invitations", "email")
    assert kept == {f"{kind}.{name}@example.com" for kind in ("open", "lately") for name in "ab"}


async def test_a_logo_goes_when_no_version_that_held_lately_names_it(platform: Harness) -> None:
    acme = await company(platform)
    logos = [await _store(acme, number) for number in range(4)]
    never, replaced, before, shown = logos
    for logo, days in ((replaced, 300), (before, 200), (shown, 10)):
        platform.clock.at = NOW - timedelta(days=days)
        configured = Configuration(branding=Branding(logo=logo))
        answer = await acme.send(ConfigureTenant(tenant_id=acme.tenant_id, configuration=configured))
        assert answer.status == "succeeded", answer
    await platform.fetch("UPDATE tenants.logos SET stored_at = $1", NOW - timedelta(days=400))
    await ask(platform, ForgetOldLogos(unused_since=NOW - timedelta(days=90)))
    assert await left(platform, "tenants.logos", "logo_id") == {before, shown}, "one held until ten days ago"
    assert never != replaced


async def test_people_do_not_ask_for_this(platform: Harness) -> None:
    acme = await company(platform)
    for command in (
        ForgetOldMails(recorded_before=NOW),
        ForgetOldInvitations(ended_before=NOW),
        ForgetOldLogos(unused_since=NOW),
    ):
        assert code(await platform.request(command, actor=acme.owner_id)) == "not_permitted"


def test_the_settings_say_how_long_and_nought_keeps_for_ever() -> None:
    needed = {"database_url": "postgresql://x/y", "redis_url": "redis://x", "secret_keys": ("0123456789abcdef" * 4,)}
    usual = Settings(**needed)
    for job, days in (("forget_old_mails", 400), ("forget_old_invitations", 90), ("forget_old_logos", 90)):
        command = COMMANDS[job](usual, NOW)
        assert command is not None
        assert list(command.model_dump().values()) == [NOW - timedelta(days=days)]
    for_ever = Settings(**needed, mail_days=0, invitation_days=0, logo_days=0)
    assert [COMMANDS[f"forget_old_{what}"](for_ever, NOW) for what in ("mails", "invitations", "logos")] == [None] * 3


async def _store(acme: Company, number: int) -> str:
    picture = base64.b64encode(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", number)).decode()
    answer = await acme.send(StoreLogo(tenant_id=acme.tenant_id, content=picture, width=40, height=20))
    assert answer.result is not None, answer
    return str(answer.result["logo_id"])
