"""Pages of the OpenID provider, without JavaScript: consent, connected apps, and a tenant's clients."""

from __future__ import annotations

from urllib.parse import quote, urlencode

import pytest

from prog_contracts.errors import Invalid
from prog_contracts.permissions import SCOPES
from tests.unit.edge.web.conftest import Browse
from tests.unit.edge.web.markup import read
from tests.unit.edge.web.sample_backend import TENANT, sample_services
from tests.unit.edge.web.sample_provider import (
    BACK,
    CLIENT,
    OUT,
    PUBLIC_ID,
    SECRET,
    SampleClients,
    SampleProvider,
)
from tests.unit.edge.web.test_forms import fill, problem_at

PATH = f"/account/tenants/{TENANT}/clients"
ASK = f"/oauth2/authorize?{urlencode({'client_id': PUBLIC_ID, 'state': 'a&b'})}"


def test_consent_says_who_asks_for_what_and_where_it_leads(browse: Browse) -> None:
    answer = browse("ada").get(ASK)
    assert answer.status_code == 200
    for text in ("Sign in to Shop", "Analytical Engines", "shop.example", "See your name", "while you are away"):
        assert text in answer.text
    assert "form-action 'self' https://shop.example;" in answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(("decision", "agrees"), [("allow", True), ("deny", False), ("", False)])
def test_a_decision_goes_with_the_whole_request(browse: Browse, decision: str, agrees: bool) -> None:
    provider = SampleProvider()
    client = browse("ada", sample_services(provider=provider))
    answer = fill(client, ASK, "/oauth2/consent", request=ASK.partition("?")[2], decision=decision)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(BACK)
    assert provider.done == [("answer", (ASK.partition("?")[2], agrees))]


def test_the_page_s_own_form_holds_the_request(browse: Browse) -> None:
    fields = {field.get("name"): field.get("value") for field in read(browse("ada").get(ASK).text).all("input")}
    assert fields["request"] == ASK.partition("?")[2]


def test_signing_out_for_an_app_is_asked_unless_it_means_this_session(browse: Browse) -> None:
    asked = f"/oauth2/logout?{urlencode({'client_id': PUBLIC_ID})}"
    client = browse("ada")
    page = client.get(asked)
    assert "Shop</strong> asks for you to be signed out" in page.text
    assert "form-action 'self' https://shop.example;" in page.headers["content-security-policy"]
    assert fill(client, asked, "/oauth2/logout/confirm", decision="stay").headers["location"] == "/account"
    assert client.get("/account").status_code == 200
    answer = fill(client, asked, "/oauth2/logout/confirm", decision="sign_out")
    assert answer.headers["location"] == OUT
    assert 'prog_session=""' in answer.headers["set-cookie"]
    assert browse("ada").get(f"{asked}&hint=1").headers["location"] == OUT
    assert browse(None).get(asked).headers["location"] == OUT, "who is signed out goes on"
    for address in ("/oauth2/logout", "/oauth2/logout?hint=1"):
        assert browse(None).get(address).headers["location"] == "/account/sign-in"
    refused = browse("ada").get("/oauth2/logout?client_id=other")
    assert (refused.status_code, refused.headers.get("location")) == (422, None)
    assert browse("ada").post("/oauth2/logout/confirm", data={"decision": "sign_out"}).status_code == 403


def test_a_decision_from_another_site_is_refused(browse: Browse) -> None:
    form = {"request": ASK.partition("?")[2], "decision": "allow"}
    assert browse("ada").post("/oauth2/consent", data=form).status_code == 403


def test_a_stranger_signs_in_first_and_comes_back(browse: Browse) -> None:
    client = browse(None)
    answer = client.get(ASK)
    assert answer.headers["location"] == f"/account/sign-in?next={quote(ASK, safe='/')}"
    page = client.get(answer.headers["location"])
    assert "form-action 'self' https://shop.example;" in page.headers["content-security-policy"]
    elsewhere = client.get("/account/sign-in?next=/account/apps")
    assert "form-action 'self';" in elsewhere.headers["content-security-policy"]


def test_another_account_is_a_click_away(browse: Browse) -> None:
    client = browse("ada")
    answer = fill(client, ASK, "/account/sign-out", next=ASK)
    assert answer.headers["location"] == f"/account/sign-in?next={quote(ASK, safe='/')}"


def test_what_was_agreed_before_is_said(browse: Browse) -> None:
    assert browse("ada").get(f"{ASK}&more=1").text.count("as before") == 2


def test_an_unknown_client_is_an_error_page_and_no_redirect(browse: Browse) -> None:
    answer = browse("ada").get("/oauth2/authorize?client_id=none&redirect_uri=https%3A%2F%2Fevil.example")
    assert answer.status_code == 422
    assert "location" not in answer.headers
    assert "https://evil.example" not in answer.text


def test_apps_are_listed_and_disconnected(browse: Browse) -> None:
    provider = SampleProvider()
    client = browse("ada", sample_services(provider=provider))
    assert "Know that it is you, see your name" in client.get("/account/apps").text
    assert fill(client, "/account/apps", "/account/apps/disconnect", client_id=CLIENT).status_code == 303
    assert provider.done == [("disconnect", CLIENT)]
    assert "Shop is disconnected." in client.get("/account/apps").text
    fill(client, "/account/apps", "/account/apps/disconnect", client_id="client_none")
    assert "This app has nothing of you." in client.get("/account/apps").text
    empty = browse("ada", sample_services(provider=SampleProvider(empty=True))).get("/account/apps")
    assert "No apps yet" in empty.text


def test_a_client_with_a_secret_is_registered_and_the_secret_shown_once(browse: Browse) -> None:
    clients = SampleClients()
    client = browse("ada", sample_services(clients=clients))
    boxes = {"scope:email": "yes", "scope:offline_access": "yes", "scope:event.read": "yes"}
    answer = fill(client, PATH, PATH, name="Shop", kind="web", redirect_uris=f"{BACK}\r\n\r\n {BACK}2 ", **boxes)
    assert answer.status_code == 200
    assert SECRET in answer.text
    assert PUBLIC_ID in answer.text
    assert SECRET not in client.get(PATH).text
    [(what, wish)] = clients.done
    assert what == "register"
    assert wish == {
        "name": "Shop",
        "confidential": True,
        "redirect_uris": [BACK, f"{BACK}2"],
        "post_logout_redirect_uris": [],
        "backchannel_logout_uri": "",
        "grants": ["client_credentials", "authorization_code", "refresh_token"],
        "scopes": ["openid", "email", "offline_access", "event.read"],
    }


@pytest.mark.parametrize(
    ("kind", "boxes", "grants", "scopes", "confidential"),
    [
        ("app", {"scope:profile": "yes"}, ["authorization_code"], ["openid", "profile"], False),
        ("machine", {"scope:event.read": "yes"}, ["client_credentials"], ["event.read"], True),
        ("machine", {"scope:email": "yes"}, ["client_credentials"], [], True),
    ],
)
def test_what_a_client_is_for_says_how_it_gets_tokens(
    browse: Browse, kind: str, boxes: dict[str, str], grants: list[str], scopes: list[str], confidential: bool
) -> None:
    clients = SampleClients()
    fill(browse("ada", sample_services(clients=clients)), PATH, PATH, name="X", kind=kind, redirect_uris=BACK, **boxes)
    [(_, wish)] = clients.done
    assert (wish["grants"], wish["scopes"], wish["confidential"]) == (grants, scopes, confidential)
    assert wish["redirect_uris"] == ([] if kind == "machine" else [BACK])


def test_a_refused_client_comes_back_with_what_was_typed(browse: Browse) -> None:
    refusal = Invalid.field("redirect_uris", "invalid_uri", "Use https.")
    client = browse("ada", sample_services(clients=SampleClients(refusal=refusal)))
    answer = fill(
        client, PATH, PATH, name="Shop", kind="web", redirect_uris="http://x.example", **{"scope:email": "yes"}
    )
    assert answer.status_code == 422
    assert problem_at(answer.text, "redirect_uris") == "Use https."
    assert "http://x.example</textarea>" in answer.text
    assert 'name="scope:email" value="yes" checked' in answer.text
    odd = fill(browse("ada"), PATH, PATH, name="Shop", kind="spaceship")
    assert problem_at(odd.text, "kind") == "Choose one of these."
    about_scopes = Invalid.field("scopes", "api_scopes", "Scopes of the API go with client_credentials.")
    told = fill(browse("ada", sample_services(clients=SampleClients(refusal=about_scopes))), PATH, PATH, kind="web")
    assert "Scopes of the API go with client_credentials." in told.text


def test_a_client_is_changed_with_what_it_has_in_the_form(browse: Browse) -> None:
    clients = SampleClients()
    client = browse("ada", sample_services(clients=clients))
    page = client.get(f"{PATH}/{CLIENT}").text
    checked = [
        scope
        for scope in ("profile", "email", "offline_access", *SCOPES)
        if f'"scope:{scope}" value="yes" checked' in page
    ]
    assert checked == ["profile", "email", "offline_access", "event.read", "event.publish"]
    assert f"{BACK}\nhttps://shop.example/staging/signed-in</textarea>" in page
    assert (
        'name="backchannel_logout_uri" type="url" maxlength="500" value="https://shop.example/backchannel-logout"'
        in page
    )
    told_at = "https://shop.example/told"
    fill(
        client,
        f"{PATH}/{CLIENT}",
        f"{PATH}/{CLIENT}",
        name="Store",
        redirect_uris=BACK,
        backchannel_logout_uri=told_at,
    )
    [(_, wish)] = clients.done
    assert wish["backchannel_logout_uri"] == told_at
    assert (wish["name"], wish["grants"], wish["scopes"]) == ("Store", ["authorization_code"], ["openid"])


def test_a_secret_is_rolled_and_a_client_removed(browse: Browse) -> None:
    clients = SampleClients()
    client = browse("ada", sample_services(clients=clients))
    page = f"{PATH}/{CLIENT}"
    assert SECRET in fill(client, page, f"{page}/roll", grace="24").text
    assert problem_at(fill(client, page, f"{page}/roll", grace="12").text, "grace") == "Choose one of these."
    assert fill(client, page, f"{page}/remove").headers["location"] == PATH
    assert "Shop is removed." in client.get(PATH).text
    assert clients.done == [("roll", (CLIENT, 24)), ("remove", CLIENT)]


def test_a_client_without_people_or_without_a_secret_has_no_forms_for_them(browse: Browse) -> None:
    client = browse("ada")
    links = [
        str(link.get("href"))
        for link in read(client.get(PATH).text).all("a")
        if "Manage the" in (link.get("aria-label") or "")
    ]
    assert len(links) == 3
    public, machine = client.get(links[1]).text, client.get(links[2]).text
    assert "/roll" not in public
    assert "By itself it may" not in public
    assert "redirect_uris" not in machine
    assert "nobody: roll the secret" in machine


@pytest.mark.parametrize("page", [PATH, f"{PATH}/{CLIENT}"])
def test_who_may_not_manage_clients_sees_none(browse: Browse, page: str) -> None:
    answer = browse("ada", sample_services(clients=SampleClients(manages=False))).get(page)
    assert answer.status_code == 403
    assert "Shop" not in answer.text


def test_an_unknown_client_is_no_page(browse: Browse) -> None:
    assert browse("ada").get(f"{PATH}/client_none").status_code == 404
