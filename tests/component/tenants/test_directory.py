"""A tenant's directory: what its provider may do to people, and what it can never do."""

from __future__ import annotations

from datetime import timedelta

import pytest

from prog_contracts.directory import (
    DeleteDirectoryGroup,
    DirectoryUserDeleted,
    DirectoryUserLinked,
    DirectoryUserUpdated,
    ReplaceDirectoryGroup,
)
from prog_contracts.email import SendMail
from prog_contracts.erasure import ForgetMember, Person
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_contracts.scim import GROUP_MEMBERS_MAX
from prog_contracts.tenants import InvitationRevoked, MemberJoined, MemberRemoved, MemberRoleChanged
from prog_kit.secrets import PERSON
from tests.component.harness import Harness
from tests.component.tenants.company import Company, code
from tests.component.tenants.provider import Provider, listed, user_body

NO_LIMIT = "UPDATE tenants.limits SET value = NULL WHERE name = 'members'"


@pytest.fixture
def okta(acme: Company) -> Provider:
    return Provider(acme)


async def test_whoever_is_added_is_invited_and_no_account_is_made(
    platform: Harness, acme: Company, okta: Provider
) -> None:
    entry = await okta.add("Ada@Example.com", externalId="00u1", name={"givenName": "Ada"}, password="secret")
    row = await okta.row(entry)
    assert (row["email"], row["active"], row["user_id"], row["role"]) == ("ada@example.com", True, None, "member")
    assert row["resource"]["userName"] == "Ada@Example.com", "shown as it was sent"
    assert "secret" not in str(row), "a password is not kept"
    assert await okta.invited() == {"ada@example.com": "member"}
    assert [mail.to for mail in await platform.events(SendMail)] == ["ada@example.com"]
    assert await acme.roles() == {acme.owner_id: "owner"}, "nobody is a member before they have proven the address"


async def test_whoever_proves_the_address_joins_and_is_linked(platform: Harness, acme: Company, okta: Provider) -> None:
    entry, person = await okta.join("ada@example.com")
    assert (await acme.roles())[person] == "member"
    assert (await okta.row(entry))["user_id"] == person
    assert [linked.user_id for linked in await platform.events(DirectoryUserLinked)] == [person]


async def test_an_entry_takes_the_member_with_its_address(platform: Harness, acme: Company, okta: Provider) -> None:
    joe = await acme.take_in("joe@example.com", "billing")
    entry = await okta.add("joe", emails=[{"value": "JOE@example.com", "primary": True}])
    assert (await okta.row(entry))["user_id"] == joe
    assert (await acme.roles())[joe] == "billing", "coming into the directory changes nobody's role"
    assert await okta.invited() == {}


async def test_check_22_an_address_of_another_tenants_person_gives_nothing_but_an_invitation(
    platform: Harness, acme: Company
) -> None:
    other = Company(platform, "Other", owner_email="victim@example.com")
    await other.open()
    entry = await Provider(acme).add("victim@example.com", displayName="Renamed")
    assert (await Provider(acme).row(entry))["user_id"] is None
    assert await acme.roles() == {acme.owner_id: "owner"}
    assert await other.roles() == {other.owner_id: "owner"}
    await Provider(acme).set_active(entry, active=False)
    assert await other.roles() == {other.owner_id: "owner"}, "what a provider ends is of its own tenant"
    mails = await platform.events(SendMail, tenant_id=acme.tenant_id)
    assert [mail.to for mail in mails] == ["victim@example.com"], "and its link went to the mailbox alone"


@pytest.mark.parametrize("said", [False, "False", "false"])
async def test_check_17_whoever_is_not_active_any_more_is_out_at_once(
    platform: Harness, acme: Company, okta: Provider, said: object
) -> None:
    entry, person = await okta.join("ada@example.com")
    answer = await okta.set_active(entry, said)
    assert answer.status == "succeeded", answer
    assert person not in await acme.roles()
    assert [removed.user_id for removed in await platform.events(MemberRemoved)] == [person]


async def test_an_open_invitation_ends_with_the_entry(platform: Harness, acme: Company, okta: Provider) -> None:
    entry = await okta.add("ada@example.com")
    token = await acme.mailed_token()
    await okta.set_active(entry, active=False)
    assert code(await acme.accept(token, "ada@example.com")) == "invitation_invalid"
    assert len(await platform.events(InvitationRevoked)) == 1


async def test_an_invitation_by_hand_lets_nobody_in_whom_the_directory_shuts_out(acme: Company, okta: Provider) -> None:
    await acme.invite("ada@example.com", "admin")
    token = await acme.mailed_token()
    entry = await okta.add("ada@example.com")
    assert await okta.invited() == {"ada@example.com": "admin"}, "one invitation is enough"
    await okta.set_active(entry, active=False)
    assert code(await acme.accept(token, "ada@example.com")) == "invitation_invalid"


async def test_a_member_by_hand_is_out_when_an_entry_says_so(acme: Company, okta: Provider) -> None:
    joe = await acme.take_in("joe@example.com", "member")
    await okta.add("joe@example.com", active=False)
    assert joe not in await acme.roles()


async def test_who_was_suspended_comes_back_as_the_same_account(
    platform: Harness, acme: Company, okta: Provider
) -> None:
    entry, person = await okta.join("ada@example.com")
    await okta.set_active(entry, active=False)
    mails = len(await platform.events(SendMail))
    await okta.set_active(entry, active=True)
    assert (await acme.roles())[person] == "member"
    assert len(await platform.events(SendMail)) == mails, "the address was proven"
    assert [joined.name for joined in await platform.events(MemberJoined)] == ["Joe", "Joe"]


async def test_nobody_comes_back_by_an_address_that_another_has_proven(acme: Company, okta: Provider) -> None:
    entry, person = await okta.join("ada@example.com")
    await okta.set_active(entry, active=False)
    await okta.patch(entry, {"op": "replace", "path": "userName", "value": "grace@example.com"})
    await okta.set_active(entry, active=True)
    assert person not in await acme.roles()
    assert await okta.invited() == {"grace@example.com": "member"}


async def test_a_new_address_of_a_member_moves_nobody(acme: Company, okta: Provider) -> None:
    entry, person = await okta.join("ada@example.com")
    body = user_body("ada@example.com", emails=[{"value": "victim@example.com", "primary": True}])
    assert (await okta.replace(entry, body)).status == "succeeded"
    assert (await acme.roles())[person] == "member"
    rows = await acme.platform.fetch("SELECT email FROM tenants.members WHERE user_id = $1", person)
    assert rows[0]["email"] == "ada@example.com", "the account says its own address"
    assert await okta.invited() == {}


async def test_an_invitation_follows_the_address(acme: Company, okta: Provider) -> None:
    entry = await okta.add("ada@example.com")
    first = await acme.mailed_token()
    await okta.patch(entry, {"op": "replace", "path": "userName", "value": "ada@example.org"})
    assert await okta.invited() == {"ada@example.org": "member"}
    assert code(await acme.accept(first, "ada@example.com")) == "invitation_invalid"


@pytest.mark.parametrize("leaves", [True, False])
async def test_whoever_left_comes_back_by_an_invitation_alone(
    platform: Harness, acme: Company, okta: Provider, leaves: bool
) -> None:
    entry, person = await okta.join("ada@example.com")
    await acme.remove(person, person if leaves else None)
    row = await okta.row(entry)
    assert (row["active"], row["user_id"]) == (False, None)
    assert [told.reason for told in await platform.events(DirectoryUserUpdated)] == ["member_left"]
    await okta.patch(entry, {"op": "add", "path": "title", "value": "Countess"})
    assert await okta.invited() == {}, "a change of something else invites nobody"
    await okta.set_active(entry, active=True)
    assert person not in await acme.roles()
    assert await okta.invited() == {"ada@example.com": "member"}


async def test_a_deleted_entry_takes_its_member_along(platform: Harness, acme: Company, okta: Provider) -> None:
    entry, person = await okta.join("ada@example.com")
    assert (await okta.delete(entry)).status == "succeeded"
    assert person not in await acme.roles()
    assert len(await platform.events(DirectoryUserDeleted)) == 1
    assert code(await okta.delete(entry)) == "entry_not_found"
    again = await okta.add("ada@example.com")
    assert (await okta.row(again))["user_id"] is None


async def test_the_last_owner_stays(acme: Company, okta: Provider) -> None:
    entry = await okta.add("owner@example.com")
    assert (await okta.row(entry))["user_id"] == acme.owner_id
    assert code(await okta.set_active(entry, active=False)) == "last_owner"
    assert code(await okta.delete(entry)) == "last_owner"
    row = await okta.row(entry)
    assert (row["active"], row["version"]) == (True, 1), "nothing of the request was done"


async def test_a_key_of_an_admin_shuts_no_owner_out(acme: Company) -> None:
    admin = await acme.take_in("admin@example.com", "admin")
    other = await acme.take_in("second@example.com", "owner")
    entra = Provider(acme, maker=admin)
    entry = await entra.add("second@example.com")
    assert code(await entra.set_active(entry, active=False)) == "role_too_high"
    assert (await acme.roles())[other] == "owner"
    assert (await Provider(acme).set_active(entry, active=False)).status == "succeeded"
    assert other not in await acme.roles()


@pytest.mark.parametrize("role", ["billing", "member", "viewer"])
async def test_a_key_of_somebody_without_the_right_does_nothing(acme: Company, role: str) -> None:
    maker = await acme.take_in("maker@example.com", role)  # type: ignore[arg-type]
    assert code(await Provider(acme, maker=maker).create("ada@example.com")) == "not_permitted"
    assert code(await Provider(acme, maker=new_id("user")).create("ada@example.com")) == "tenant_not_found"


async def test_a_plan_without_a_seat_takes_nobody_in(platform: Harness, acme: Company, okta: Provider) -> None:
    await platform.fetch("UPDATE tenants.limits SET value = 2 WHERE name = 'members'")
    entry, person = await okta.join("ada@example.com")
    assert code(await okta.create("grace@example.com")) == "member_limit"
    await okta.set_active(entry, active=False)
    await okta.add("grace@example.com")
    assert code(await okta.set_active(entry, active=True)) == "member_limit"
    assert person not in await acme.roles()


async def test_an_invitation_that_ran_out_is_sent_again_with_the_next_change(platform: Harness, okta: Provider) -> None:
    entry = await okta.add("ada@example.com")
    platform.clock.at += timedelta(days=8)
    await okta.patch(entry, {"op": "add", "path": "title", "value": "Countess"})
    assert [mail.to for mail in await platform.events(SendMail)] == ["ada@example.com"] * 2


# -- uniqueness and versions -------------------------------------------------------------------------------------------


async def test_names_and_addresses_are_one_entry_s_alone(acme: Company, okta: Provider) -> None:
    await okta.add("ada@example.com")
    assert code(await okta.create("ADA@example.com")) == "uniqueness"
    assert code(await okta.create("other", emails=[{"value": "ada@example.com"}])) == "uniqueness"
    second = await okta.add("grace@example.com")
    renamed = await okta.patch(second, {"op": "replace", "path": "userName", "value": "Ada@Example.COM"})
    assert code(renamed) == "uniqueness"


async def test_two_tenants_have_the_same_person_each_for_itself(platform: Harness, acme: Company) -> None:
    other = Company(platform, "Other", owner_email="other@example.com")
    await other.open()
    here, there = Provider(acme), Provider(other)
    entry, twin = await here.add("ada@example.com"), await there.add("ada@example.com")
    assert code(await there.patch(entry, {"op": "remove", "path": "title"})) == "entry_not_found"
    assert code(await there.delete(entry)) == "entry_not_found"
    assert code(await there.create_group("Stolen", entry)) == "invalid_value", "no member by a guessed id"
    await there.delete(twin)
    assert (await here.row(entry))["active"]


async def test_a_change_of_another_version_is_refused(okta: Provider) -> None:
    entry = await okta.add("ada@example.com")
    change = {"op": "replace", "path": "title", "value": "Countess"}
    assert code(await okta.patch(entry, change, if_match=("7",))) == "version_mismatch"
    assert (await okta.patch(entry, change, if_match=("7", "1"))).status == "succeeded"
    assert (await okta.patch(entry, change, if_match=("*",))).status == "succeeded"
    assert (await okta.row(entry))["version"] == 2, "what is so already is no change"


async def test_a_change_of_another_version_of_a_group_is_refused(acme: Company, okta: Provider) -> None:
    group = await okta.group("Team")
    for stale in (
        ReplaceDirectoryGroup(
            directory_group_id=group, tenant_id=acme.tenant_id, resource={"displayName": "Crew"}, if_match=("7",)
        ),
        DeleteDirectoryGroup(directory_group_id=group, tenant_id=acme.tenant_id, if_match=("7",)),
    ):
        assert code(await acme.send(stale, okta.actor)) == "version_mismatch"
    current = DeleteDirectoryGroup(directory_group_id=group, tenant_id=acme.tenant_id, if_match=("7", "1"))
    assert (await acme.send(current, okta.actor)).status == "succeeded"


async def test_a_put_that_does_not_say_active_changes_nothing_of_it(okta: Provider) -> None:
    entry = await okta.add("ada@example.com", active=False, title="Countess")
    body = user_body("ada@example.com")
    del body["active"]
    assert (await okta.replace(entry, body)).status == "succeeded"
    row = await okta.row(entry)
    assert (row["active"], "title" in row["resource"]) == (False, False)


# -- groups ------------------------------------------------------------------------------------------------------------


async def test_a_group_gives_the_role_that_the_tenant_says(platform: Harness, acme: Company, okta: Provider) -> None:
    entry, person = await okta.join("ada@example.com")
    group = await okta.group("Finance", entry)
    assert (await acme.roles())[person] == "member", "a group gives nothing before the tenant says so"
    assert (await okta.map(group, "billing")).status == "succeeded"
    assert (await acme.roles())[person] == "billing"
    await okta.patch_group(group, {"op": "remove", "path": f'members[value eq "{entry}"]'})
    assert (await acme.roles())[person] == "member"
    assert [told.role for told in await platform.events(MemberRoleChanged)] == ["billing", "member"]


async def test_an_open_invitation_is_for_the_role_of_the_groups(acme: Company, okta: Provider) -> None:
    group = await okta.group("Admins")
    await okta.map(group, "admin")
    entry = await okta.add("ada@example.com")
    await okta.patch_group(group, {"op": "Add", "path": "members", "value": listed(entry)})
    assert await okta.invited() == {"ada@example.com": "admin"}
    person = new_id("user")
    await acme.accept(await acme.mailed_token(), "ada@example.com", person)
    assert (await acme.roles())[person] == "admin"
    await okta.delete_group(group)
    assert (await acme.roles())[person] == "member"


async def test_whoever_loses_a_role_with_a_group_loses_what_they_invited_for_by_it(
    acme: Company, okta: Provider
) -> None:
    entry, person = await okta.join("ada@example.com")
    group = await okta.group("Admins", entry)
    await okta.map(group, "admin")
    assert (await acme.invite("joe@example.com", "admin", actor=person)).status == "succeeded"
    await okta.delete_group(group)
    assert (await acme.roles())[person] == "member"
    assert await okta.invited() == {}


async def test_whoever_is_shut_out_takes_their_invitations_along(acme: Company, okta: Provider) -> None:
    entry, person = await okta.join("ada@example.com")
    await okta.map(await okta.group("Admins", entry), "admin")
    assert (await acme.invite("joe@example.com", "viewer", actor=person)).status == "succeeded"
    await okta.set_active(entry, active=False)
    assert await okta.invited() == {}


async def test_an_owner_who_is_shut_out_is_written_to_no_more(acme: Company) -> None:
    other = await acme.take_in("two@example.com", "owner")
    assert (await Provider(acme, maker=other).create("owner@example.com", active=False)).status == "succeeded"
    assert set(await acme.roles()) == {other}
    [row] = await acme.platform.fetch("SELECT owner_email FROM tenants.tenants WHERE tenant_id = $1", acme.tenant_id)
    assert row["owner_email"] == "two@example.com"


async def test_of_several_groups_the_strongest_counts(acme: Company, okta: Provider) -> None:
    entry, person = await okta.join("ada@example.com")
    for name, role in (("V", "viewer"), ("B", "billing"), ("M", "member")):
        await okta.map(await okta.group(name, entry), role)  # type: ignore[arg-type]
    assert (await acme.roles())[person] == "billing"


async def test_owners_stay_owners_whatever_their_groups_say(acme: Company, okta: Provider) -> None:
    entry = await okta.add("owner@example.com")
    await okta.map(await okta.group("Viewers", entry), "viewer")
    assert (await acme.roles())[acme.owner_id] == "owner"


async def test_nobody_maps_a_role_beyond_their_own_and_no_key_maps_any(acme: Company, okta: Provider) -> None:
    group = await okta.group("Admins")
    member = await acme.take_in("joe@example.com", "member")
    admin = await acme.take_in("admin@example.com", "admin")
    assert code(await okta.map(group, "viewer", okta.actor)) == "not_permitted"
    assert code(await okta.map(group, "viewer", member)) == "not_permitted"
    assert code(await okta.set_default("viewer", okta.actor)) == "not_permitted"
    assert (await okta.map(group, "admin", admin)).status == "succeeded"


async def test_the_default_role_reaches_those_without_a_group(acme: Company, okta: Provider) -> None:
    _, person = await okta.join("ada@example.com")
    other, grouped = await okta.join("grace@example.com")
    await okta.map(await okta.group("Members", other), "member")
    assert (await okta.set_default("viewer")).status == "succeeded"
    roles = await acme.roles()
    assert (roles[person], roles[grouped]) == ("viewer", "member")


async def test_a_role_given_by_hand_stays_until_the_groups_change(acme: Company, okta: Provider) -> None:
    entry, person = await okta.join("ada@example.com")
    await acme.change_role(person, "billing")
    group = await okta.group("Idle", entry)
    assert (await acme.roles())[person] == "billing"
    await okta.map(group, "viewer")
    assert (await acme.roles())[person] == "viewer"


async def test_many_members_get_their_role_in_several_transactions(
    platform: Harness, acme: Company, okta: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prog_workers.tenants.handlers.directory.access.ROLES_AT_ONCE", 2)
    await platform.fetch(NO_LIMIT)
    joined = [await okta.join(f"p{number}@example.com") for number in range(5)]
    group = await okta.group("All", *(entry for entry, _ in joined))
    await okta.map(group, "viewer")
    await platform.settle()
    roles = await acme.roles()
    assert [roles[person] for _, person in joined] == ["viewer"] * 5


async def test_a_group_is_changed_in_each_of_the_ways_that_providers_have(acme: Company, okta: Provider) -> None:
    one, two, three = [await okta.add(name) for name in ("one", "two", "three")]
    group = await okta.group("Team", one)
    await okta.patch_group(group, {"op": "Add", "path": "members", "value": listed(two, three)})
    assert await okta.members_of(group) == {one, two, three}
    await okta.patch_group(group, {"op": "Remove", "path": "members", "value": listed(two)})
    assert await okta.members_of(group) == {one, three}, "Entra ID names members to remove in the value"
    await okta.patch_group(group, {"op": "remove", "path": f'members[value eq "{three}"]'})
    assert await okta.members_of(group) == {one}, "Okta picks them in the path"
    await okta.patch_group(group, {"op": "replace", "value": {"id": group, "displayName": "Crew"}})
    assert code(await okta.create_group("CREW")) == "uniqueness", "Okta names the group itself when it renames"
    await okta.replace_group(group, "Crew", two)
    assert await okta.members_of(group) == {two}
    await okta.patch_group(group, {"op": "replace", "path": "members", "value": listed(one, two)})
    await okta.patch_group(group, {"op": "remove", "path": "members"})
    assert await okta.members_of(group) == set()


async def test_what_belongs_to_nobody_is_refused(okta: Provider) -> None:
    one = await okta.add("one")
    group = await okta.group("Team", one)
    unknown = {"op": "add", "path": "members", "value": listed(one, new_id("diruser"))}
    assert code(await okta.patch_group(group, unknown)) == "invalid_value"
    nested = {"op": "add", "path": "members", "value": [{"value": group, "type": "Group"}]}
    assert code(await okta.patch_group(group, nested)) == "invalid_value"
    inside = {"op": "replace", "path": f'members[value eq "{one}"].value', "value": "x"}
    assert code(await okta.patch_group(group, inside)) == "mutability"
    assert await okta.members_of(group) == {one}


async def test_a_suspended_tenant_keeps_its_directory_as_it_is(
    platform: Harness, acme: Company, okta: Provider
) -> None:
    await platform.fetch("UPDATE tenants.tenants SET status = 'suspended', suspension_reason = 'x'")
    assert code(await okta.create("ada@example.com")) == "tenant_closed"


async def test_a_group_of_the_largest_size_is_changed_as_a_small_one(acme: Company, okta: Provider) -> None:
    rows = await acme.platform.fetch(
        """
        INSERT INTO tenants.directory_users (tenant_id, directory_user_id, name_key, active, role, resource, sought,
                                             created_at, updated_at)
        SELECT $1, 'diruser_' || lpad(n::text, 26, '0'), n::text, true, 'member', '{}', '{}', now(), now()
        FROM generate_series(1, $2) AS n RETURNING directory_user_id
        """,
        acme.tenant_id,
        GROUP_MEMBERS_MAX,
    )
    people = [row["directory_user_id"] for row in rows]
    group = await okta.group("Everybody", *people[1:])
    add = {"op": "add", "path": "members", "value": listed(people[0])}
    drop = {"op": "remove", "path": f'members[value eq "{people[7]}"]'}
    assert (await okta.patch_group(group, add, *[drop] * 100)).status == "succeeded"
    assert len(await okta.members_of(group)) == GROUP_MEMBERS_MAX - 1
    assert (await okta.map(group, "viewer")).status == "succeeded"
    assert await acme.platform.settle(limit=100) > 20, "the roles of all, some in each transaction"
    left = await acme.platform.fetch("SELECT FROM tenants.directory_users WHERE role = 'member'")
    assert len(left) == 1, "who is not in it"


async def test_who_was_erased_is_in_no_directory_any_more(platform: Harness, acme: Company, okta: Provider) -> None:
    _, person = await okta.join("ada@example.com")
    other = Company(platform, "Other", owner_email="owner@other.example")
    await other.open()
    await Provider(other).add("somebody", emails=[{"value": "ada@example.com", "primary": True}])
    stays = await okta.add("grace@example.com")
    erased = Person(user_id=person, email="ada@example.com", name="Ada")
    command = ForgetMember(user_id=person, sealed_person=platform.seal(erased.model_dump_json(), PERSON))
    assert (await platform.request(command, tenant_id=PLATFORM_TENANT_ID)).status == "succeeded"
    left = await platform.fetch("SELECT directory_user_id FROM tenants.directory_users")
    assert [row["directory_user_id"] for row in left] == [stays]
    assert person not in await acme.roles()
