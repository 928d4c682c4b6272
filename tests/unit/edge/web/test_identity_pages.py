"""The pages of sign-in through other providers, without JavaScript."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from prog_edge.problems import TooMuch
from prog_edge.web.ports import WebServices
from prog_edge.web.ports.identities import Departure
from tests.unit.edge.web.conftest import Browse
from tests.unit.edge.web.markup import read
from tests.unit.edge.web.sample_backend import sample_services
from tests.unit.edge.web.sample_identities import ACME, KEPT, LINKED, SampleIdentities
from tests.unit.edge.web.sample_security import SampleSecurity
from tests.unit.edge.web.test_forms import PASSWORD, fill

SECURITY = "/account/security"
UNLINK = f"{SECURITY}/identities/unlink"
CALLBACK = "/v1/auth/oauth/google/callback"


def backed(identities: SampleIdentities) -> WebServices:
    return sample_services(identities=identities)


def departures(html: str) -> list[str]:
    links = [item.get("href") or "" for item in read(html).all("a")]
    return [link for link in links if link.startswith("/v1/auth/oauth/")]


@pytest.mark.parametrize("page", ["/account/sign-in?next=/account/sessions", "/account/sign-up"])
def test_sign_in_and_sign_up_lead_to_the_providers(browse: Browse, page: str) -> None:
    identities = SampleIdentities()
    client = browse(None, backed(identities))
    html = client.get(page).text
    assert html.count('class="or"') == 1
    google, github = departures(html)
    assert (urlsplit(google).path, urlsplit(github).path) == (
        "/v1/auth/oauth/google/start",
        "/v1/auth/oauth/github/start",
    )
    gone = client.get(google)
    assert (gone.status_code, gone.headers["location"]) == (303, "https://accounts.example/authorize?state=s")
    assert "prog_federation=begun; HttpOnly; Max-Age=600; Path=/; SameSite=lax" in gone.headers["set-cookie"]
    wanted = "/account/sessions" if "next" in page else "/account"
    assert identities.departed == [("google", "sign_in", wanted)]


@pytest.mark.parametrize(
    ("site", "goes"), [("same-origin", True), ("none", True), ("same-site", False), ("cross-site", False)]
)
def test_check_19_another_site_has_nobody_sign_in_with_a_provider_of_its_choice(
    browse: Browse, site: str, goes: bool
) -> None:
    """It could sign people in as somebody else, and out of their own session: its own provider says who they are."""
    identities = SampleIdentities()
    client = browse(None, backed(identities))
    headers = {"Sec-Fetch-Site": site}
    gone = client.get(f"/v1/auth/oauth/{ACME.name}/start?next=/account/sessions", headers=headers)
    assert bool(identities.departed) == goes
    if not goes:
        assert gone.headers["location"] == "/account/sign-in?next=/account/sessions"
        assert "prog_federation" not in client.cookies
        assert "Another site has sent you here" in client.get(gone.headers["location"]).text


def test_whoever_has_asked_too_often_is_told_so_and_when_to_try_again(browse: Browse) -> None:
    class Refusing(SampleIdentities):
        async def depart(self, *_: Any) -> Departure:
            raise TooMuch("That was often.", code="rate_limited", retry_after_seconds=7)

    answer = browse(None, backed(Refusing())).get("/v1/auth/oauth/google/start")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")


@pytest.mark.parametrize("address", ["https://evil.example", "//evil.example", "/\\evil.example"])
def test_nobody_is_sent_elsewhere_afterwards(browse: Browse, address: str) -> None:
    identities = SampleIdentities()
    browse(None, backed(identities)).get("/v1/auth/oauth/google/start", params={"next": address})
    assert identities.departed == [("google", "sign_in", "/account")]


def test_who_comes_back_is_where_they_wanted_to_go(browse: Browse) -> None:
    client = browse()
    client.cookies.set("prog_federation", "begun", domain="127.0.0.1")
    back = client.get(f"{CALLBACK}?code=c&state=s")
    assert (back.status_code, back.headers["location"]) == (303, "/account/sessions")
    assert client.cookies["prog_session"] == "ada"
    assert "prog_federation" not in client.cookies


@pytest.mark.parametrize(
    ("cookie", "query", "told"),
    [("begun", "error=access_denied", "You did not sign in there"), ("", "code=c", "not begun in this browser")],
)
def test_who_comes_back_with_nothing_is_told_why(browse: Browse, cookie: str, query: str, told: str) -> None:
    client = browse()
    client.cookies.set("prog_federation", cookie, domain="127.0.0.1")
    back = client.get(f"{CALLBACK}?state=s&{query}")
    assert back.headers["location"].startswith("/account/sign-in?next=/account")
    assert told in client.get(back.headers["location"]).text
    assert "prog_session" not in client.cookies


def test_an_account_with_the_address_is_proven_first(browse: Browse) -> None:
    client = browse()
    client.cookies.set("prog_federation", "begun", domain="127.0.0.1")
    back = client.get(f"{CALLBACK}?code=known-address&state=s")
    prove = back.headers["location"]
    assert (prove, client.cookies["prog_federation"]) == ("/account/sign-in/prove", KEPT.value)
    wrong = fill(client, prove, prove, password="guess")
    assert wrong.status_code == 422
    assert "prog_session" not in client.cookies
    right = fill(client, prove, prove, password=PASSWORD)
    assert right.headers["location"] == "/account"
    assert client.cookies["prog_session"] == "ada"
    assert "prog_federation" not in client.cookies
    assert client.get(prove).headers["location"] == "/account/sign-in"


def test_the_security_page_lists_and_unlinks_and_leads_to_others(browse: Browse) -> None:
    identities = SampleIdentities()
    client = browse("ada", backed(identities))
    page = client.get(SECURITY).text
    assert "ada@example.com" in page
    [github] = departures(page)
    query = dict(parse_qsl(urlsplit(github).query))
    assert (urlsplit(github).path, query["for"]) == ("/v1/auth/oauth/github/start", "link")
    assert client.get(github).headers["location"].startswith("https://accounts.example/")
    assert identities.departed == [("github", "link", "/account")]
    assert fill(client, SECURITY, UNLINK, identity_id=LINKED.id).headers["location"] == SECURITY
    assert "Unlink" not in client.get(SECURITY).text.replace("Unlinked", "")


def test_another_site_makes_nobody_link(browse: Browse) -> None:
    identities = SampleIdentities()
    client = browse("ada", sample_services(identities=identities, security=SampleSecurity()))
    step_up = dict(parse_qsl(urlsplit(departures(client.get("/account/sign-in/again?next=/account").text)[0]).query))
    for token in ("", "made-up", step_up["token"]):
        answer = client.get("/v1/auth/oauth/google/start", params={"for": "link", "token": token})
        assert answer.status_code == 403
    assert identities.departed == []
    anonymous = browse(None, backed(identities))
    assert anonymous.get("/v1/auth/oauth/google/start?for=link").headers["location"].startswith("/account/sign-in?")


def test_the_only_way_in_stays(browse: Browse) -> None:
    client = browse("ada", backed(SampleIdentities(password=False)))
    refused = fill(client, SECURITY, UNLINK, identity_id=LINKED.id)
    assert refused.status_code == 422
    assert "your only way in" in refused.text


def test_unlinking_asks_for_a_fresh_sign_in(browse: Browse) -> None:
    client = browse("ada", backed(SampleIdentities(fresh=False)))
    asked = fill(client, SECURITY, UNLINK, identity_id=LINKED.id)
    assert asked.headers["location"] == f"/account/sign-in/again?next={SECURITY}"


def test_who_has_no_password_signs_in_again_with_a_linked_account_and_sets_one(browse: Browse) -> None:
    services = sample_services(identities=SampleIdentities(password=False), security=SampleSecurity())
    client = browse("ada", services)
    again = client.get(f"/account/sign-in/again?next={SECURITY}").text
    [google] = departures(again)
    query = dict(parse_qsl(urlsplit(google).query))
    assert (query["for"], query["next"]) == ("step_up", SECURITY)
    assert not [item for item in read(again).all("input") if item.get("name") == "password"]
    page = read(client.get(SECURITY).text)
    names = {item.get("name") for item in page.all("input")}
    assert "password" in names
    assert "current_password" not in names


ORGANISATION = "/account/sign-in/organisation"


def test_an_address_leads_to_its_organisation_whoever_has_an_account(browse: Browse) -> None:
    client = browse()
    [link] = [
        item
        for item in read(client.get("/account/sign-in?next=/account/sessions").text).all("a")
        if "organisation" in item.text
    ]
    page = link.get("href") or ""
    assert page == f"{ORGANISATION}?next=/account/sessions"
    found = fill(client, page, ORGANISATION, email="Anybody@ACME.example")
    [departure] = departures(found.text)
    query = dict(parse_qsl(urlsplit(departure).query))
    assert (query["next"], query["hint"].lower()) == ("/account/sessions", "anybody@acme.example")
    assert client.get(departure).headers["location"].startswith("https://accounts.example/")
    other = fill(client, page, ORGANISATION, email="anybody@example.com")
    assert (other.status_code, departures(other.text)) == (422, [])
    assert "No organisation signs on" in other.text
    assert fill(client, page, ORGANISATION, email="nobody").status_code == 422
