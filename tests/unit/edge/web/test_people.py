"""The pages about a tenant's people, without JavaScript: who sees which button, and what it does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from prog_contracts.errors import Conflict
from prog_contracts.tenants import TenantRole, TenantStatus
from tests.unit.edge.web.conftest import Browse
from tests.unit.edge.web.markup import read
from tests.unit.edge.web.sample_backend import (
    ADA,
    GRACE,
    INVITATION,
    TENANT,
    SampleAccount,
    SampleTenancy,
    sample_services,
)
from tests.unit.edge.web.sample_configuration import SampleConfiguration
from tests.unit.edge.web.test_forms import fill, problem_at

PATH = f"/account/tenants/{TENANT}"


def actions(html: str) -> set[str]:
    return {form.get("action") or "" for form in read(html).all("form")}


def test_a_role_is_changed(browse: Browse) -> None:
    tenancy = SampleTenancy()
    client = browse("ada", sample_services(tenancy=tenancy))
    member = f"{PATH}/members/{GRACE}"

    answer = fill(client, member, f"{member}/role", role="viewer")
    assert answer.headers["location"] == PATH
    assert tenancy.done == [("role viewer", GRACE)]
    assert "The role is changed." in client.get(PATH).text

    unknown = fill(client, member, f"{member}/role", role="emperor")
    assert unknown.status_code == 422
    assert problem_at(unknown.text, "role") == "Choose one of the roles."


def test_a_tenant_is_renamed_on_its_page(browse: Browse) -> None:
    tenancy = SampleTenancy()
    client = browse("ada", sample_services(tenancy=tenancy))
    bare = fill(client, PATH, f"{PATH}/name", name="")
    assert (bare.status_code, problem_at(bare.text, "name")) == (422, "A tenant has a name.")
    answer = fill(client, PATH, f"{PATH}/name", name="Difference Engines")
    assert answer.headers["location"] == PATH
    assert tenancy.done == [("rename Difference Engines", TENANT)]
    assert "The tenant is called Difference Engines now." in client.get(PATH).text


@pytest.mark.parametrize(
    ("role", "status", "offered"),
    [("owner", "active", True), ("admin", "active", True), ("member", "active", False), ("owner", "suspended", False)],
)
def test_whoever_may_rename_a_tenant_is_offered_to(
    browse: Browse, role: TenantRole, status: TenantStatus, offered: bool
) -> None:
    client = browse("ada", sample_services(account=SampleAccount(role=role, status=status)))
    assert (f"{PATH}/name" in actions(client.get(PATH).text)) is offered


@pytest.mark.parametrize(("role", "offered"), [("owner", True), ("admin", False)])
def test_nobody_is_offered_a_role_to_invite_for_that_they_may_not_give(
    browse: Browse, role: TenantRole, offered: bool
) -> None:
    page = read(browse("ada", sample_services(account=SampleAccount(role=role))).get(PATH).text)
    assert ("owner" in {option.get("value") for option in page.all("option")}) is offered


@pytest.mark.parametrize(("role", "leads"), [("owner", True), ("billing", True), ("member", False), ("viewer", False)])
def test_no_tab_leads_where_somebody_may_not_go(browse: Browse, role: TenantRole, leads: bool) -> None:
    services = sample_services(account=SampleAccount(role=role), tenancy=SampleTenancy(role=role))
    client = browse("ada", replace(services, configuration=SampleConfiguration(role=role)))
    for page in ("", "/usage", "/settings", "/settings/versions/1", f"/members/{GRACE}"):
        assert (f'<a href="{PATH}/billing">Billing</a>' in client.get(f"{PATH}{page}").text) is leads, page


def test_a_member_is_removed_and_one_leaves(browse: Browse) -> None:
    tenancy = SampleTenancy(only_owner=False)
    client = browse("ada", sample_services(tenancy=tenancy))

    removed = fill(client, f"{PATH}/members/{GRACE}", f"{PATH}/members/{GRACE}/remove")
    assert removed.headers["location"] == PATH
    left = fill(client, f"{PATH}/members/{ADA.user_id}", f"{PATH}/members/{ADA.user_id}/remove")
    assert left.headers["location"] == "/account"
    assert tenancy.done == [("remove", GRACE), ("remove", ADA.user_id)]


def test_the_only_owner_is_told_why_they_cannot_go(browse: Browse) -> None:
    page = browse("ada").get(f"{PATH}/members/{ADA.user_id}").text
    assert "Make somebody else an owner first" in page
    assert not {action for action in actions(page) if action.startswith(PATH)}


@pytest.mark.parametrize("act", ["role", "remove"])
def test_a_refusal_comes_back_on_the_member_s_page(browse: Browse, act: str) -> None:
    """Such as when somebody else was quicker than the page."""
    refusal = Conflict("A tenant needs an owner: make somebody else an owner first.", code="last_owner")
    client = browse("ada", sample_services(tenancy=SampleTenancy(only_owner=False, refusal=refusal)))
    path = f"{PATH}/members/{ADA.user_id}"
    answer = fill(client, path, f"{path}/{act}", role="viewer")
    assert answer.status_code == 422
    assert read(answer.text).all("h1")
    assert "make somebody else an owner first" in answer.text


def test_invitations_are_sent_again_and_taken_back(browse: Browse) -> None:
    tenancy = SampleTenancy()
    client = browse("ada", sample_services(tenancy=tenancy))
    path = f"{PATH}/invitations/{INVITATION}"
    assert fill(client, PATH, f"{path}/resend").headers["location"] == PATH
    assert "A new link is on its way to mary@example.com" in client.get(PATH).text
    fill(client, PATH, f"{path}/revoke")
    assert "The invitation to mary@example.com is taken back." in client.get(PATH).text
    assert tenancy.done == [("resend", INVITATION), ("revoke", INVITATION)]


def test_an_expired_invitation_says_so(browse: Browse) -> None:
    page = browse("ada").get(PATH).text
    assert "Expired" in page
    assert "Invited as viewer, expired on" in page


@pytest.mark.parametrize(
    ("role", "manages_owner", "manages_others"),
    [("owner", True, True), ("admin", False, True), ("member", False, False), ("viewer", False, False)],
)
def test_buttons_are_there_for_those_who_may(
    browse: Browse, role: TenantRole, manages_owner: bool, manages_others: bool
) -> None:
    services = sample_services(account=SampleAccount(role=role), tenancy=SampleTenancy(role=role, only_owner=False))
    client = browse("operator", services)  # somebody who is none of the members
    page = client.get(PATH).text
    assert (f"/members/{ADA.user_id}" in page) is manages_owner
    assert (f"/members/{GRACE}" in page) is manages_others
    assert bool({action for action in actions(page) if "/invitations" in action}) is manages_others
    opened = actions(client.get(f"{PATH}/members/{ADA.user_id}").text)
    assert bool({action for action in opened if action.startswith(PATH)}) is manages_owner


@pytest.mark.parametrize(("seats", "told", "full"), [(4, "4 of 4 seats", True), (20, "4 of 20 seats", False)])
def test_the_plan_s_seats_are_shown_and_when_they_are_taken(browse: Browse, seats: int, told: str, full: bool) -> None:
    """Three members and one open invitation; the one that has expired takes no seat."""
    page = browse("ada", sample_services(account=SampleAccount(seats=seats))).get(PATH).text
    assert told in page
    assert ("All seats of the plan are taken" in page) is full
    free = browse("ada", sample_services(account=SampleAccount(seats=None))).get(PATH).text
    assert "seats" not in free
