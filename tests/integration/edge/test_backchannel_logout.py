"""A client hears of sign-outs on the whole platform, and checks what it hears as its library would."""

from __future__ import annotations

from collections.abc import AsyncIterator

import jwt
import pytest
import pytest_asyncio

from tests.integration.edge.relying import Relying, answer_of, field_of, register
from tests.integration.edge.stage import PASSPHRASE, Person, Stage
from tests.integration.edge.test_roles import browser_of
from tests.logout_endpoint import LogoutEndpoint, checked, keys_of
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def owner(stage: Stage) -> Person:
    owner = await stage.person("owner@logout.example")
    await stage.tenant_of(owner, "Told Ltd")
    return owner


@pytest_asyncio.fixture(loop_scope="module")
async def endpoint() -> AsyncIterator[LogoutEndpoint]:
    async with LogoutEndpoint() as endpoint:
        yield endpoint


async def heard(endpoint: LogoutEndpoint, number: int = 1) -> None:
    await wait_until(lambda: len(endpoint.tokens) >= number, within_seconds=60, what="the client to hear of it")


async def test_a_client_hears_of_a_sign_out_and_its_library_takes_the_token(
    stage: Stage, owner: Person, endpoint: LogoutEndpoint
) -> None:
    shop: Relying = await register(owner, backchannel_logout_uri=endpoint.url)
    metadata, keys = await keys_of(stage.http)
    assert metadata["backchannel_logout_supported"] is metadata["backchannel_logout_session_supported"] is True
    grace = await stage.person("grace@logout.example", "Grace Hopper")
    async with browser_of(grace) as browser:
        tokens = (await shop.exchange(await shop.code_from(browser))).json()
        sid = jwt.decode(tokens["id_token"], options={"verify_signature": False})["sid"]
        page = await browser.get("/account")
        form = {"csrf_token": field_of(page.text.replace("<header", "<main"), "csrf_token")}
        assert (await browser.post("/account/sign-out", data=form)).status_code == 303
    await heard(endpoint)
    claims = checked(endpoint.tokens[0], keys, issuer=metadata["issuer"], client_id=shop.client_id)
    assert (claims["sub"], claims["sid"]) == (grace.user_id, sid)

    async def in_the_trail() -> bool:
        found = await owner.get("/v1/audit", params={"action": "users.logout_notified"})
        return any(entry["outcome"] == "success" for entry in found["data"])

    await wait_until(in_the_trail, within_seconds=60, what="the tenant's trail to tell")


async def test_who_signs_in_again_on_the_way_stays_signed_in_elsewhere(
    stage: Stage, owner: Person, endpoint: LogoutEndpoint
) -> None:
    """`prompt=login` of one app opens another session; the others hear of it when that one ends."""
    shop = await register(owner, backchannel_logout_uri=endpoint.url)
    grace = await stage.person("again@logout.example", "Grace Hopper")
    async with browser_of(grace) as browser:
        await shop.exchange(await shop.code_from(browser))
        asked = await browser.get(shop.asks(prompt="login"))
        page = await browser.get(asked.headers["location"])
        form = {name: field_of(page.text, name) for name in ("csrf_token", "next")}
        done = await browser.post("/account/sign-in/again", data=form | {"password": PASSPHRASE})
        code = answer_of(await browser.get(done.headers["location"]))["code"]
        tokens = (await shop.exchange(code)).json()
        newer = jwt.decode(tokens["id_token"], options={"verify_signature": False})["sid"]
    sessions = (await grace.get("/v1/me/sessions"))["data"]
    assert newer in {session["id"] for session in sessions}
    assert endpoint.tokens == []
    assert (await grace.request("DELETE", f"/v1/me/sessions/{newer}")).status_code == 204
    await heard(endpoint, 2)
    sids = {jwt.decode(token, options={"verify_signature": False})["sid"] for token in endpoint.tokens}
    assert len(sids) == 2, "of the session before, and of the one that took its place"
    assert newer in sids


async def test_an_operator_has_an_app_told_again_that_did_not_hear_of_it(
    stage: Stage, owner: Person, endpoint: LogoutEndpoint
) -> None:
    shop = await register(owner, backchannel_logout_uri=endpoint.url)
    grace = await stage.person("unheard@logout.example", "Grace Hopper")
    operator = await stage.operator()
    await shop.tokens_for(grace)
    endpoint.status = 400
    assert (await grace.request("DELETE", "/v1/me/sessions")).status_code == 204

    async def is_unheard() -> bool:
        async with browser_of(operator) as browser:
            return "1 did not reach apps" in (await browser.get("/admin")).text

    await wait_until(is_unheard, within_seconds=60, what="the console to tell that the app did not hear")
    assert (await grace.request("POST", "/v1/logout-notices/resend")).status_code == 403
    endpoint.status = 204
    assert await operator.post("/v1/logout-notices/resend") == {"resent": 1, "more": False}
    await heard(endpoint, 2)
    assert await operator.post("/v1/logout-notices/resend") == {"resent": 0, "more": False}

    async def in_the_trail() -> bool:
        found = await operator.get("/v1/audit", params={"action": "users.logout_notices_resent"})
        return [entry["actor"] for entry in found["data"]] == [operator.user_id]

    await wait_until(in_the_trail, within_seconds=60, what="the platform's trail to tell who had it sent")
    assert not await is_unheard()
    assert len(endpoint.tokens) == 2


async def test_check_14_a_logout_token_is_good_for_nothing_else(
    stage: Stage, owner: Person, endpoint: LogoutEndpoint
) -> None:
    shop = await register(
        owner, backchannel_logout_uri=endpoint.url, post_logout_redirect_uris=["https://shop.example/o"]
    )
    grace = await stage.person("other@logout.example", "Grace Hopper")
    await shop.tokens_for(grace)
    assert (await grace.request("DELETE", "/v1/me/sessions")).status_code == 204
    await heard(endpoint)
    [token] = endpoint.tokens
    bearer = {"Authorization": f"Bearer {token}"}
    assert (await stage.http.get("/v1/me", headers=bearer)).status_code == 401
    assert (await stage.http.get("/userinfo", headers=bearer)).status_code == 401
    assert (await shop.worth(token)) == {"active": False}
    asked = {"id_token_hint": token, "post_logout_redirect_uri": "https://shop.example/o"}
    answer = await stage.http.get("/oauth2/logout", params=asked)
    assert (answer.status_code, answer.headers.get("location")) == (422, None), "it is no ID token"


async def test_where_a_client_hears_is_set_kept_and_taken_away(owner: Person) -> None:
    body = {"name": "Shop", "redirect_uris": ["https://shop.example/b"], "grants": ["authorization_code"]}
    made = await owner.post("/v1/oauth-clients", body | {"scopes": ["openid"]})
    assert made["backchannel_logout_uri"] is None
    address = f"/v1/oauth-clients/{made['id']}"
    told = "https://shop.example/told"
    for change, wanted in (
        ({"backchannel_logout_uri": told}, told),
        ({"name": "Store"}, told),
        ({"backchannel_logout_uri": None}, None),
    ):
        answer = await owner.request("PATCH", address, json=change)
        assert (answer.status_code, answer.json()["backchannel_logout_uri"]) == (200, wanted)
        assert (await owner.get(address))["backchannel_logout_uri"] == wanted
    for wrong in ("http://shop.example/told", "https://shop.example/told#x", "", "x" * 501, 7, [told]):
        answer = await owner.request("PATCH", address, json={"backchannel_logout_uri": wrong})
        assert answer.status_code == 422, wrong
        assert answer.json()["errors"][0]["field"] == "backchannel_logout_uri"
