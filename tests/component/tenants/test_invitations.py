"""Invitations: who may invite whom, and who may accept."""

from datetime import timedelta

import pytest

from prog_contracts.email import SendMail
from prog_contracts.ids import new_id
from prog_contracts.permissions import ROLES
from prog_contracts.tenants import MemberInvited, MemberJoined, TenantRole
from prog_kit.database import Database
from prog_kit.secrets import Sealer
from prog_workers.tenants import queries
from tests.component.harness import SECRET_KEYS, Harness
from tests.component.tenants.company import Company, code, staff

NEW_KEYS = ("fedcba9876543210" * 4,)


async def test_check_22_an_invited_person_joins_with_the_mailed_token(
    platform: Harness, acme: Company, edge: Database
) -> None:
    answer = await acme.invite(" Joe@Example.com", "admin")
    assert answer.result is not None
    assert "token" not in str(answer.result), "the inviter is not shown the link"
    [mail] = await platform.events(SendMail)
    assert (mail.template, mail.to) == ("invitation", "joe@example.com")
    assert mail.data == {"tenant_name": "Acme Ltd", "inviter_name": "Olga Owner", "role": "admin"}
    user_id = new_id("user")
    assert (await acme.accept(await acme.mailed_token(), "joe@example.com", user_id)).status == "succeeded"
    [joined] = await platform.events(MemberJoined)
    assert (joined.user_id, joined.role) == (user_id, "admin")
    async with edge.scope(tenant_id=acme.tenant_id) as connection:
        assert [row.role for row in await queries.members(connection, acme.tenant_id)] == ["owner", "admin"]
        row = await queries.tenant(connection, acme.tenant_id)
        assert row is not None
        assert row.member_count == 2
        assert not await queries.open_invitations(connection, acme.tenant_id, platform.clock.at)


@pytest.mark.parametrize("inviter", ROLES)
async def test_check_22_nobody_grants_more_than_they_have(
    platform: Harness, acme: Company, inviter: TenantRole
) -> None:
    actor = acme.owner_id if inviter == "owner" else await acme.take_in("inviter@example.com", inviter)
    await platform.fetch("UPDATE tenants.limits SET value = NULL")
    for role in ROLES:
        answer = await acme.invite(f"new.{role}@example.com", role, actor)
        if inviter == "owner" or (inviter == "admin" and role != "owner"):
            assert answer.status == "succeeded"
        else:
            assert code(answer) == ("role_too_high" if inviter == "admin" else "not_permitted")


async def test_a_stranger_invites_nobody(platform: Harness, acme: Company) -> None:
    for actor in (new_id("user"), Company(platform).owner_id):
        assert code(await acme.invite("new@example.com", actor=actor)) == "tenant_not_found"
    assert (await acme.invite("new@example.com", "owner", await staff(platform))).status == "succeeded"


async def test_check_22_an_invitation_is_good_once(acme: Company) -> None:
    await acme.invite("joe@example.com")
    token = await acme.mailed_token()
    assert (await acme.accept(token, "joe@example.com")).status == "succeeded"
    assert code(await acme.accept(token, "joe@example.com")) == "invitation_invalid"


@pytest.mark.parametrize(
    ("invited_with", "accepted_with"), [(SECRET_KEYS, NEW_KEYS + SECRET_KEYS), (NEW_KEYS + SECRET_KEYS, NEW_KEYS)]
)
async def test_an_invitation_outlives_a_rotation_of_the_secret_keys(
    platform: Harness, acme: Company, invited_with: tuple[str, ...], accepted_with: tuple[str, ...]
) -> None:
    platform.sealer = platform.processors["tenants"].sealer = Sealer(invited_with)
    await acme.invite("joe@example.com")
    token = await acme.mailed_token()
    platform.sealer = platform.processors["tenants"].sealer = Sealer(accepted_with)
    assert (await acme.accept(token, "joe@example.com")).status == "succeeded"


async def test_check_22_an_invitation_is_good_for_the_invited_address_alone(acme: Company) -> None:
    await acme.invite("joe@example.com")
    token = await acme.mailed_token()
    assert code(await acme.accept(token, "mallory@example.com")) == "invitation_email_mismatch"
    assert (await acme.accept(token, "JOE@example.com")).status == "succeeded"


async def test_an_invitation_is_good_for_seven_days(platform: Harness, acme: Company) -> None:
    await acme.invite("joe@example.com")
    platform.clock.at += timedelta(days=7)
    assert code(await acme.accept(await acme.mailed_token(), "joe@example.com")) == "invitation_expired"


async def test_check_22_an_invitation_is_good_in_its_own_tenant_alone(platform: Harness, acme: Company) -> None:
    other = Company(platform)
    await other.open()
    await acme.invite("joe@example.com")
    token = await acme.mailed_token()
    assert code(await acme.accept(token, "joe@example.com", tenant_id=other.tenant_id)) == "invitation_invalid"
    moved = token.replace(acme.tenant_id[7:], other.tenant_id[7:])
    assert code(await acme.accept(moved, "joe@example.com", tenant_id=other.tenant_id)) == "invitation_invalid"


async def test_a_second_invitation_replaces_the_first(platform: Harness, acme: Company, edge: Database) -> None:
    await acme.invite("joe@example.com", "viewer")
    old = await acme.mailed_token()
    await acme.invite("joe@example.com", "admin")
    async with edge.scope(tenant_id=acme.tenant_id) as connection:
        opened = await queries.open_invitations(connection, acme.tenant_id, platform.clock.at)
        assert [row.role for row in opened] == ["admin"]
    assert code(await acme.accept(old, "joe@example.com")) == "invitation_invalid"
    assert (await acme.accept(await acme.mailed_token(), "joe@example.com")).status == "succeeded"


async def test_a_member_is_not_invited_again(acme: Company) -> None:
    await acme.take_in("joe@example.com", "viewer")
    assert code(await acme.invite("joe@example.com", "admin")) == "already_member"


async def test_somebody_who_joined_with_another_address_does_not_join_twice(acme: Company) -> None:
    user_id = await acme.take_in("joe@example.com", "viewer")
    await acme.invite("joe@work.example.com", "admin")
    token = await acme.mailed_token()
    assert code(await acme.accept(token, "joe@work.example.com", user_id)) == "already_member"


async def test_open_invitations_fill_the_plans_seats(platform: Harness, acme: Company) -> None:
    for number in range(4):
        assert (await acme.invite(f"p{number}@example.com")).status == "succeeded"
    assert code(await acme.invite("p5@example.com")) == "member_limit"
    assert (await acme.invite("p0@example.com")).status == "succeeded", "it replaces its own"
    platform.clock.at += timedelta(days=7)
    assert (await acme.invite("p5@example.com")).status == "succeeded", "the others have expired"


async def test_a_mailbox_gets_five_invitations_a_day_sent_again_or_made_anew(platform: Harness, acme: Company) -> None:
    for _ in range(2):
        assert (await acme.invite("joe@example.com")).status == "succeeded"
    [row] = await platform.fetch("SELECT invitation_id FROM tenants.invitations WHERE status = 'open'")
    for _ in range(3):
        assert (await acme.resend(row["invitation_id"])).status == "succeeded"
    assert code(await acme.resend(row["invitation_id"])) == "invited_often"
    assert code(await acme.invite("joe@example.com")) == "invited_often"
    assert (await acme.invite("other@example.com")).status == "succeeded"
    assert len(await platform.events(SendMail)) == 6
    platform.clock.at += timedelta(days=1)
    assert (await acme.resend(row["invitation_id"])).status == "succeeded"


async def test_nobody_accepts_for_another(platform: Harness, acme: Company) -> None:
    await acme.invite("joe@example.com")
    token = await acme.mailed_token()
    answer = await acme.accept(token, "joe@example.com", actor=new_id("user"))
    assert code(answer) == "not_permitted"


async def test_a_suspended_tenant_takes_in_nobody(platform: Harness, acme: Company) -> None:
    await acme.invite("joe@example.com")
    token = await acme.mailed_token()
    await platform.fetch(
        "UPDATE tenants.tenants SET status = 'suspended', suspension_reason = 'unpaid' WHERE tenant_id = $1",
        acme.tenant_id,
    )
    assert code(await acme.accept(token, "joe@example.com")) == "tenant_closed"
    assert code(await acme.invite("jane@example.com")) == "tenant_closed"


async def test_no_token_is_stored_in_clear(platform: Harness, acme: Company) -> None:
    await acme.invite("joe@example.com")
    token = await acme.mailed_token()
    await acme.accept(token, "joe@example.com")
    dump = str(await platform.fetch("SELECT * FROM tenants.invitations"))
    dump += str(await platform.fetch("SELECT convert_from(data, 'utf8') FROM bus.event_log"))
    dump += str(await platform.fetch("SELECT result, error FROM bus.inbox"))
    assert token not in dump
    assert "joe@example.com" in dump, "the dump shows something"
    assert len(await platform.events(MemberInvited)) == 1
