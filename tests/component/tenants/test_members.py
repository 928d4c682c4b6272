"""Members: whose role may be changed, who may be removed, and what goes with them."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from prog_contracts.ids import new_id
from prog_contracts.permissions import ROLES
from prog_contracts.tenants import (
    InvitationResent,
    InvitationRevoked,
    MemberRemoved,
    MemberRoleChanged,
    TenantRole,
    TenantUpdated,
)
from prog_kit.database import Database
from prog_workers.tenants import queries
from tests.component.harness import Harness
from tests.component.tenants.company import Company, code, staff
from tests.component.tenants.provider import Provider


async def test_a_role_is_changed_and_told(platform: Harness, acme: Company) -> None:
    joe = await acme.take_in("joe@example.com", "viewer")
    answer = await acme.change_role(joe, "admin")
    assert answer.result is not None
    assert (answer.result["role"], answer.result["previous_role"]) == ("admin", "viewer")
    assert (await acme.roles())[joe] == "admin"
    [changed] = await platform.events(MemberRoleChanged)
    assert (changed.user_id, changed.email) == (joe, "joe@example.com")
    assert (await acme.change_role(joe, "admin")).status == "succeeded"
    assert len(await platform.events(MemberRoleChanged)) == 1, "what is so already did not happen"


@pytest.mark.parametrize("manager", ROLES)
async def test_nobody_gives_or_takes_more_rights_than_their_own(
    platform: Harness, acme: Company, manager: TenantRole
) -> None:
    await platform.fetch("UPDATE tenants.limits SET value = NULL")
    actor = await acme.take_in("manager@example.com", manager)
    for before in ROLES:
        for after in ROLES:
            joe = await acme.take_in(f"{before}.{after}@example.com", before)
            answer = await acme.change_role(joe, after, actor)
            if manager == "owner" or (manager == "admin" and "owner" not in (before, after)):
                assert answer.status == "succeeded"
                assert (await acme.roles())[joe] == after
            else:
                assert code(answer) == ("role_too_high" if manager == "admin" else "not_permitted")
                assert (await acme.roles())[joe] == before


@pytest.mark.parametrize("manager", ROLES)
async def test_nobody_removes_a_person_of_more_rights(platform: Harness, acme: Company, manager: TenantRole) -> None:
    await platform.fetch("UPDATE tenants.limits SET value = NULL")
    actor = await acme.take_in("manager@example.com", manager)
    for role in ROLES:
        joe = await acme.take_in(f"some.{role}@example.com", role)
        answer = await acme.remove(joe, actor)
        if manager == "owner" or (manager == "admin" and role != "owner"):
            assert answer.status == "succeeded"
            assert joe not in await acme.roles()
        else:
            assert code(answer) == ("role_too_high" if manager == "admin" else "not_permitted")
            assert joe in await acme.roles()


async def test_the_last_owner_neither_goes_nor_is_lowered(platform: Harness, acme: Company) -> None:
    operator = await staff(platform)
    for actor in (acme.owner_id, operator):
        assert code(await acme.remove(acme.owner_id, actor)) == "last_owner"
        assert code(await acme.change_role(acme.owner_id, "admin", actor)) == "last_owner"
    second = await acme.take_in("second@example.com", "owner")
    assert (await acme.change_role(acme.owner_id, "viewer")).status == "succeeded"
    assert code(await acme.remove(second, second)) == "last_owner"
    assert (await acme.roles())[second] == "owner"


async def test_of_two_owners_who_leave_at_once_one_stays(platform: Harness, acme: Company) -> None:
    second = await acme.take_in("second@example.com", "owner")
    answers = await asyncio.gather(acme.remove(acme.owner_id, acme.owner_id), acme.remove(second, second))
    assert sorted(answer.status for answer in answers) == ["failed", "succeeded"]
    assert [*(await acme.roles()).values()] == ["owner"]


async def test_anybody_leaves_by_themselves(platform: Harness, acme: Company, edge: Database) -> None:
    joe = await acme.take_in("joe@example.com", "viewer")
    assert (await acme.remove(joe, joe)).status == "succeeded"
    [removed] = await platform.events(MemberRemoved)
    assert (removed.user_id, removed.reason) == (joe, "left")
    async with edge.scope(tenant_id=acme.tenant_id) as connection:
        row = await queries.tenant(connection, acme.tenant_id)
        assert row is not None
        assert row.member_count == 1
    assert code(await acme.remove(joe, joe)) == "member_not_found"


async def test_who_was_removed_can_be_invited_again(platform: Harness, acme: Company) -> None:
    joe = await acme.take_in("joe@example.com", "admin")
    await acme.remove(joe)
    assert [event.reason for event in await platform.events(MemberRemoved)] == ["removed"]
    await acme.invite("joe@example.com", "viewer")
    assert (await acme.accept(await acme.mailed_token(), "joe@example.com", joe)).status == "succeeded"
    assert (await acme.roles())[joe] == "viewer"


async def test_a_stranger_manages_nobody(platform: Harness, acme: Company) -> None:
    joe = await acme.take_in("joe@example.com", "viewer")
    other = Company(platform)
    await other.open()
    for stranger in (new_id("user"), other.owner_id):
        assert code(await acme.change_role(joe, "owner", stranger)) == "tenant_not_found"
        assert code(await acme.remove(joe, stranger)) == "tenant_not_found"
        assert code(await acme.remove(stranger, stranger)) == "member_not_found"
    assert code(await other.remove(joe)) == "member_not_found", "a member of another tenant is nobody here"
    assert joe in await acme.roles()


async def test_invitations_go_with_the_rights_of_who_sent_them(platform: Harness, acme: Company) -> None:
    """Nobody comes in by an invitation that its sender could not make any more."""
    await platform.fetch("UPDATE tenants.limits SET value = NULL")
    ann = await acme.take_in("ann@example.com", "admin")
    await acme.invite("friend@example.com", "admin", ann)
    token = await acme.mailed_token()
    await acme.invite("other@example.com", "admin")
    assert (await acme.change_role(ann, "viewer")).status == "succeeded"
    [revoked] = await platform.events(InvitationRevoked)
    assert (revoked.email, revoked.reason) == ("friend@example.com", "inviter_lost_rights")
    assert code(await acme.accept(token, "friend@example.com")) == "invitation_invalid"
    bob = await acme.take_in("bob@example.com", "admin")
    await acme.invite("pal@example.com", "viewer", bob)
    token = await acme.mailed_token()
    assert (await acme.remove(bob)).status == "succeeded"
    assert code(await acme.accept(token, "pal@example.com")) == "invitation_invalid"
    rows = await platform.fetch("SELECT email FROM tenants.invitations WHERE status = 'open'")
    assert [row["email"] for row in rows] == ["other@example.com"], "those of others stay"


async def test_an_owner_who_becomes_an_admin_keeps_what_an_admin_may_grant(platform: Harness, acme: Company) -> None:
    await acme.take_in("second@example.com", "owner")
    await acme.invite("boss@example.com", "owner")
    await acme.invite("joe@example.com", "member")
    assert (await acme.change_role(acme.owner_id, "admin")).status == "succeeded"
    assert [event.email for event in await platform.events(InvitationRevoked)] == ["boss@example.com"]


async def test_an_invitation_is_sent_again_with_a_new_link(platform: Harness, acme: Company) -> None:
    invited = await acme.invite("joe@example.com", "admin")
    assert invited.result is not None
    invitation_id = invited.result["invitation_id"]
    old = await acme.mailed_token()
    platform.clock.at += timedelta(days=8)
    assert code(await acme.accept(old, "joe@example.com")) == "invitation_expired"
    resent = await acme.resend(invitation_id)
    assert resent.result is not None
    assert "token" not in str(resent.result), "the inviter is not shown the link"
    [event] = await platform.events(InvitationResent)
    assert event.expires_at == platform.clock.at + timedelta(days=7)
    assert code(await acme.accept(old, "joe@example.com")) == "invitation_invalid"
    assert (await acme.accept(await acme.mailed_token(), "joe@example.com")).status == "succeeded"
    assert code(await acme.resend(invitation_id)) == "invitation_invalid", "it is accepted"


async def test_an_invitation_is_taken_back(platform: Harness, acme: Company) -> None:
    invited = await acme.invite("joe@example.com")
    assert invited.result is not None
    token = await acme.mailed_token()
    assert (await acme.revoke(invited.result["invitation_id"])).status == "succeeded"
    [event] = await platform.events(InvitationRevoked)
    assert (event.email, event.reason) == ("joe@example.com", "revoked")
    assert code(await acme.accept(token, "joe@example.com")) == "invitation_invalid"
    assert code(await acme.revoke(invited.result["invitation_id"])) == "invitation_invalid"


async def test_an_invitation_above_one_s_own_rights_is_out_of_reach(platform: Harness, acme: Company) -> None:
    ann = await acme.take_in("ann@example.com", "admin")
    vic = await acme.take_in("vic@example.com", "viewer")
    invited = await acme.invite("boss@example.com", "owner")
    assert invited.result is not None
    invitation_id = invited.result["invitation_id"]
    assert code(await acme.resend(invitation_id, ann)) == "role_too_high"
    assert code(await acme.revoke(invitation_id, ann)) == "role_too_high"
    assert code(await acme.resend(invitation_id, vic)) == "not_permitted"
    assert code(await acme.revoke(invitation_id, vic)) == "not_permitted"
    other = Company(platform)
    await other.open()
    assert code(await other.revoke(invitation_id)) == "invitation_invalid"
    assert code(await other.resend(invitation_id)) == "invitation_invalid"


async def test_an_expired_invitation_is_sent_again_only_while_there_are_seats(platform: Harness, acme: Company) -> None:
    invited = await acme.invite("joe@example.com")
    assert invited.result is not None
    platform.clock.at += timedelta(days=7)
    for number in range(4):
        assert (await acme.invite(f"p{number}@example.com")).status == "succeeded"
    assert code(await acme.resend(invited.result["invitation_id"])) == "member_limit"


async def test_check_17_whoever_is_removed_comes_back_by_no_invitation_from_before(acme: Company) -> None:
    """Somebody may have joined otherwise than by the invitation that waits for them, as by signing on."""
    assert (await acme.invite("joe@example.com", "admin")).status == "succeeded"
    token, joe = await acme.mailed_token(), new_id("user")
    await acme.platform.fetch(
        "INSERT INTO tenants.members (tenant_id, user_id, email, name, role, joined_at)"
        " VALUES ($1, $2, 'joe@example.com', 'Joe', 'member', $3)",
        acme.tenant_id,
        joe,
        acme.platform.clock.at,
    )
    assert (await acme.remove(joe)).status == "succeeded"
    assert code(await acme.accept(token, "joe@example.com", joe)) == "invitation_invalid"
    assert joe not in await acme.roles()


@pytest.mark.parametrize("how", ["removed", "left", "demoted", "deactivated"])
async def test_check_17_whoever_is_an_owner_no_more_is_not_written_to_as_one(acme: Company, how: str) -> None:
    """Receipts and invoices go to the first owner, and to another one when that is somebody else's business."""
    second = await acme.take_in("second@example.com", "owner")
    if how == "removed":
        answer = await acme.remove(acme.owner_id, second)
    elif how == "left":
        answer = await acme.remove(acme.owner_id)
    elif how == "demoted":
        answer = await acme.change_role(acme.owner_id, "viewer", second)
    else:
        answer = await Provider(acme, second).create(acme.owner_email, active=False)
    assert answer.status == "succeeded", answer
    told = [event for event in await acme.platform.events(TenantUpdated) if event.changed == ("owner",)]
    assert [event.owner_email for event in told] == ["second@example.com"]
    mailed = await acme.platform.fetch("SELECT owner_user_id, owner_email FROM tenants.tenants WHERE name = 'Acme Ltd'")
    assert [tuple(row) for row in mailed] == [(second, "second@example.com")]
