"""Forms without JavaScript: taken, refused with messages beside the fields, and safe from other sites."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from prog_edge.web.ports import StillWorking
from prog_edge.web.ui.sessions import own_path
from tests.unit.edge.web.conftest import Browse, Browser
from tests.unit.edge.web.markup import read
from tests.unit.edge.web.sample_backend import (
    PLANS,
    SUBSCRIPTION,
    TENANT,
    SampleAccount,
    SampleSessions,
    SampleSite,
    sample_services,
    sample_services_in,
)
from tests.unit.edge.web.sample_console import SampleAdmin

PASSWORD = "correct horse battery"


def fill(client: Browser, page: str, action: str, **values: str) -> Any:
    """Open a page, fill in the form that posts to `action` and send it."""
    forms = [form for form in read(client.get(page).text).all("form") if form.get("action") == action]
    assert forms, f"no form on {page} posts to {action}"
    sent = {
        field.get("name") or "": field.get("value") or ""
        for field in forms[0].all("input")
        if field.get("type") not in ("radio", "checkbox")
    }
    return client.post(action, data={**sent, **values})


def problem_at(html: str, name: str) -> str:
    found = re.search(rf'id="problem-{name}">(?:<svg.*?</svg>)?([^<]+)<', html, re.DOTALL)
    assert found, f"no message beside {name}"
    return found[1].strip()


def test_a_lead_is_taken_and_thanked(browse: Browse) -> None:
    services = sample_services()
    answer = fill(browse(None, services), "/", "/leads", email="you@company.com", name="", message="Hello")

    assert answer.headers["location"] == "/leads/thanks"
    assert isinstance(services.site, SampleSite)
    assert [email for email, _ in services.site.leads] == ["you@company.com"]
    assert services.site.leads[0][1], "the form's key goes along"


@pytest.mark.parametrize(
    ("page", "action", "field", "length"),
    [
        ("/", "/leads", "email", 254),
        ("/", "/leads", "name", 100),
        ("/", "/leads", "message", 2000),
        ("/account/sign-up", "/account/sign-up", "email", 254),
        ("/account/sign-up", "/account/sign-up", "password", 1024),
        ("/account/sign-up", "/account/sign-up", "tenant_name", 80),
        ("/account/sign-in", "/account/sign-in", "email", 254),
        ("/account/check-your-mail", "/account/check-your-mail", "email", 254),
    ],
)
def test_what_is_too_long_or_cannot_be_stored_is_refused_beside_its_field(
    browse: Browse, page: str, action: str, field: str, length: int
) -> None:
    good = {"email": "you@company.com", "password": PASSWORD, "name": "Ada"}
    services = sample_services()
    for text in ("x" * (length + 1), "a\0b"):
        answer = fill(browse(None, services), page, action, **{**good, field: text})
        assert answer.status_code == 422
        assert ("characters at most" if "\0" not in text else "cannot be stored") in problem_at(answer.text, field)
        assert "\0" not in answer.text
    assert isinstance(services.site, SampleSite)
    assert not services.site.leads


def test_a_hidden_field_that_cannot_be_stored_is_refused(browse: Browse) -> None:
    answer = fill(
        browse(), "/account/sign-in", "/account/sign-in", email="ada@example.com", password=PASSWORD, next="/a\0"
    )
    assert answer.status_code == 422


def test_a_session_is_kept_with_the_address_that_the_proxy_tells(browse: Browse) -> None:
    services = sample_services()
    client = browse(None, services)
    client.headers["X-Forwarded-For"] = "203.0.113.9"
    fill(client, "/account/sign-in", "/account/sign-in", email="ada@example.com", password=PASSWORD)
    assert isinstance(services.sessions, SampleSessions)
    assert [item.address for item in services.sessions.clients] == ["203.0.113.9"]


def test_a_refused_lead_keeps_what_was_typed(browse: Browse) -> None:
    answer = fill(browse(), "/", "/leads", email="nonsense", message="Hello there")

    assert answer.status_code == 422
    assert problem_at(answer.text, "email") == "This is not an email address."
    assert 'value="nonsense"' in answer.text
    assert "Hello there" in answer.text
    assert 'aria-invalid="true" aria-describedby="problem-email"' in answer.text


def test_signing_up_leads_to_the_mail(browse: Browse) -> None:
    services = sample_services()
    answer = fill(
        browse(None, services),
        "/account/sign-up",
        "/account/sign-up",
        name="Ada",
        email="a@b.example",
        password=PASSWORD,
    )

    assert answer.status_code == 303
    assert answer.headers["location"] == "/account/check-your-mail"
    assert isinstance(services.account, SampleAccount)
    assert services.account.registered == ["a@b.example"]


@pytest.mark.parametrize("address", ["/account/invitations/accept?token=good", "/oauth2/authorize?client_id=a&state=b"])
def test_who_signs_up_on_the_way_somewhere_gets_there(browse: Browse, address: str) -> None:
    """By the links of the pages alone: from the sign-in to the sign-up, and from the mail on in the same browser."""
    client = browse()
    sign_in = f"/account/sign-in?{urlencode({'next': address})}"
    (sign_up,) = [link for link in read(client.get(sign_in).text).all("a") if link.text == "Create an account"]
    page = sign_up.get("href") or ""
    typed = {"name": "Ada", "email": "a@b.example"}
    assert fill(client, page, "/account/sign-up", **typed, password="short-1").status_code == 422
    fill(client, page, "/account/sign-up", **typed, password=PASSWORD)
    verified = fill(client, "/account/verify?token=good", "/account/verify")
    assert verified.headers["location"] == f"/account/sign-in?next={quote(address, safe='/')}"
    assert 'prog_bound_for=""' in verified.headers["set-cookie"]


def test_who_signs_up_is_sent_to_no_other_site(browse: Browse) -> None:
    client = browse()
    typed = {"name": "Ada", "email": "a@b.example", "password": PASSWORD, "next": "//evil.example"}
    assert "set-cookie" not in fill(client, "/account/sign-up", "/account/sign-up", **typed).headers
    client.cookies.set("prog_bound_for", "//evil.example", domain="127.0.0.1")
    verified = fill(client, "/account/verify?token=good", "/account/verify")
    assert verified.headers["location"] == "/account/sign-in"


def test_a_refused_password_is_not_sent_back(browse: Browse) -> None:
    answer = fill(browse(), "/account/sign-up", "/account/sign-up", name="Ada", email="a@b.example", password="short-1")

    assert answer.status_code == 422
    assert problem_at(answer.text, "password") == "A password has 8 characters or more."
    assert "short-1" not in answer.text
    assert 'value="Ada"' in answer.text


def test_opening_the_verification_link_spends_nothing(browse: Browse) -> None:
    client = browse()

    assert client.get("/account/verify?token=good").status_code == 200
    answer = fill(client, "/account/verify?token=good", "/account/verify")
    assert answer.headers["location"] == "/account/sign-in"
    assert "Your address is verified" in client.get("/account/sign-in").text
    assert "Your address is verified" not in client.get("/account/sign-in").text


def test_a_link_that_was_opened_before_leads_on(browse: Browse) -> None:
    client = browse()
    answer = fill(client, "/account/verify?token=opened", "/account/verify")
    assert answer.headers["location"] == "/account/sign-in"
    assert "Your address is verified already." in client.get("/account/sign-in").text


def test_a_spent_link_says_so(browse: Browse) -> None:
    answer = fill(browse(), "/account/verify?token=spent", "/account/verify")

    assert answer.status_code == 422
    assert "This link has been used or is too old." in answer.text


def test_signing_in_keeps_a_cookie_that_scripts_cannot_read(browse: Browse) -> None:
    answer = fill(
        browse(), "/account/sign-in?next=/admin", "/account/sign-in", email="admin@x.example", password=PASSWORD
    )

    assert answer.headers["location"] == "/admin"
    cookie = next(value for value in answer.headers.get_list("set-cookie") if value.startswith("prog_session="))
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie


def test_a_wrong_password_says_nothing_about_the_address(browse: Browse) -> None:
    answer = fill(browse(), "/account/sign-in", "/account/sign-in", email="ada@example.com", password="wrong")

    assert answer.status_code == 422
    assert "Address and password do not go together." in answer.text


def test_an_unverified_address_is_offered_a_new_mail(browse: Browse) -> None:
    answer = fill(browse(), "/account/sign-in", "/account/sign-in", email="new@example.com", password=PASSWORD)

    assert "Send it again" in answer.text


def test_signing_out_ends_the_session(browse: Browse) -> None:
    answer = fill(browse("ada"), "/account", "/account/sign-out")

    assert answer.headers["location"] == "/account/sign-in"
    assert any(value.startswith('prog_session="";') for value in answer.headers.get_list("set-cookie"))


def test_a_tenant_is_created_and_opened(browse: Browse) -> None:
    answer = fill(browse("ada"), "/account", "/account/tenants", name="Difference Lab")

    assert answer.headers["location"] == f"/account/tenants/{TENANT}"


def test_a_taken_name_comes_back_with_the_list(browse: Browse) -> None:
    answer = fill(browse("ada"), "/account", "/account/tenants", name="taken")

    assert answer.status_code == 422
    assert problem_at(answer.text, "name") == "A tenant of yours has this name already."
    assert "Analytical Engines" in answer.text


def test_somebody_is_invited(browse: Browse) -> None:
    client = browse("ada")
    path = f"/account/tenants/{TENANT}"

    answer = fill(client, path, f"{path}/invitations", email="mary@example.com", role="member")
    assert answer.headers["location"] == path
    assert "An invitation is on its way to mary@example.com." in client.get(path).text

    unknown = fill(client, path, f"{path}/invitations", email="mary@example.com", role="emperor")
    assert problem_at(unknown.text, "role") == "Choose one of the roles."


@pytest.mark.parametrize("role", ["member", "viewer", "billing"])
def test_only_those_who_manage_people_see_the_invitation_form(browse: Browse, role: Any) -> None:
    page = browse("ada", sample_services(account=SampleAccount(role=role))).get(f"/account/tenants/{TENANT}")

    assert "/invitations" not in page.text


def test_an_invitation_is_accepted(browse: Browse) -> None:
    path = "/account/invitations/accept"
    answer = fill(browse("ada"), f"{path}?token=good", path)

    assert answer.headers["location"] == f"/account/tenants/{TENANT}"


def test_a_plan_is_chosen(browse: Browse) -> None:
    client = browse("ada", sample_services_in("empty"))
    path = f"/account/tenants/{TENANT}"
    choice = {"price_id": PLANS[0].price_id}

    taken = fill(client, f"{path}/billing", f"{path}/subscription", **choice, payment_method="pm_ok")
    assert taken.headers["location"] == f"{path}/billing"

    declined = fill(client, f"{path}/billing", f"{path}/subscription", **choice, payment_method="pm_declined")
    assert declined.status_code == 422
    assert problem_at(declined.text, "payment_method") == "The card was declined. Try another one."
    chosen = [option for option in read(declined.text).all("input") if "checked" in option.attributes]
    assert [option.get("value") for option in chosen] == [PLANS[0].price_id], "the choice is kept"


def test_a_late_subscription_says_what_happens_next(browse: Browse) -> None:
    page = browse("ada", sample_services_in("past-due")).get(f"/account/tenants/{TENANT}/billing")

    assert "We could not charge $49.00." in page.text
    assert "The card has insufficient funds." in page.text
    assert "We try again on" in page.text
    assert "Test clock" in page.text


def test_a_charge_under_way_is_waited_for(browse: Browse) -> None:
    charging = SampleAccount(subscription=replace(SUBSCRIPTION, status="incomplete"))
    page = browse("ada", sample_services(account=charging)).get(f"/account/tenants/{TENANT}/billing")

    assert "Charging your card." in page.text
    assert 'hx-trigger="every 1s"' in page.text
    assert "Choose a plan" not in page.text


def test_a_new_card_is_charged_while_the_page_looks_on(browse: Browse) -> None:
    client = browse("ada", sample_services_in("past-due"))
    path = f"/account/tenants/{TENANT}"

    answer = fill(client, f"{path}/billing", f"{path}/card", payment_method="pm_ok")

    assert answer.headers["location"] == f"{path}/billing?settling=1"
    assert 'hx-trigger="every 1s"' in client.get(answer.headers["location"]).text
    assert 'hx-trigger="every 1s"' not in client.get(f"{path}/billing").text


def test_an_invoice_is_a_pdf(browse: Browse) -> None:
    answer = browse("ada").get(f"/account/tenants/{TENANT}/invoices/invoice_1.pdf")

    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"] == 'inline; filename="PN-2026-0014.pdf"'


def test_dead_letters_are_redriven_and_dropped(browse: Browse) -> None:
    admin = SampleAdmin()
    client = browse("operator", sample_services(admin=admin))

    fill(client, "/admin/dead-letters", "/admin/dead-letters/1/redrive")
    fill(client, "/admin/dead-letters", "/admin/dead-letters/2/redrive")
    fill(client, "/admin/dead-letters", "/admin/dead-letters/2/drop")

    assert admin.redriven == ["1"]
    assert admin.dropped == ["2"]
    assert "is dropped" in client.get("/admin").text


@pytest.mark.parametrize(
    ("count", "told"),
    [(1, "1 sign-out is on the way again."), (3, "3 sign-outs are on the way"), (1000, "There are more: send again.")],
)
def test_sign_outs_that_apps_did_not_hear_of_are_sent_again(browse: Browse, count: int, told: str) -> None:
    admin = SampleAdmin(unheard_sign_outs=count)
    client = browse("operator", sample_services(admin=admin))
    assert "Send again" in client.get("/admin").text

    fill(client, "/admin", "/admin/sign-outs/resend")

    assert len(admin.resent) == 1
    page = client.get("/admin").text
    assert told in page
    assert "Send again" not in page, "there is nothing left"


def test_sign_outs_that_another_operator_has_sent_again_are_not_sent_twice(browse: Browse) -> None:
    admin = SampleAdmin(unheard_sign_outs=3, others_resend=True)
    client = browse("operator", sample_services(admin=admin))
    fill(client, "/admin", "/admin/sign-outs/resend")
    assert "There is nothing to send again." in client.get("/admin").text


def test_a_dead_letter_is_mended_and_redriven(browse: Browse) -> None:
    admin = SampleAdmin()
    client = browse("operator", sample_services(admin=admin))

    fill(client, "/admin/dead-letters", "/admin/dead-letters/1/redrive", body='{"name": "better"}')
    assert admin.bodies == ['{"name": "better"}']
    fill(client, "/admin/dead-letters", "/admin/dead-letters/1/redrive", body="no json")

    assert admin.redriven == ["1"]
    assert "breaks its schema" in client.get("/admin").text


def test_all_dead_letters_of_a_cause_are_decided_together(browse: Browse) -> None:
    admin = SampleAdmin()
    client = browse("operator", sample_services(admin=admin))
    cause = "/admin/dead-letters/causes/payments/0123456789abcdef"

    fill(client, "/admin/dead-letters", f"{cause}/redrive")
    assert "12 messages are on their way again" in client.get("/admin/dead-letters").text
    fill(client, "/admin/dead-letters", f"{cause}/drop")

    assert admin.decided == [("payments", "redrive"), ("payments", "drop")]


def test_a_replay_is_started_and_stopped(browse: Browse) -> None:
    admin = SampleAdmin()
    client = browse("operator", sample_services(admin=admin))
    running = "/admin/replays/00000000-0000-0000-0000-000000000001"
    choices = [option.get("value") for option in read(client.get("/admin/replays").text).all("option")]
    assert choices == ["users", "tenants", "payments", "email", "monitoring", "events"]

    fill(client, "/admin/replays", "/admin/replays", reason="a defect", group="events", reset="yes", skip_failing="yes")
    fill(client, "/admin/replays", f"{running}/pause")
    fill(client, "/admin/replays", f"{running}/cancel")

    assert admin.started[0]["reason"] == "a defect"
    assert (admin.started[0]["reset"], admin.started[0]["skip_failing"]) == ("yes", "yes")
    assert admin.decided == [(running.rpartition("/")[2], "pause"), (running.rpartition("/")[2], "cancel")]


def test_a_replay_that_is_refused_comes_back_with_what_was_typed(browse: Browse) -> None:
    admin = SampleAdmin()
    client = browse("operator", sample_services(admin=admin))

    answer = fill(client, "/admin/replays", "/admin/replays", reason="a defect", group="users", subject="user_1")

    assert answer.status_code == 422
    assert "Nothing of users can be replayed." in answer.text
    assert 'value="user_1"' in answer.text
    assert admin.started == []


@pytest.mark.parametrize("path", ["/admin/replays", "/admin/dead-letters/causes/payments/x/drop"])
def test_replays_and_causes_are_for_operators_with_the_form_token(path: str, browse: Browse) -> None:
    admin = SampleAdmin()
    assert browse("ada", sample_services(admin=admin)).post(path, data={"reason": "x"}).status_code == 403
    assert browse("operator", sample_services(admin=admin)).post(path, data={"reason": "x"}).status_code == 403
    assert (admin.started, admin.decided) == ([], [])


def test_work_that_goes_on_is_told_and_not_lost(browse: Browse) -> None:
    class Slow(SampleAccount):
        async def create_tenant(self, viewer: Any, *, name: str, idempotency_key: str) -> str:
            raise StillWorking("operation_1")

    client = browse("ada", sample_services(account=Slow()))
    answer = fill(client, "/account", "/account/tenants", name="Slow one")

    assert answer.headers["location"] == "/account"
    assert "It is safely stored and goes on." in client.get("/account").text


@pytest.mark.parametrize(
    ("referer", "location"),
    [
        ("http://testserver/account/tenants/x?y=1", "/account/tenants/x"),
        ("http://testserver//evil.example", "/account"),
        ("http://[", "/account"),
    ],
)
def test_who_has_to_wait_goes_back_to_where_they_were(browse: Browse, referer: str, location: str) -> None:
    class Slow(SampleAccount):
        async def resend_verification(self, *, email: str) -> None:
            raise StillWorking("operation_1")

    client = browse("ada", sample_services(account=Slow()))
    client.headers["referer"] = referer

    answer = fill(client, "/account/check-your-mail", "/account/check-your-mail", email="ada@acme.example")

    assert answer.headers["location"] == location


@pytest.mark.parametrize("token", ["", "0" * 64])
def test_a_form_without_its_token_is_refused(browse: Browse, token: str) -> None:
    services = sample_services()
    client = browse("ada", services)
    client.get("/account")

    answer = client.post(
        "/account/tenants", data={"name": "x", "csrf_token": token}, headers={"referer": "http://testserver/account"}
    )

    assert answer.status_code == 403
    assert "<h1>This form has expired</h1>" in answer.text
    assert '<a class="btn btn-primary" href="/account">Back to the form</a>' in answer.text
    assert isinstance(services.account, SampleAccount)
    assert services.account.created == []


def test_a_token_of_one_session_is_worth_nothing_in_another(browse: Browse) -> None:
    page = read(browse("operator").get("/account").text)
    token = next(field.get("value") for field in page.all("input") if field.get("name") == "csrf_token")

    assert browse("ada").post("/account/tenants", data={"name": "x", "csrf_token": token}).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"origin": "https://elsewhere.example"},
        {"origin": "null"},
        {"origin": "http://["},
    ],
)
def test_a_form_from_another_site_is_refused_whatever_its_token(browse: Browse, headers: dict[str, str]) -> None:
    client = browse("ada")
    page = read(client.get("/account").text)
    token = next(field.get("value") for field in page.all("input") if field.get("name") == "csrf_token")

    answer = client.post("/account/tenants", data={"name": "x", "csrf_token": token}, headers=headers)

    assert answer.status_code == 403
    assert "another site" in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "same-origin", "origin": "null"},
        {"sec-fetch-site": "none"},
        {"origin": "http://127.0.0.1:8000"},
    ],
)
def test_a_form_of_our_own_is_taken_whatever_way_its_browser_says_so(browse: Browse, headers: dict[str, str]) -> None:
    client = browse("ada")
    page = read(client.get("/account").text)
    token = next(field.get("value") for field in page.all("input") if field.get("name") == "csrf_token")

    answer = client.post("/account/tenants", data={"name": "x", "csrf_token": token}, headers=headers)

    assert answer.status_code == 303


@pytest.mark.parametrize(
    "address", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "", None, "/a\nb"]
)
def test_nobody_is_sent_elsewhere_after_signing_in(address: str | None) -> None:
    assert own_path(address, "/account") == "/account"


def test_own_addresses_are_kept_whole() -> None:
    assert own_path("/admin/events?domain=users", "/account") == "/admin/events?domain=users"


def test_the_theme_is_chosen_without_scripts(browse: Browse) -> None:
    client = browse()

    answer = fill(client, "/pricing", "/theme", theme="dark")

    assert answer.headers["location"] == "/pricing"
    assert 'data-theme="dark"' in client.get("/pricing").text
