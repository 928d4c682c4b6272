"""Decisions of the tenants domain."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prog_contracts.actors import is_process
from prog_contracts.errors import Invalid
from prog_contracts.ids import new_id
from prog_contracts.permissions import PERMISSIONS, ROLES, may_grant
from prog_contracts.tenants import TenantRole
from prog_contracts.users import PlatformRole
from prog_workers.tenants import rules

NOW = datetime(2027, 1, 1, tzinfo=UTC)
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@given(st.text(max_size=200))
def test_every_name_has_a_slug_for_addresses(name: str) -> None:
    tenant_id = new_id("tenant")
    slug = rules.slug(name, tenant_id)
    assert SLUG.fullmatch(slug)
    assert slug.endswith(tenant_id[-6:])
    assert len(slug) <= rules.SLUG_MAX_LENGTH + 7


def test_a_slug_can_be_read() -> None:
    assert rules.slug("Ärger & Söhne GmbH", "tenant_abc0x4k2m") == "arger-sohne-gmbh-0x4k2m"
    assert rules.slug("株式会社", "tenant_abc0x4k2m") == "tenant-0x4k2m"


def test_provisioning_takes_what_is_missing_in_order() -> None:
    assert rules.remaining(set()) == list(rules.STEPS)
    assert rules.remaining({"limits"}) == ["configuration", "activation"]
    assert rules.remaining({*rules.STEPS, "of_an_older_version"}) == []
    assert rules.STEPS[-1] == "activation", "a tenant opens when all else is there"


@given(
    inviter=st.sampled_from([None, *ROLES]),
    role=st.sampled_from(ROLES),
    members=st.integers(0, 10),
    invited=st.integers(0, 10),
    limit=st.integers(0, 20) | st.none(),
)
def test_no_invitation_exceeds_the_plan_or_the_inviter(
    inviter: TenantRole | None, role: TenantRole, members: int, invited: int, limit: int | None
) -> None:
    seats = rules.Seats(members, invited, limit)
    if rules.invitation_refusal(inviter, role, is_member=False, seats=seats) is None:
        assert inviter in ("owner", "admin")
        assert role != "owner" or inviter == "owner"
        assert limit is None or members + invited < limit
    assert rules.invitation_refusal(inviter, role, is_member=True, seats=seats) is not None


@given(
    manager=st.sampled_from([None, *ROLES]),
    before=st.sampled_from(ROLES),
    after=st.sampled_from(ROLES),
    owners=st.integers(1, 3),
)
def test_no_change_of_a_role_exceeds_the_manager_or_takes_the_last_owner(
    manager: TenantRole | None, before: TenantRole, after: TenantRole, owners: int
) -> None:
    if rules.role_change_refusal(manager, before, after, owners=owners) is None:
        assert manager in ("owner", "admin")
        assert PERMISSIONS[before] | PERMISSIONS[after] <= PERMISSIONS[manager]
        assert before != "owner" or after == "owner" or owners > 1
    elif manager == "owner":
        assert (before, owners) == ("owner", 1), "an owner may do everything else"


@given(
    manager=st.sampled_from([None, *ROLES]),
    member=st.sampled_from(ROLES),
    leaving=st.booleans(),
    owners=st.integers(1, 3),
)
def test_everybody_may_leave_but_the_last_owner_and_few_may_remove(
    manager: TenantRole | None, member: TenantRole, leaving: bool, owners: int
) -> None:
    refused = rules.removal_refusal(manager, member, leaving=leaving, owners=owners) is not None
    last = member == "owner" and owners == 1
    if leaving:
        assert refused == last
    elif not refused:
        assert not last
        assert manager == "owner" or (manager == "admin" and member != "owner")


def test_taking_back_an_invitation_takes_the_right_to_make_it() -> None:
    for revoker in (None, *ROLES):
        for role in ROLES:
            assert (rules.revocation_refusal(revoker, role) is None) == may_grant(revoker, role)


@given(st.integers(-1000, 1000), st.booleans())
def test_an_invitation_is_accepted_in_time_by_the_invited_alone(seconds: int, invited: bool) -> None:
    refusal = rules.acceptance_refusal(
        "joe@example.com", NOW + timedelta(seconds=seconds), "joe@example.com" if invited else "x@example.com", NOW
    )
    assert (refusal is None) == (invited and seconds > 0)


@pytest.mark.parametrize("staff", [None, "support", "operator"])
@pytest.mark.parametrize("member", [None, *ROLES])
def test_staff_of_the_platform_never_lose_a_role_they_have(
    member: TenantRole | None, staff: PlatformRole | None
) -> None:
    role = rules.effective_role(member, staff)
    if staff == "operator":
        assert role == "owner"
    elif member is not None:
        assert role == member
    else:
        assert role == ("viewer" if staff else None)


@given(st.integers(-12_000, 35_000), st.integers(-5000, 5000))
def test_a_clock_only_moves_forward_and_stays_in_range(start_day: int, days: int) -> None:
    stands_at = NOW + timedelta(days=start_day)
    try:
        arrives = rules.checked_advance(stands_at, stands_at + timedelta(days=days))
    except Invalid:
        return
    assert stands_at <= arrives <= rules.CLOCK_LATEST
    assert arrives - stands_at <= rules.ADVANCE_MAX


def test_instants_are_kept_in_utc() -> None:
    local = datetime.fromisoformat("2027-01-31T01:00:00+01:00")
    assert rules.checked_start(local).isoformat() == "2027-01-31T00:00:00+00:00"
    with pytest.raises(Invalid):
        rules.checked_start(local.replace(tzinfo=None))


def test_only_a_subscription_that_is_paid_for_gives_its_plan() -> None:
    assert [rules.grants_plan(status) for status in ("trialing", "active", "past_due")] == [True] * 3
    assert [rules.grants_plan(status) for status in ("paused", "canceled", "unpaid")] == [False] * 3
    assert rules.grants_plan("incomplete") is None


def test_a_person_is_no_process() -> None:
    assert is_process("prog-up")
    assert not is_process(new_id("user"))
    assert not is_process(None)
