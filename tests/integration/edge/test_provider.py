"""Sign-in to programs outside, by the OpenID provider. `check_N` is the number of the security review's check."""

from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import jwt
import pytest
import pytest_asyncio
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.integrations.starlette_client import OAuth
from starlette.requests import Request

from prog_contracts.credentials import public_client_id
from prog_contracts.ids import new_id
from prog_edge.directory import FRESH_SECONDS
from tests.integration.edge.relying import (
    BACK,
    Relying,
    agree,
    answer_of,
    challenge_of,
    field_of,
    register,
    stranger_at,
)
from tests.integration.edge.stage import PASSPHRASE, Person, Stage
from tests.integration.edge.test_roles import browser_of, change
from tests.integration.edge.test_second_factors import enrolled
from tests.unit.edge.test_logos import picture
from tests.waiting import wait_until

OUT = "https://shop.example/signed-out"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def owner(stage: Stage) -> Person:
    owner = await stage.person("owner@provider.example")
    await stage.tenant_of(owner, "Provider Ltd")
    return owner


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(owner: Person) -> Relying:
    return await register(owner)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def grace(stage: Stage) -> Person:
    return await stage.person("grace@people.example", "Grace Hopper")


def arrival(path: str, session: dict[str, Any]) -> Request:
    """A request of a browser, as the client's own web server gets it."""
    query = urlsplit(path).query.encode()
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": query, "headers": [], "session": session}
    return Request(scope)


async def test_a_client_that_others_wrote_works_unchanged(stage: Stage, shop: Relying, grace: Person) -> None:
    """Authlib's, told nothing but where the metadata is: it makes the proof and the nonce, and checks the ID token."""
    issuer = stage.settings.public_url
    oauth = OAuth()
    oauth.register(
        "shop",
        client_id=shop.client_id,
        client_secret=shop.made["client_secret"],
        server_metadata_url=f"{issuer}/.well-known/openid-configuration",
        client_kwargs={"scope": "openid profile email offline_access", "code_challenge_method": "S256"},
    )
    session: dict[str, Any] = {}
    sent = await oauth.shop.authorize_redirect(arrival("/", session), BACK)
    async with browser_of(grace) as browser:
        back = await agree(browser, sent.headers["location"])
    tokens = await oauth.shop.authorize_access_token(arrival(back.headers["location"], session))
    about = {"sub": grace.user_id, "name": "Grace Hopper", "email": grace.email, "email_verified": True}
    assert {name: tokens["userinfo"][name] for name in about} == about
    assert tokens["userinfo"]["amr"] == ["pwd"]
    told = await oauth.shop.userinfo(token=tokens)
    assert {name: told[name] for name in told if name != "updated_at"} == about, "nobody has said anything else"
    metadata = await oauth.shop.load_server_metadata()
    async with AsyncOAuth2Client(shop.client_id, shop.made["client_secret"], token=tokens) as client:
        newer = await client.refresh_token(metadata["token_endpoint"])
        assert newer["refresh_token"] != tokens["refresh_token"]
        worth = await client.introspect_token(metadata["introspection_endpoint"], newer["access_token"])
        assert worth.json()["active"] is True
        await client.revoke_token(metadata["revocation_endpoint"], newer["refresh_token"])
    assert (await shop.userinfo(newer["access_token"])).status_code == 401
    with pytest.raises(Exception, match="mismatching_state"):
        await oauth.shop.authorize_access_token(arrival(back.headers["location"], {}))


async def test_what_people_say_of_themselves_reaches_clients_and_their_picture_anybody(
    stage: Stage, shop: Relying
) -> None:
    lin = await stage.person("lin@people.example", "Lin")
    bad = await lin.request("PATCH", "/v1/me", json={"locale": "klingon", "time_zone": "Mars/Olympus", "theme": "dark"})
    assert bad.status_code == 422
    assert {problem["field"] for problem in bad.json()["errors"]} == {"locale", "time_zone"}
    said = {"locale": "pt-BR", "time_zone": "America/Sao_Paulo", "theme": "dark"}
    assert said.items() <= (await lin.request("PATCH", "/v1/me", json=said)).json().items()
    for wrong in ("%%%", base64.b64encode(b"<svg/>").decode()):
        answer = await lin.request("PUT", "/v1/me/avatar", json={"image": wrong})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "image")
    answer = await lin.request("PUT", "/v1/me/avatar", json={"image": base64.b64encode(picture()).decode()})
    shown = answer.json()["picture"]
    assert said.items() | {("name", "Lin"), ("picture", shown)} <= (await lin.get("/v1/me")).items()
    served = await stage.http.get(shown)
    assert (served.status_code, served.headers["content-type"]) == (200, "image/webp")
    assert served.headers["x-content-type-options"] == "nosniff"
    tokens = await shop.tokens_for(lin, scope="openid profile")
    told = (await shop.userinfo(tokens["access_token"])).json()
    claims = {"name": "Lin", "locale": "pt-BR", "zoneinfo": "America/Sao_Paulo", "picture": shown}
    assert claims.items() <= told.items()
    assert abs(told["updated_at"] - datetime.now(UTC).timestamp()) < 600
    id_token = jwt.decode(tokens["id_token"], options={"verify_signature": False})
    assert claims.items() | {("updated_at", told["updated_at"])} <= id_token.items()
    few = await shop.tokens_for(lin, scope="openid email")
    assert (await shop.userinfo(few["access_token"])).json().keys() == {"sub", "email", "email_verified"}
    assert (await lin.request("PATCH", "/v1/me", json={"time_zone": None})).json()["time_zone"] is None
    assert (await lin.request("DELETE", "/v1/me/avatar")).status_code == 204
    gone = (await shop.userinfo(tokens["access_token"])).json()
    assert gone.keys() == {"sub", "name", "locale", "updated_at"}


async def test_the_answer_carries_state_and_issuer_and_consent_is_remembered(shop: Relying, owner: Person) -> None:
    async with browser_of(owner) as browser:
        page = await browser.get(shop.asks())
        assert page.status_code == 200
        assert "Sign in to Shop" in page.text
        assert "form-action 'self' https://shop.example;" in page.headers["content-security-policy"]
        declined = answer_of(await agree(browser, shop.asks(), decision="deny"))
        assert declined["error"] == "access_denied"
        assert answer_of(await browser.get(shop.asks(prompt="none")))["error"] == "consent_required"
        first = answer_of(await agree(browser, shop.asks()))
        assert (first["state"], first["iss"]) == ("a state & more", shop.stage.settings.public_url)
        again = answer_of(await browser.get(shop.asks(prompt="none")))
        assert again["code"] != first["code"]
        assert "code" in answer_of(await browser.get(shop.asks(scope="openid")))
        assert (await browser.get(shop.asks(prompt="consent"))).status_code == 200


async def test_people_may_be_sent_with_a_form_too(stage: Stage, shop: Relying) -> None:
    async with stranger_at(stage) as browser:
        asked = dict(parse_qsl(urlsplit(shop.asks()).query))
        sent = await browser.post("/oauth2/authorize", data=asked, headers={"Origin": "https://shop.example"})
        assert sent.status_code == 303
        assert dict(parse_qsl(urlsplit(sent.headers["location"]).query)) == asked


async def test_sign_in_on_the_way_takes_the_second_factor_and_comes_back(stage: Stage, shop: Relying) -> None:
    person, app, _ = await enrolled(stage, "factor@people.example")
    async with stranger_at(stage) as browser:
        assert answer_of(await browser.get(shop.asks(prompt="none")))["error"] == "login_required"
        asked = await browser.get(shop.asks())
        page = await browser.get(asked.headers["location"])
        assert "https://shop.example" in page.headers["content-security-policy"]
        form = {name: field_of(page.text, name) for name in ("csrf_token", "next")}
        entered = await browser.post("/account/sign-in", data=form | {"email": person.email, "password": PASSPHRASE})
        second = await browser.get(entered.headers["location"])
        form = {name: field_of(second.text, name) for name in ("csrf_token", "next", "method")}
        done = await browser.post("/account/sign-in/second-step", data=form | {"code": app.code()})
        code = answer_of(await agree(browser, done.headers["location"]))["code"]
    tokens = (await shop.exchange(code)).json()
    assert (await shop.userinfo(tokens["access_token"])).json()["sub"] == person.user_id


async def test_a_fresh_sign_in_is_asked_for_and_counts_once(stage: Stage, shop: Relying, grace: Person) -> None:
    async with browser_of(grace) as browser:
        await agree(browser, shop.asks())
        for wish in ({"prompt": "login"}, {"max_age": "0"}):
            assert answer_of(await browser.get(shop.asks(prompt="none", max_age="0")))["error"] == "login_required"
            asked = await browser.get(shop.asks(**wish))
            assert asked.headers["location"].startswith("/account/sign-in/again?next=")
            page = await browser.get(asked.headers["location"])
            form = {name: field_of(page.text, name) for name in ("csrf_token", "next")}
            done = await browser.post("/account/sign-in/again", data=form | {"password": PASSPHRASE})
            assert "code" in answer_of(await browser.get(done.headers["location"]))
            forged = form["next"].partition("prog_asked_since=")[0] + "prog_asked_since=made-up"
            assert (await browser.get(forged)).headers["location"].startswith("/account/sign-in/again")
        assert "code" in answer_of(await browser.get(shop.asks(max_age="600")))


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"request": "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported"),
        ({"request_uri": "https://shop.example/request"}, "request_uri_not_supported"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "dance"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"nonce": "n" * 501}, "invalid_request"),
    ],
)
async def test_check_18_what_is_wrong_is_told_to_an_address_that_is_right(
    stage: Stage, shop: Relying, wrong: dict[str, str | None], error: str
) -> None:
    """S256 alone, and for every client: so there is no code to which a verifier could come without a challenge."""
    async with stranger_at(stage) as browser:
        told = answer_of(await browser.get(shop.asks(**wrong)))
    assert (told["error"], told["state"]) == (error, "a state & more")
    assert "code" not in told


@pytest.mark.parametrize(
    "wrong",
    [
        {"redirect_uri": None},
        {"redirect_uri": f"{BACK}/"},
        {"redirect_uri": BACK.upper()},
        {"redirect_uri": f"{BACK}?more=1"},
        {"redirect_uri": f"{BACK}/../elsewhere"},
        {"redirect_uri": BACK.replace("shop", "shop.example.evil")},
        {"redirect_uri": "http://shop.example/signed-in"},
        {"redirect_uri": f"{BACK}#fragment"},
        {"redirect_uri": f" {BACK}"},
        {"redirect_uri": "https://shop.example:443/signed-in"},
        {"client_id": None},
        {"client_id": "prog_client_none"},
        {"client_id": public_client_id(new_id("tenant"), new_id("client"))},
        {"state": "s" * 2001},
    ],
)
async def test_check_18_nobody_is_sent_to_an_address_that_is_not_registered(
    stage: Stage, shop: Relying, wrong: dict[str, str | None]
) -> None:
    """Letter by letter, and not even with the error."""
    async with stranger_at(stage) as browser:
        answer = await browser.get(shop.asks(**wrong))
        twice = await browser.get(shop.asks() + f"&redirect_uri={BACK}")
    for told in (answer, twice):
        assert told.status_code == 422
        assert "location" not in told.headers
        assert "That request does not add up" in told.text


async def test_check_18_fifty_at_once_with_one_code_are_one_sign_in_that_ends(shop: Relying, grace: Person) -> None:
    async with browser_of(grace) as browser:
        code = await shop.code_from(browser)
    answers = await asyncio.gather(*(shop.exchange(code) for _ in range(50)))
    good = [answer for answer in answers if answer.status_code == 200]
    assert len(good) == 1
    assert {answer.json()["error"] for answer in answers if answer is not good[0]} == {"invalid_grant"}
    tokens = good[0].json()
    assert (await shop.userinfo(tokens["access_token"])).status_code == 401
    assert (await shop.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    assert await shop.worth(tokens["access_token"]) == {"active": False}


async def test_check_18_a_second_use_ends_what_the_first_gave(shop: Relying, grace: Person) -> None:
    async with browser_of(grace) as browser:
        code = await shop.code_from(browser)
    tokens = (await shop.exchange(code)).json()
    assert (await shop.userinfo(tokens["access_token"])).status_code == 200
    newer = (await shop.refresh(tokens["refresh_token"])).json()
    assert (await shop.exchange(code)).json()["error"] == "invalid_grant"
    for token in (tokens["access_token"], newer["access_token"]):
        assert (await shop.userinfo(token)).status_code == 401
    assert (await shop.refresh(newer["refresh_token"])).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("wrong", "error", "spent"),
    [
        ({"code_verifier": "w" * 64}, "invalid_grant", True),
        ({"code_verifier": "short"}, "invalid_grant", True),
        ({"code_verifier": ""}, "invalid_request", False),
        ({"redirect_uri": f"{BACK}/"}, "invalid_grant", True),
        ({"redirect_uri": ""}, "invalid_request", False),
    ],
)
async def test_check_18_a_code_takes_its_verifier_and_its_address(
    shop: Relying, grace: Person, wrong: dict[str, str], error: str, spent: bool
) -> None:
    async with browser_of(grace) as browser:
        code = await shop.code_from(browser)
    refused = await shop.exchange(code, **wrong)
    assert (refused.status_code, refused.json()["error"]) == (400, error)
    assert (await shop.exchange(code)).status_code == (400 if spent else 200)


async def test_check_18_a_challenge_is_no_verifier_of_its_own(shop: Relying, grace: Person) -> None:
    """As it would be with the method `plain`."""
    async with browser_of(grace) as browser:
        code = await shop.code_from(browser)
    assert (await shop.exchange(code, code_verifier=challenge_of(shop.verifier))).status_code == 400


async def test_check_18_a_code_is_good_for_its_own_client_alone(owner: Person, shop: Relying, grace: Person) -> None:
    other = await register(owner, name="Other")
    async with browser_of(grace) as browser:
        code = await shop.code_from(browser)
    stolen = await other.exchange(code, code_verifier=shop.verifier)
    assert stolen.json()["error"] == "invalid_grant"
    assert (await shop.exchange(code)).status_code == 200, "a stranger's try takes nothing from its owner"


async def test_check_18_a_code_is_good_for_a_minute(stage: Stage, shop: Relying, grace: Person) -> None:
    async with browser_of(grace) as browser:
        code = await shop.code_from(browser)
    late = "UPDATE users.oauth_codes SET expires_at = $1 WHERE spent_at IS NULL"
    await change(stage, late, datetime.now(UTC) - timedelta(seconds=1))
    assert (await shop.exchange(code)).json()["error"] == "invalid_grant"


async def test_check_15_parallel_refreshes_get_one_successor_and_a_late_use_ends_all(
    stage: Stage, shop: Relying, grace: Person
) -> None:
    first = (await shop.tokens_for(grace))["refresh_token"]
    answers = await asyncio.gather(*(shop.refresh(first) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    [second] = {answer.json()["refresh_token"] for answer in answers}
    await change(stage, "UPDATE users.oauth_refresh_tokens SET replaced_at = replaced_at - interval '1 minute'")
    assert (await shop.refresh(first)).json()["error"] == "invalid_grant"
    assert (await shop.refresh(second)).json()["error"] == "invalid_grant"
    assert (await shop.userinfo(answers[0].json()["access_token"])).status_code == 401


async def test_a_refresh_may_ask_for_less_and_never_for_more(owner: Person, shop: Relying, grace: Person) -> None:
    async with browser_of(grace) as browser:
        code = await shop.code_from(browser, scope="openid email offline_access")
    tokens = (await shop.exchange(code)).json()
    less = (await shop.refresh(tokens["refresh_token"], scope="openid")).json()
    assert (await shop.userinfo(less["access_token"])).json() == {"sub": grace.user_id}
    more = await shop.refresh(less["refresh_token"], scope="openid profile")
    assert more.json()["error"] == "invalid_scope"
    other = await register(owner, name="Thief")
    assert (await other.refresh(less["refresh_token"])).json()["error"] == "invalid_grant"


async def test_check_17_what_a_person_takes_back_is_worth_nothing(stage: Stage, shop: Relying) -> None:
    person = await stage.person("leaver@people.example")
    tokens = await shop.tokens_for(person)
    [app] = (await person.get("/v1/me/authorized-clients"))["data"]
    assert (app["id"], app["name"], app["scopes"]) == (
        shop.id,
        "Shop",
        ["openid", "profile", "email", "offline_access"],
    )
    async with browser_of(person) as browser:
        waiting = await shop.code_from(browser)
        page = await browser.get("/account/apps")
        form = {name: field_of(page.text, name) for name in ("csrf_token", "idempotency_key", "client_id")}
        assert (await browser.post("/account/apps/disconnect", data=form)).status_code == 303
        assert "Shop is disconnected." in (await browser.get("/account/apps")).text
        assert (await browser.get(shop.asks())).status_code == 200, "it has to ask again"
    assert (await shop.userinfo(tokens["access_token"])).status_code == 401
    assert (await shop.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await shop.exchange(waiting)).json()["error"] == "invalid_grant"
    gone = await person.request("DELETE", f"/v1/me/authorized-clients/{shop.id}")
    assert gone.status_code == 404


async def test_check_17_a_new_password_ends_what_clients_hold(stage: Stage, shop: Relying) -> None:
    person = await stage.person("forgetful@people.example")
    tokens = await shop.tokens_for(person)
    body = {"password": "another sentence that is good", "current_password": PASSPHRASE}
    answer = await person.request("POST", "/v1/me/password", json=body)
    assert answer.is_success, answer.text
    assert (await shop.userinfo(tokens["access_token"])).status_code == 401
    assert (await shop.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"


async def test_check_17_signing_out_ends_what_does_not_go_on_while_away(stage: Stage, shop: Relying) -> None:
    person = await stage.person("visitor@people.example")
    async with browser_of(person) as browser:
        short = (await shop.exchange(await shop.code_from(browser, scope="openid"))).json()
        long = (await shop.exchange(await shop.code_from(browser))).json()
        assert "refresh_token" not in short
        page = await browser.get("/account")
        await browser.post("/account/sign-out", data={"csrf_token": field_of(page.text, "csrf_token")})
    assert (await shop.userinfo(short["access_token"])).status_code == 401
    assert (await shop.userinfo(long["access_token"])).status_code == 200


async def test_check_17_a_removed_client_gets_in_nowhere(owner: Person, grace: Person) -> None:
    client = await register(owner, name="Gone")
    tokens = await client.tokens_for(grace)
    assert (await owner.request("DELETE", f"/v1/oauth-clients/{client.id}")).status_code == 204
    assert (await client.userinfo(tokens["access_token"])).status_code == 401

    async def shut_out() -> bool:
        return (await client.refresh(tokens["refresh_token"])).status_code == 401

    await wait_until(shut_out, within_seconds=FRESH_SECONDS + 5, what="the client to be unknown")
    async with browser_of(grace) as browser:
        assert (await browser.get(client.asks())).status_code == 422


async def test_a_public_client_proves_itself_by_the_verifier_alone(owner: Person, grace: Person) -> None:
    app = await register(owner, name="App", confidential=False, redirect_uris=[BACK, "com.example.app:/back"])
    assert app.made["client_secret"] is None
    tokens = await app.tokens_for(grace)
    async with browser_of(grace) as browser:
        assert "code" in answer_of(await browser.get(app.asks()))
        anybody_s = await browser.get(app.asks(redirect_uri="com.example.app:/back"))
        assert anybody_s.status_code == 200, "any app may take this address: its person is asked each time"
        assert "form-action 'self' com.example.app:;" in anybody_s.headers["content-security-policy"]
        silent = await browser.get(app.asks(redirect_uri="com.example.app:/back", prompt="none"))
        assert "error=consent_required" in silent.headers["location"]
    assert (await app.refresh(tokens["refresh_token"])).status_code == 200
    asked = await app.post("/oauth2/introspect", app.proof | {"token": tokens["access_token"]})
    assert asked.json()["error"] == "unauthorized_client"
    with_secret = await app.post("/oauth2/token", app.proof | {"client_secret": "prog_secret_" + "a" * 43})
    assert (with_secret.status_code, with_secret.json()["error"]) == (401, "invalid_client")


async def sent_out(stage: Stage, shop: Relying, session: dict[str, Any], **asked: Any) -> str:
    """Where Authlib sends somebody to be signed out; it keeps the state in the client's own session."""
    oauth = OAuth()
    oauth.register(
        "shop",
        client_id=shop.client_id,
        client_secret=shop.made["client_secret"],
        server_metadata_url=f"{stage.settings.public_url}/.well-known/openid-configuration",
    )
    answer = await oauth.shop.logout_redirect(arrival("/", session), **asked)
    return str(answer.headers["location"])


async def signed_in(browser: httpx.AsyncClient) -> bool:
    return (await browser.get("/account")).status_code == 200


async def test_a_client_that_others_wrote_signs_its_person_out_here_too(stage: Stage, owner: Person) -> None:
    shop = await register(owner, post_logout_redirect_uris=[OUT])
    person = await stage.person("leaves@people.example")
    session: dict[str, Any] = {}
    async with browser_of(person) as browser:
        tokens = (await shop.exchange(await shop.code_from(browser))).json()
        hint = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": OUT, "state": "of the shop & more"}
        address = await sent_out(stage, shop, session, **hint)
        kept = dict(browser.cookies)
        assert await signed_in(browser)
        answer = await browser.get(address)
        assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, OUT)
        assert not await signed_in(browser)
        back = arrival(answer.headers["location"], session)

        async def shut_out() -> bool:
            browser.cookies.update(kept)
            return not await signed_in(browser)

        await wait_until(shut_out, within_seconds=60, what="the session to end, and not its cookie alone")
    oauth = OAuth()
    oauth.register("shop", client_id=shop.client_id, server_metadata_url="unused")
    assert (await oauth.shop.validate_logout_response(back))["post_logout_redirect_uri"] == OUT
    async with stranger_at(stage) as browser:
        again = await browser.get(address)
        assert again.headers["location"].startswith(f"{OUT}?state="), "who is signed out goes on, too"


async def test_without_a_hint_of_this_very_session_the_person_is_asked(stage: Stage, owner: Person) -> None:
    shop = await register(owner, post_logout_redirect_uris=[OUT])
    person, other = await stage.person("asked@people.example"), await stage.person("asker@people.example")
    theirs, stale = await shop.tokens_for(other), await shop.tokens_for(person)
    fresh = await stage.sign_in(person.email)
    forged = jwt.encode(jwt.decode(stale["id_token"], options={"verify_signature": False}), "k" * 32, "HS256")
    unsigned = stale["id_token"].rpartition(".")[0] + "."
    async with browser_of(fresh) as browser:
        page = await browser.get("/oauth2/logout")
        assert page.status_code == 200, "nor without knowing who asks"
        for hint in (None, theirs["id_token"], stale["id_token"], forged, unsigned, stale["access_token"], "x"):
            asked = {"client_id": shop.client_id, "post_logout_redirect_uri": OUT, "state": "s", "id_token_hint": hint}
            query = urlencode({name: value for name, value in asked.items() if value is not None})
            page = await browser.get(f"/oauth2/logout?{query}")
            assert page.status_code == 200, hint
            assert "Sign out?" in page.text
            assert "Shop" in page.text
            assert "form-action 'self' https://shop.example;" in page.headers["content-security-policy"]
        assert await signed_in(browser)
        form = {name: field_of(page.text, name) for name in ("csrf_token", "request")}
        stays = await browser.post("/oauth2/logout/confirm", data=form | {"decision": "stay"})
        assert stays.headers["location"] == "/account"
        stolen = await browser.post("/oauth2/logout/confirm", data=form | {"csrf_token": "x", "decision": "sign_out"})
        assert stolen.status_code == 403
        assert await signed_in(browser)
        leaves = await browser.post("/oauth2/logout/confirm", data=form | {"decision": "sign_out"})
        assert leaves.headers["location"] == f"{OUT}?state=s"
        assert not await signed_in(browser)


async def test_nobody_is_sent_to_an_address_after_signing_out_that_is_not_registered(
    stage: Stage, owner: Person
) -> None:
    shop = await register(owner, post_logout_redirect_uris=[OUT])
    person = await stage.person("stays@people.example")
    evil = "https://evil.example/"
    async with browser_of(person) as browser:
        tokens = (await shop.exchange(await shop.code_from(browser))).json()
        wrong = [
            {"client_id": shop.client_id, "post_logout_redirect_uri": evil},
            {"client_id": shop.client_id, "post_logout_redirect_uri": f"{OUT}/more"},
            {"client_id": shop.client_id, "post_logout_redirect_uri": BACK},
            {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": evil},
            {"id_token_hint": tokens["id_token"], "client_id": "prog_client_x", "post_logout_redirect_uri": OUT},
            {"post_logout_redirect_uri": OUT},
            {"id_token_hint": "x", "post_logout_redirect_uri": OUT},
            {"client_id": shop.client_id, "post_logout_redirect_uri": OUT, "state": "s" * 2001},
        ]
        for asked in wrong:
            answer = await browser.get(f"/oauth2/logout?{urlencode(asked)}")
            assert answer.status_code == 422, asked
            assert "location" not in answer.headers
        assert await signed_in(browser)
        sent = await browser.post("/oauth2/logout", data=wrong[0], headers={"Origin": "https://shop.example"})
        assert dict(parse_qsl(urlsplit(sent.headers["location"]).query)) == wrong[0], "a form goes the same way"
        plain = await browser.get(f"/oauth2/logout?{urlencode({'id_token_hint': tokens['id_token']})}")
        assert plain.headers["location"] == "/account/sign-in"
        assert not await signed_in(browser)
    bad = {"post_logout_redirect_uris": ["http://shop.example/out"]}
    answer = await owner.request("PATCH", f"/v1/oauth-clients/{shop.id}", json=bad)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "post_logout_redirect_uris")


async def test_an_app_on_the_own_machine_listens_at_any_port(stage: Stage, owner: Person, grace: Person) -> None:
    native = {"confidential": False, "redirect_uris": ["http://127.0.0.1/back"], "name": "Native"}
    app = await register(owner, **native)
    async with browser_of(grace) as browser:
        for address in ("http://127.0.0.1:49152/back", "http://127.0.0.1/back"):
            answer = await agree(browser, app.asks(redirect_uri=address))
            code = dict(parse_qsl(urlsplit(answer.headers["location"]).query))["code"]
            assert answer.headers["location"].startswith(f"{address}?")
            wrong = await app.exchange(code, redirect_uri="http://127.0.0.1:49153/back")
            assert wrong.json()["error"] == "invalid_grant", "the port is that of the request"
        answer = await agree(browser, app.asks(redirect_uri="http://127.0.0.1:49152/back"))
        code = dict(parse_qsl(urlsplit(answer.headers["location"]).query))["code"]
        assert (await app.exchange(code, redirect_uri="http://127.0.0.1:49152/back")).status_code == 200
        for address in ("http://127.0.0.1:49152/other", "http://localhost:49152/back", "http://[::1]:49152/back"):
            assert (await browser.get(app.asks(redirect_uri=address))).status_code == 422, address


async def test_who_does_not_agree_is_in_the_trail(stage: Stage, shop: Relying, owner: Person) -> None:
    person = await stage.person("declines@people.example")
    async with browser_of(person) as browser:
        assert answer_of(await agree(browser, shop.asks(), decision="deny"))["error"] == "access_denied"

    async def told() -> bool:
        found = await owner.get("/v1/audit", params={"action": "users.consent_denied", "limit": 10})
        return (person.user_id, "denial") in {(row["actor"], row["outcome"]) for row in found["data"]}

    await wait_until(told, within_seconds=60, what="the trail to be written")
