"""The console's page of one person, and the reset of their second factors."""

from __future__ import annotations

import pytest

from tests.unit.edge.web.conftest import Browse
from tests.unit.edge.web.sample_backend import GRACE, OPERATOR, sample_services, sample_services_in
from tests.unit.edge.web.sample_console import sample_id
from tests.unit.edge.web.sample_security import FACTOR, PASSKEYS, SampleSecurity
from tests.unit.edge.web.test_forms import fill, problem_at

PAGE = f"/admin/users/{GRACE}"
RESET = f"{PAGE}/reset-second-factor"


def test_a_row_of_the_list_opens_the_person_and_the_page_their_story(browse: Browse) -> None:
    client = browse("operator")
    assert f'class="row-link person-cell" href="{PAGE}"' in client.get("/admin/users").text
    assert f'href="/admin/story/{GRACE}"' in client.get(PAGE).text


def test_the_page_names_the_person_s_tenants_and_leads_to_them(browse: Browse) -> None:
    page = browse("operator").get(PAGE).text
    for number, name in ((7, "Analytical Engines"), (8, "Cambridge Looms")):
        assert f'href="/admin/tenants/{sample_id("tenant", number)}">{name}</a>' in page


def test_the_name_of_a_tenant_opens_the_tenant_in_every_list(browse: Browse) -> None:
    client = browse("operator")
    for path in ("/admin/invoices", "/admin/messages", "/admin/audit"):
        assert 'class="cell-link" href="/admin/tenants/tenant_' in client.get(path).text


@pytest.mark.parametrize(
    ("path", "offered"),
    [("/admin/tenants", "/account"), ("/admin/users", "/account/sign-up"), ("/admin/users?search=zz", "/admin/users")],
)
def test_an_empty_list_offers_what_to_do_about_it(browse: Browse, path: str, offered: str) -> None:
    page = browse("operator", sample_services_in("empty")).get(path).text
    assert f'<div class="empty-action"><a class="btn btn-quiet btn-small" href="{offered}">' in page


def test_an_operator_resets_the_second_factors_of_somebody_with_a_reason(browse: Browse) -> None:
    security = SampleSecurity(FACTOR, kept=list(PASSKEYS))
    client = browse("operator", sample_services(security=security))
    assert "grace@example.com" in client.get(PAGE).text
    silent = fill(client, PAGE, RESET, reason="")
    assert (silent.status_code, problem_at(silent.text, "reason")) == (
        422,
        "Say why, in 500 characters at most: it is recorded.",
    )
    done = fill(client, PAGE, RESET, reason="Lost the phone; knew the last invoice.")
    assert done.headers["location"] == PAGE
    assert security.changed == [f"{GRACE}: Lost the phone; knew the last invoice."]
    assert RESET not in client.get(PAGE).text, "there is nothing left to reset"


def test_a_reset_asks_for_a_fresh_sign_in_and_comes_back(browse: Browse) -> None:
    security = SampleSecurity(FACTOR, fresh=False)
    client = browse("operator", sample_services(security=security))
    asked = fill(client, PAGE, RESET, reason="Lost the phone.")
    assert asked.headers["location"] == f"/account/sign-in/again?next={PAGE}"
    assert security.changed == []


def test_nobody_resets_their_own_and_nobody_but_operators_sees_the_page(browse: Browse) -> None:
    assert "reset-second-factor" not in browse("operator").get(f"/admin/users/{OPERATOR.user_id}").text
    assert browse("operator").get(f"/admin/users/{sample_id('user', 404)}").status_code == 404
    member = browse("ada")
    assert member.get(PAGE).status_code == 403
    token = member.get("/account").text.partition('name="csrf_token" value="')[2].partition('"')[0]
    assert member.post(RESET, data={"csrf_token": token, "reason": "Mine"}).status_code == 403
    assert browse().get(PAGE).headers["location"].startswith("/account/sign-in")
