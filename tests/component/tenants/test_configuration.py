"""A tenant's configuration: typed, with versions that are kept, held to rules, and each tenant's alone."""

from __future__ import annotations

import asyncio
import base64
import struct
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from prog_broker.replies import Answer
from prog_contracts.configuration import (
    LOGO_MAX_BYTES,
    Branding,
    Configuration,
    ConfigureTenant,
    InvitationSettings,
    LogoStored,
    MailSettings,
    RollBackConfiguration,
    StoreLogo,
    TenantConfigured,
)
from prog_contracts.email import SendMail
from prog_contracts.ids import new_id
from prog_contracts.tenants import MemberInvited, RenameTenant, TenantRole
from prog_kit.database import Database
from prog_workers.tenants import queries
from prog_workers.tenants.rules.configuration import LOGOS_MAX
from tests.component.harness import Harness
from tests.component.tenants.company import Company, code, staff

BLUE = Configuration(branding=Branding(name="Acme", accent_light="#2f52d6", accent_dark="#8ea6ff"))
POLITE = Configuration(mail=MailSettings(sender_name="Acme", reply_to="Hello@Acme.example"))


async def configure(
    acme: Company,
    configuration: Configuration = BLUE,
    *,
    version: int | None = None,
    reason: str | None = None,
    actor: str | None = None,
) -> Answer:
    command = ConfigureTenant(
        tenant_id=acme.tenant_id, configuration=configuration, expected_version=version, reason=reason
    )
    return await acme.send(command, actor)


async def roll_back(acme: Company, to: int, *, version: int | None = None, actor: str | None = None) -> Answer:
    command = RollBackConfiguration(tenant_id=acme.tenant_id, version=to, expected_version=version, reason="Back")
    return await acme.send(command, actor)


async def store(acme: Company, picture: bytes, actor: str | None = None) -> Answer:
    command = StoreLogo(tenant_id=acme.tenant_id, content=base64.b64encode(picture).decode(), width=40, height=20)
    return await acme.send(command, actor)


def png(number: int = 0) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", number)


async def history(edge: Database, acme: Company) -> list[queries.VersionRow]:
    async with edge.scope(tenant_id=acme.tenant_id) as connection:
        return list((await queries.config_history(connection, acme.tenant_id)).rows)


async def test_every_change_is_a_version_with_who_and_why(platform: Harness, acme: Company, edge: Database) -> None:
    answer = await configure(acme, version=1, reason=" New   looks ")
    assert answer.result is not None
    assert (answer.result["version"], answer.result["reason"]) == (2, "New looks")
    joe = await acme.take_in("joe@example.com", "admin")
    assert (await configure(acme, POLITE, version=2, actor=joe)).status == "succeeded"
    third, second, first = await history(edge, acme)
    assert (first.version, first.changed, first.configuration) == (1, [], Configuration())
    assert (second.version, second.changed_by, second.reason) == (2, acme.owner_id, "New looks")
    assert second.changed == ["branding.name", "branding.accent_light", "branding.accent_dark"]
    assert (third.version, third.changed_by, third.reason) == (3, joe, None)
    assert third.configuration.mail.reply_to == "hello@acme.example", "an address has one spelling"
    assert third.configuration.branding == Branding(), "it is the whole document"
    told = await platform.events(TenantConfigured, tenant_id=acme.tenant_id)
    assert [event.version for event in told] == [2, 3]
    assert set(told[1].changed) == {*second.changed, "mail.sender_name", "mail.reply_to"}


async def test_of_two_who_change_the_same_version_one_is_told(acme: Company) -> None:
    answers = await asyncio.gather(configure(acme, BLUE, version=1), configure(acme, POLITE, version=1))
    assert sorted(answer.status for answer in answers) == ["failed", "succeeded"]
    [refused] = [answer for answer in answers if answer.status == "failed"]
    assert code(refused) == "version_mismatch"
    assert refused.error is not None
    assert "version 2" in refused.error.message


async def test_the_same_settings_make_no_version(platform: Harness, acme: Company, edge: Database) -> None:
    first = await configure(acme, reason="New looks")
    joe = await acme.take_in("joe@example.com", "admin")
    again = await configure(acme, version=2, actor=joe, reason="Again")
    assert again.result is not None
    assert again.result == first.result, "it tells who made the version that holds, and why"
    assert (again.result["version"], again.result["changed_by"]) == (2, acme.owner_id)
    assert len(await history(edge, acme)) == 2
    assert len(await platform.events(TenantConfigured)) == 1


async def test_rolling_back_is_a_new_version(platform: Harness, acme: Company, edge: Database) -> None:
    await configure(acme)
    await configure(acme, POLITE)
    assert code(await roll_back(acme, 2, version=2)) == "version_mismatch"
    answer = await roll_back(acme, 2, version=3)
    assert answer.result is not None
    assert (answer.result["version"], answer.result["restored_version"]) == (4, 2)
    newest = (await history(edge, acme))[0]
    assert (newest.version, newest.configuration, newest.restored_version) == (4, BLUE, 2)
    assert code(await roll_back(acme, 9)) == "config_version_not_found"
    assert len(await history(edge, acme)) == 4


async def test_what_an_earlier_version_was_allowed_is_held_to_the_rules_of_today(
    platform: Harness, acme: Company
) -> None:
    await configure(acme)
    yellow = '{"branding": {"accent_light": "#ffee00"}, "of_a_later_version": true}'
    await platform.admin.execute("UPDATE tenants.config_versions SET settings = $1 WHERE version = 1", yellow)
    assert code(await roll_back(acme, 1)) == "low_contrast"


@pytest.mark.parametrize("role", ["viewer", "member", "billing"])
async def test_only_owners_and_admins_configure(acme: Company, role: TenantRole) -> None:
    joe = await acme.take_in("joe@example.com", role)
    assert code(await configure(acme, actor=joe)) == "not_permitted"
    assert code(await roll_back(acme, 1, actor=joe)) == "not_permitted"
    assert code(await store(acme, png(), joe)) == "not_permitted"
    stranger = new_id("user")
    assert code(await configure(acme, actor=stranger)) == "tenant_not_found"
    assert code(await store(acme, png(), stranger)) == "tenant_not_found"


async def test_a_suspended_tenant_is_not_configured(platform: Harness, acme: Company) -> None:
    await acme.suspend(await staff(platform))
    assert code(await configure(acme)) == "tenant_closed"
    assert code(await roll_back(acme, 1)) == "tenant_closed"
    assert code(await store(acme, png())) == "tenant_closed"


@pytest.mark.parametrize(
    ("configuration", "wrong"),
    [
        (Configuration(branding=Branding(accent_light="#ffee00")), {"settings.branding.accent_light": "low_contrast"}),
        (Configuration(branding=Branding(accent_dark="#101010")), {"settings.branding.accent_dark": "low_contrast"}),
        (Configuration(branding=Branding(name="\u202eemcA")), {"settings.branding.name": "invalid_characters"}),
        (Configuration(branding=Branding(name="x" * 61)), {"settings.branding.name": "too_long"}),
        (
            Configuration(mail=MailSettings(sender_name=" ", reply_to="nobody", support_address="a@b\nBcc: c@d.e")),
            {
                "settings.mail.sender_name": "required",
                "settings.mail.reply_to": "invalid_email",
                "settings.mail.support_address": "invalid_email",
            },
        ),
        (Configuration(branding=Branding(logo="0" * 32)), {"settings.branding.logo": "unknown_logo"}),
    ],
)
async def test_bad_settings_are_all_named_and_nothing_changes(
    acme: Company, edge: Database, configuration: Configuration, wrong: dict[str, str]
) -> None:
    answer = await configure(acme, configuration)
    assert answer.error is not None
    assert {item.field: item.code for item in answer.error.fields} == wrong
    assert len(await history(edge, acme)) == 1


async def test_a_colour_that_cannot_be_read_is_refused_with_one_that_can(acme: Company) -> None:
    answer = await configure(acme, Configuration(branding=Branding(accent_light="#FFEE00")))
    assert answer.error is not None
    text = answer.error.message
    assert text.startswith("Text in #ffee00 has a contrast of 1.0 to 1 on #"), text
    suggested = text.partition("can be read. ")[2][:7]
    assert (await configure(acme, Configuration(branding=Branding(accent_light=suggested)))).status == "succeeded"


async def test_a_logo_is_kept_once_and_in_its_tenant_alone(platform: Harness, acme: Company, edge: Database) -> None:
    other = Company(platform, name="Other Ltd", owner_email="other@example.com")
    await other.open()
    answer = await store(acme, png())
    assert answer.result is not None
    logo_id = answer.result["logo_id"]
    assert (await store(acme, png())).result == answer.result
    assert len(await platform.events(LogoStored)) == 1
    assert (await configure(acme, Configuration(branding=Branding(logo=logo_id)))).status == "succeeded"
    assert code(await configure(other, Configuration(branding=Branding(logo=logo_id)))) == "unknown_logo"
    async with edge.scope(tenant_id=acme.tenant_id) as connection:
        found = await queries.logo(connection, acme.tenant_id, logo_id)
        assert found is not None
        assert (found.content, found.width, found.height) == (png(), 40, 20)
    async with edge.scope(tenant_id=other.tenant_id) as connection:
        assert await queries.logo(connection, acme.tenant_id, logo_id) is None
        assert await queries.config(connection, acme.tenant_id) is None
        assert not (await queries.config_history(connection, acme.tenant_id)).rows


@pytest.mark.parametrize(
    ("content", "size", "wrong"),
    [
        ("not base64!", (1, 1), "not_base64"),
        (base64.b64encode(b"<svg onload='x'/>").decode(), (1, 1), "not_png"),
        (base64.b64encode(png() + b"0" * LOGO_MAX_BYTES).decode(), (1, 1), "too_large"),
        (base64.b64encode(png()).decode(), (641, 1), "too_large"),
        (base64.b64encode(png()).decode(), (1, 0), "too_large"),
    ],
)
async def test_what_is_no_logo_is_refused(acme: Company, content: str, size: tuple[int, int], wrong: str) -> None:
    command = StoreLogo(tenant_id=acme.tenant_id, content=content, width=size[0], height=size[1])
    assert code(await acme.send(command)) == wrong


async def test_logos_are_kept_up_to_a_number(platform: Harness, acme: Company) -> None:
    await platform.admin.execute(
        "INSERT INTO tenants.logos SELECT $1, lpad(to_hex(n), 32, '0'), 'x', 1, 1, clock_timestamp()"
        " FROM generate_series(1, $2) AS n",
        acme.tenant_id,
        LOGOS_MAX,
    )
    assert code(await store(acme, png())) == "too_many_logos"


async def test_an_invitation_is_open_as_long_as_the_tenant_says_and_comes_in_its_name(
    platform: Harness, acme: Company
) -> None:
    wanted = Configuration(branding=Branding(name="Acme Group"), invitations=InvitationSettings(lifetime_days=2))
    await configure(acme, wanted)
    await acme.invite("joe@example.com")
    [invited] = await platform.events(MemberInvited)
    assert invited.expires_at == platform.clock.at + timedelta(days=2)
    [mail] = await platform.events(SendMail)
    assert mail.data["tenant_name"] == "Acme Group"


async def test_history_is_only_added_to(acme: Company, edge: Database, platform: Harness) -> None:
    await configure(acme)
    domain = await Database.connect(platform.url, "prog_tenants", max_size=1)
    try:
        for statement in ("UPDATE tenants.config_versions SET reason = 'x'", "UPDATE tenants.logos SET content = ''"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with domain.scope(tenant_id=acme.tenant_id) as connection:
                    await connection.execute(statement)
        async with domain.scope(tenant_id=acme.tenant_id) as connection:
            assert await connection.execute("DELETE FROM tenants.config_versions") == "DELETE 0", "but for a purge"
    finally:
        await domain.close()
    assert len(await history(edge, acme)) == 2


async def test_pages_of_the_history_follow_one_another(acme: Company, edge: Database) -> None:
    for number in range(3):
        await configure(acme, Configuration(branding=Branding(name=f"Acme {number}")))
    seen: list[int] = []
    cursor: str | None = None
    async with edge.scope(tenant_id=acme.tenant_id) as connection:
        while cursor is not None or not seen:
            page = await queries.config_history(connection, acme.tenant_id, limit=2, cursor=cursor)
            seen += [row.version for row in page.rows]
            cursor = page.next_cursor
    assert seen == [4, 3, 2, 1]


def test_differences_name_every_setting() -> None:
    values = Configuration().values()
    assert set(values) == {
        "branding.name", "branding.logo", "branding.accent_light", "branding.accent_dark",
        "mail.sender_name", "mail.reply_to", "mail.support_address", "locale", "invitations.lifetime_days",
        "api_version",
    }  # fmt: skip
    expected: dict[str, Any] = {"branding.name": (None, "Acme"), "locale": ("en_US", "en_GB")}
    assert Configuration().changes(Configuration(branding=Branding(name="Acme"), locale="en_GB")) == expected


async def test_renaming_a_tenant_is_no_change_of_its_configuration(acme: Company, edge: Database) -> None:
    assert (await acme.send(RenameTenant(tenant_id=acme.tenant_id, name="Other"))).status == "succeeded"
    assert len(await history(edge, acme)) == 1
