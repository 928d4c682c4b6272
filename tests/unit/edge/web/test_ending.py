"""Deleting, restoring, suspending and resuming a tenant on the pages, without JavaScript."""

from __future__ import annotations

import re

import pytest

from prog_contracts.errors import Denied, Unavailable
from prog_contracts.tenants import TenantRole, TenantStatus
from tests.unit.edge.web.conftest import Browse
from tests.unit.edge.web.sample_backend import ADA, GRACE, TENANT, SampleAccount, SampleTenancy, sample_services
from tests.unit.edge.web.test_forms import fill, problem_at
from tests.unit.edge.web.test_people import actions

PATH = f"/account/tenants/{TENANT}"
CONSOLE = f"/admin/tenants/{TENANT}"


def test_a_tenant_is_deleted_by_typing_its_short_name(browse: Browse) -> None:
    tenancy = SampleTenancy()
    client = browse("ada", sample_services(tenancy=tenancy))
    wrong = fill(client, f"{PATH}/delete", f"{PATH}/delete", short_name="another")
    assert wrong.status_code == 422
    assert problem_at(wrong.text, "short_name") == "Type analytical-engines to delete this tenant."
    assert tenancy.done == []
    answer = fill(client, f"{PATH}/delete", f"{PATH}/delete", short_name="analytical-engines")
    assert answer.headers["location"] == PATH
    assert tenancy.done == [("delete", TENANT)]
    assert re.search(
        r"The tenant is deleted on \d+ \w+ 20\d\d\. Until then you can restore it\.", client.get(PATH).text
    )


def test_deleting_asks_for_a_fresh_sign_in_and_comes_back(browse: Browse) -> None:
    tenancy = SampleTenancy(refusal=Denied("Sign in again first.", code="fresh_sign_in_required"))
    client = browse("ada", sample_services(tenancy=tenancy))
    answer = fill(client, f"{PATH}/delete", f"{PATH}/delete", short_name="analytical-engines")
    assert answer.headers["location"] == f"/account/sign-in/again?next={PATH}/delete"


def test_a_page_about_an_error_of_ours_names_what_the_logs_have_it_under(browse: Browse) -> None:
    tenancy = SampleTenancy(refusal=Unavailable("Nothing answers at the moment."))
    client = browse("ada", sample_services(tenancy=tenancy))
    answer = fill(client, f"{PATH}/delete", f"{PATH}/delete", short_name="analytical-engines")
    assert answer.status_code == 503
    assert re.search(r'trace id .*data-copy="[0-9a-f]{32}"', answer.text)
    assert "trace id" not in client.get("/account/nowhere").text


@pytest.mark.parametrize("role", ["admin", "billing", "member", "viewer"])
def test_owners_alone_are_offered_to_delete(browse: Browse, role: TenantRole) -> None:
    client = browse("ada", sample_services(account=SampleAccount(role=role)))
    assert f"{PATH}/delete" not in client.get(PATH).text
    assert client.get(f"{PATH}/delete").status_code == 403


def test_a_deletion_is_taken_back(browse: Browse) -> None:
    tenancy = SampleTenancy()
    client = browse("ada", sample_services(account=SampleAccount(status="deleting"), tenancy=tenancy))
    page = client.get(PATH).text
    assert "This tenant is deleted on" in page
    assert f"{PATH}/delete" not in page
    assert fill(client, PATH, f"{PATH}/restore").headers["location"] == PATH
    assert tenancy.done == [("restore", TENANT)]


@pytest.mark.parametrize("status", ["suspended", "deleting"])
def test_what_the_status_does_not_allow_has_no_button(browse: Browse, status: TenantStatus) -> None:
    page = browse("ada", sample_services(account=SampleAccount(status=status))).get(PATH).text
    assert not {action for action in actions(page) if "/invitations" in action}
    assert f"/members/{GRACE}" not in page
    assert f"/members/{ADA.user_id}" in page, "one may leave in any state"
    if status == "suspended":
        assert "Three invoices are unpaid." in page


def test_an_operator_suspends_with_a_reason_and_resumes(browse: Browse) -> None:
    tenancy = SampleTenancy()
    client = browse("operator", sample_services(tenancy=tenancy))
    silent = fill(client, CONSOLE, f"{CONSOLE}/suspend", reason="")
    assert problem_at(silent.text, "reason") == "Say why, in 500 characters at most."
    assert fill(client, CONSOLE, f"{CONSOLE}/suspend", reason="Unpaid").headers["location"] == CONSOLE
    tenancy.status = "suspended"
    assert "Three invoices are unpaid." in client.get(CONSOLE).text
    fill(client, CONSOLE, f"{CONSOLE}/resume")
    assert tenancy.done == [("suspend Unpaid", TENANT), ("resume", TENANT)]


def test_the_console_s_page_is_closed_to_others(browse: Browse) -> None:
    assert browse("ada").get(CONSOLE).status_code == 403
