"""Signing in at a tenant's own host with its provider, with others and with a passkey, without JavaScript."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from prog_edge.web.ports import WebServices
from tests.unit.edge.web.conftest import Browse, Browser
from tests.unit.edge.web.markup import read
from tests.unit.edge.web.sample_app import CDN_HOST, HOST
from tests.unit.edge.web.sample_backend import TENANT, SampleSessions, sample_services
from tests.unit.edge.web.sample_handover import SampleHandover
from tests.unit.edge.web.sample_identities import ACME, SampleIdentities
from tests.unit.edge.web.sample_security import BY_PASSKEY, PASSKEYS, SIGNED, SampleSecurity
from tests.unit.edge.web.test_identity_pages import departures

PLATFORM = "http://127.0.0.1:8000"
SITE = f"http://{HOST}:8000"
SIGN_IN = f"{SITE}/account/sign-in"
CALLBACK = "/v1/auth/oauth/google/callback"
ASK = f"{SITE}/account/passkey/ask"
WAYS = ("sign_in", "second_step", "step_up")


def at_host(browse: Browse, services: WebServices, who: str | None = None) -> Browser:
    """A browser that has seen the tenant's sign-in page."""
    client = browse(None, services)
    if who is not None:
        client.cookies.set("prog_session", who, domain=HOST)
    client.get(SIGN_IN)
    return client


def keyed(handover: SampleHandover) -> WebServices:
    """Whoever is signed in has passkeys, and so has whoever waits for a second step."""
    security = SampleSecurity(BY_PASSKEY, True, list(PASSKEYS))
    services = sample_services(handover=handover, security=security)
    assert isinstance(services.sessions, SampleSessions)
    services.sessions.has_passkey = True
    return services


def signed(client: Browser, page: str, credential: str = SIGNED) -> str:
    """Where the platform's page leads once a passkey has answered."""
    text = client.get(page).text
    [form] = [item for item in read(text).all("form") if item.get("data-passkey")]
    values = {item.get("name"): item.get("value") or "" for item in read(text).all("input")}
    sent = {"csrf_token": values["csrf_token"], "passkey_token": values["passkey_token"], "credential": credential}
    answer = client.post(PLATFORM + (form.get("action") or ""), data=sent)
    assert answer.status_code == 303, answer.text
    assert answer.headers["referrer-policy"] == "no-referrer"
    location: str = answer.headers["location"]
    return location


def test_the_tenant_s_own_provider_comes_first_and_the_others_with_it(browse: Browse) -> None:
    identities = SampleIdentities(own=True)
    client = at_host(browse, sample_services(identities=identities))
    found = departures(client.get(f"{SIGN_IN}?next=/account").text)
    assert [urlsplit(link).path for link in found] == [
        f"/v1/auth/oauth/{name}/start" for name in (TENANT, "google", "github")
    ]
    gone = client.get(SITE + found[0])
    assert gone.headers["location"].startswith("https://accounts.example/")
    assert identities.departed == [(TENANT, "sign_in", "/account")]
    assert "/account/sign-in/organisation" in client.get(SIGN_IN).text
    assert client.get(f"{SITE}/account/sign-in/organisation").status_code == 200


def test_where_the_name_leads_elsewhere_nothing_is_begun(browse: Browse) -> None:
    identities = SampleIdentities(own=True)
    client = browse(None, sample_services(identities=identities))
    site = f"http://{CDN_HOST}:8000"
    page = client.get(f"{site}/account/sign-in").text
    assert departures(page) == []
    assert "/account/passkey/ask" not in page
    assert f'href="{PLATFORM}/account/sign-in"' in page
    for path in ("/v1/auth/oauth/google/start", "/account/passkey/ask"):
        refused = client.get(site + path)
        assert (refused.status_code, "Go to the platform" in refused.text) == (404, True)
    assert identities.departed == []


def test_an_account_is_linked_at_the_platform_alone(browse: Browse) -> None:
    client = at_host(browse, sample_services(), "ada")
    refused = client.get(f"{SITE}/v1/auth/oauth/google/start?for=link")
    assert (refused.status_code, "Go to the platform" in refused.text) == (404, True)


def test_check_19_a_provider_s_answer_goes_on_to_the_host_once_the_person_has_seen_which_it_is(browse: Browse) -> None:
    client = browse(None, sample_services())
    client.cookies.set("prog_federation", "begun", domain="127.0.0.1")
    page = client.get(f"{PLATFORM}{CALLBACK}?code=c&state=of-a-host")
    assert page.status_code == 200
    assert "Analytical Engines" in page.text
    [onward] = [item.get("href") for item in read(page.text).all("a") if HOST in (item.get("href") or "")]
    assert onward == f"{SITE}{CALLBACK}?code=c&state=of-a-host"
    assert "prog_session" not in client.cookies, "nobody is signed in on the way"
    assert client.cookies["prog_federation"] == "begun", "what was begun here is left alone"
    assert page.headers["cache-control"] == "no-store"


def test_check_19_the_tenant_s_own_provider_s_answer_goes_on_at_once(browse: Browse) -> None:
    client = browse(None, sample_services())
    gone = client.get(f"{PLATFORM}/v1/auth/oauth/{ACME.name}/callback?code=c&state=of-a-host")
    assert (gone.status_code, gone.headers["referrer-policy"]) == (303, "no-referrer")
    assert gone.headers["location"].startswith(f"{SITE}/v1/auth/oauth/{ACME.name}/callback?")


def test_check_19_an_answer_for_a_host_that_is_the_tenant_s_no_more_goes_nowhere(browse: Browse) -> None:
    client = browse(None, sample_services())
    back = client.get(f"{PLATFORM}{CALLBACK}?code=c&state=of-a-gone-host")
    assert back.headers["location"] == "/account/sign-in?next=/account"
    assert "does not lead here any more" in client.get(PLATFORM + back.headers["location"]).text


@pytest.mark.parametrize("cookie", ["", "of-another-browser"])
def test_check_19_an_answer_signs_in_where_it_was_asked_and_in_no_other_browser(browse: Browse, cookie: str) -> None:
    client = at_host(browse, sample_services())
    client.cookies.set("prog_federation", cookie, domain=HOST)
    refused = client.get(f"{SITE}{CALLBACK}?code=c&state=of-a-host")
    assert refused.headers["location"].startswith("/account/sign-in")
    assert "prog_session" not in client.cookies
    client.cookies.set("prog_federation", "begun", domain=HOST)
    entered = client.get(f"{SITE}{CALLBACK}?code=c&state=of-a-host")
    assert entered.headers["location"] == "/account/sessions"
    assert client.cookies["prog_session"] == "ada"


def test_a_passkey_is_asked_at_the_platform_and_signs_in_at_the_host(browse: Browse) -> None:
    handover = SampleHandover()
    client = at_host(browse, keyed(handover))
    page = client.get(f"{SIGN_IN}?next=/account/x").text
    [link] = [item for item in read(page).all("a") if "passkey" in item.text]
    asked = client.get(SITE + (link.get("href") or "")).headers["location"]
    assert asked.startswith(f"{PLATFORM}/account/passkey/for-host?")
    there = client.get(asked)
    assert f"Continue to {HOST}" in there.text
    assert "Analytical Engines" in there.text
    assert f"form-action 'self' {SITE};" in there.headers["content-security-policy"]
    back = signed(client, asked)
    assert back.startswith(f"{SITE}/account/passkey/answer?")
    assert "prog_session" not in client.cookies, "nobody is signed in on the way"
    entered = client.get(back)
    assert entered.headers["location"] == "/account/x"
    assert client.cookies["prog_session"] == "ada"
    [(purpose, browser, _)] = handover.asking
    assert (purpose, len(browser)) == ("sign_in", 64)


def test_a_passkey_completes_a_sign_in_and_steps_up_at_the_host(browse: Browse) -> None:
    handover = SampleHandover()
    client = at_host(browse, keyed(handover))
    client.cookies.set("prog_second_step", "waiting-keyed", domain=HOST)
    page = client.get(f"{SITE}/account/sign-in/second-step?next=/account/x").text
    [link] = [item.get("href") or "" for item in read(page).all("a") if "Continue with a passkey" in item.text]
    assert client.get(signed(client, client.get(SITE + link).headers["location"])).headers["location"] == "/account/x"
    assert client.cookies["prog_session"] == "ada"
    assert "prog_second_step" not in client.cookies
    page = client.get(f"{SITE}/account/sign-in/again?next=/account/y").text
    [link] = [item.get("href") or "" for item in read(page).all("a") if "Continue with a passkey" in item.text]
    assert client.get(signed(client, client.get(SITE + link).headers["location"])).headers["location"] == "/account/y"
    assert [asked[0] for asked in handover.asking] == ["second_step", "step_up"]


@pytest.mark.parametrize("purpose", WAYS)
def test_an_answer_that_is_not_good_is_told_where_it_was_asked(browse: Browse, purpose: str) -> None:
    client = at_host(browse, keyed(SampleHandover()), "ada" if purpose == "step_up" else None)
    client.cookies.set("prog_second_step", "waiting-keyed", domain=HOST)
    asked = client.get(f"{ASK}?for={purpose}&next=/account/x").headers["location"]
    back = client.get(signed(client, asked, credential="{}"))
    page = {"sign_in": "sign-in", "second_step": "sign-in/second-step", "step_up": "sign-in/again"}[purpose]
    assert back.headers["location"] == f"/account/{page}?next=/account/x"
    told = client.get(SITE + back.headers["location"]).text
    assert "not good" in told


@pytest.mark.parametrize("answer", ["", "made-up", "7"])
def test_what_was_not_answered_for_this_host_signs_nobody_in(browse: Browse, answer: str) -> None:
    client = at_host(browse, keyed(SampleHandover()))
    refused = client.get(f"{SITE}/account/passkey/answer", params={"answer": answer})
    assert refused.headers["location"] == "/account/sign-in"
    assert "not begun in this browser" in client.get(SIGN_IN).text
    assert "prog_session" not in client.cookies


def test_what_no_host_has_asked_is_asked_of_nobody(browse: Browse) -> None:
    client = browse(None, keyed(SampleHandover()))
    assert client.get(f"{PLATFORM}/account/passkey/for-host?request=made-up").status_code == 404
    page = client.get(f"{PLATFORM}/account/sign-in").text
    token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
    sent = {"csrf_token": token, "passkey_token": "t", "credential": SIGNED}
    assert client.post(f"{PLATFORM}/account/passkey/for-host?request=7", data=sent).status_code == 404
    for path in ("ask", "answer?answer=0"):
        assert client.get(f"{PLATFORM}/account/passkey/{path}").status_code == 404, "at a tenant's host alone"
    gone = browse(None, keyed(SampleHandover(gone=True)))
    assert gone.get(f"{PLATFORM}/account/passkey/for-host?request=0").status_code == 403


def test_a_passkey_whose_answer_fits_in_no_address_is_told_so(browse: Browse) -> None:
    client = at_host(browse, keyed(SampleHandover()))
    asked = client.get(ASK).headers["location"]
    page = client.get(asked).text
    token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
    sent = {"csrf_token": token, "passkey_token": "t", "credential": "x" * 5000}
    refused = client.post(asked, data=sent)
    assert (refused.status_code, "too long to be handed on" in refused.text) == (422, True)


def test_whoever_has_not_seen_the_sign_in_page_begins_there(browse: Browse) -> None:
    client = browse(None, keyed(SampleHandover()))
    for purpose in WAYS:
        begun = client.get(f"{ASK}?for={purpose}&next=//evil.example")
        assert begun.headers["location"].startswith("/account/sign-in")
