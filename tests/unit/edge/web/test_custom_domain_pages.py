"""The page of a tenant's custom domains, and the pages at one, without JavaScript."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest
from fastapi.routing import APIRoute

from prog_edge.web.mount import ROUTERS
from prog_edge.web.ui.own_host import FOR_MEMBERS, WAY_IN
from tests.unit.edge.web.conftest import Browse, Browser
from tests.unit.edge.web.sample_app import HOST
from tests.unit.edge.web.sample_backend import TENANT, sample_services
from tests.unit.edge.web.sample_configuration import SampleBranding
from tests.unit.edge.web.sample_custom_domains import ACTIVE, GONE, PENDING, PROVEN, SampleCustomDomains
from tests.unit.edge.web.test_forms import fill, problem_at

PAGE = f"/account/tenants/{TENANT}/custom-domains"
PASSWORD = "correct horse battery"
SITE = f"http://{HOST}:8000"


def test_the_page_shows_states_records_and_what_was_seen_instead(browse: Browse) -> None:
    page = browse("ada").get(PAGE).text
    for each in (PENDING, PROVEN, GONE):
        assert each.record in page
        assert each.value in page
    assert ACTIVE.value not in page, "what is active needs no record any more"
    assert f'href="{ACTIVE.url}/account/sign-in"' in page
    assert "The TXT record says something else. Set the value below." in page
    assert "&lt;b&gt;v=spf1 -all&lt;/b&gt;" in page
    assert "acme.pages.example" in page
    assert "Your plan allows 5, and 4 are used." in page


def test_a_domain_is_claimed_checked_and_released(browse: Browse) -> None:
    domains = SampleCustomDomains()
    client = browse("ada", sample_services(custom_domains=domains))
    wrong = fill(client, PAGE, PAGE, domain="nonsense")
    assert problem_at(wrong.text, "domain") == "Enter a name such as accounts.example.com."
    assert fill(client, PAGE, PAGE, domain="new.acme.example").headers["location"] == PAGE
    missing = fill(client, PAGE, f"{PAGE}/check", domain=PENDING.domain)
    assert (missing.status_code, "The record says something else." in missing.text) == (422, True)
    assert fill(client, PAGE, f"{PAGE}/check", domain=ACTIVE.domain).headers["location"] == PAGE
    assert "is active: your pages answer there" in client.get(PAGE).text
    assert fill(client, PAGE, f"{PAGE}/release", domain=ACTIVE.domain).headers["location"] == PAGE
    assert domains.changes == [("claim", "new.acme.example"), ("release", ACTIVE.domain)]


@pytest.mark.parametrize("action", ["", "/check", "/release"])
def test_each_change_asks_for_a_fresh_sign_in(browse: Browse, action: str) -> None:
    client = browse("ada", sample_services(custom_domains=SampleCustomDomains(fresh=False)))
    asked = fill(client, PAGE, f"{PAGE}{action}", domain=ACTIVE.domain)
    assert asked.headers["location"] == f"/account/sign-in/again?next={PAGE}"


def sign_in(client: Browser, next_address: str = "") -> httpx.Response:
    """At the tenant's own host."""
    page = client.get(f"{SITE}/account/sign-in", params={"next": next_address}).text
    token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
    form = {"csrf_token": token, "email": "ada@example.com", "password": PASSWORD, "next": next_address}
    return client.post(f"{SITE}/account/sign-in", data=form)


def signed_in(browse: Browse, branding: SampleBranding | None = None) -> Browser:
    """At the tenant's own host."""
    client = browse(None, replace(sample_services(), branding=branding or SampleBranding()))
    answer = sign_in(client)
    assert answer.status_code == 303, answer.text
    return client


def test_people_sign_in_at_the_tenant_s_host_and_see_its_looks(browse: Browse) -> None:
    client = browse(None, sample_services())
    page = client.get(f"{SITE}/account/sign-in").text
    assert "Analytical Engines" in page
    assert "ProgNetwork" not in page
    assert f"/brand/{TENANT}/" in page
    assert "data-passkey" not in page
    assert "Create an account" not in page
    answer = sign_in(client)
    assert answer.headers["location"] == "/account"
    assert client.get(f"{SITE}/account").headers["location"] == f"/account/tenants/{TENANT}"
    home = client.get(f"{SITE}/account/tenants/{TENANT}")
    assert home.status_code == 200
    assert "http://127.0.0.1:8000/account" in home.text, "what is the person's own is at the platform"
    for path in ("security", f"tenants/{TENANT}/keys", f"tenants/{TENANT}/custom-domains", f"tenants/{TENANT}/delete"):
        assert f'href="/account/{path}"' not in home.text, "what is not there is not offered there"
    assert f'href="/account/tenants/{TENANT}/billing"' in home.text


def test_a_session_of_one_host_is_none_at_another(browse: Browse) -> None:
    client = signed_in(browse)
    assert client.get("http://127.0.0.1:8000/account").headers["location"].startswith("/account/sign-in")


def test_whoever_is_no_member_is_refused_and_may_sign_in_as_somebody_else(browse: Browse) -> None:
    client = signed_in(browse, branding=SampleBranding(strangers=("Ada Lovelace",)))
    for path in ("/account", f"/account/tenants/{TENANT}", "/account/sign-in/again"):
        refused = client.get(f"{SITE}{path}")
        assert refused.status_code == 403
        assert "no member of the team" in refused.text
        assert "Sign in as somebody else" in refused.text
    assert client.get(f"{SITE}/account/invitations/accept?token=good").status_code == 200


def test_another_tenant_is_not_there(browse: Browse) -> None:
    client = signed_in(browse)
    other = TENANT[:-1] + ("a" if TENANT[-1] != "a" else "b")
    assert client.get(f"{SITE}/account/tenants/{other}").status_code == 404


def test_every_page_that_is_not_listed_is_at_the_platform_alone(browse: Browse) -> None:
    """Also one that comes later: whoever adds it decides."""
    client = signed_in(browse)
    pages = {
        (method, route.path)
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute) and route.path.startswith(("/account", "/v1/auth/oauth/"))
        for method in route.methods or ()
    }
    assert {page for page in FOR_MEMBERS | WAY_IN if page[1] != "/theme"} <= pages, "what is listed is there"
    for method, path in pages - FOR_MEMBERS - WAY_IN:
        address = SITE + path.replace("{tenant_id}", TENANT).replace("{", "").replace("}", "")
        token = client.get(f"{SITE}/account/tenants/{TENANT}").text.partition('name="csrf_token" value="')[2][:64]
        answer = client.get(address) if method == "GET" else client.post(address, data={"csrf_token": token})
        assert answer.status_code == 404, (method, path)
        assert "Go to the platform" in answer.text, (method, path)
        assert 'href="http://127.0.0.1:8000/account' in answer.text


def test_a_form_of_one_host_is_not_taken_at_another(browse: Browse) -> None:
    client = browse(None, sample_services())
    page = client.get("http://127.0.0.1:8000/account/sign-in").text
    token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
    visitor = client.cookies["prog_visitor"]
    sent = client.post(
        f"{SITE}/account/sign-in",
        data={"csrf_token": token, "email": "ada@example.com", "password": PASSWORD},
        headers={"Cookie": f"prog_visitor={visitor}"},
    )
    assert (sent.status_code, "expired" in sent.text) == (403, True)


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8000", "http://evil.example", "null"])
def test_a_form_from_another_origin_is_not_taken(browse: Browse, origin: str) -> None:
    client = browse(None, sample_services())
    page = client.get(f"{SITE}/account/sign-in").text
    token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
    sent = client.post(
        f"{SITE}/account/sign-in",
        data={"csrf_token": token, "email": "ada@example.com", "password": PASSWORD},
        headers={"Origin": origin},
    )
    assert (sent.status_code, "another site" in sent.text) == (403, True)


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:8000/account", "//evil.example", "/\\evil.example", "javascript:1"]
)
def test_nobody_is_led_away_from_the_host(browse: Browse, address: str) -> None:
    client = browse(None, sample_services())
    assert sign_in(client, address).headers["location"] == "/account"


def test_an_invitation_to_another_tenant_is_not_accepted_there(browse: Browse) -> None:
    client = signed_in(browse, SampleBranding(strangers=("Ada Lovelace",)))
    page = client.get(f"{SITE}/account/invitations/accept?token=good").text
    token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
    sent = client.post(f"{SITE}/account/invitations/accept", data={"csrf_token": token, "token": "good"})
    assert (sent.status_code, "not to the team whose pages are here" in sent.text) == (422, True)


def test_accounts_are_made_there_with_an_invitation_alone(browse: Browse) -> None:
    client = browse(None, sample_services())
    assert client.get(f"{SITE}/account/sign-up").status_code == 403
    assert client.get(f"{SITE}/account/sign-up?invitation=made-up").status_code == 403
