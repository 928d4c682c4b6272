"""Sign-in through other providers on the whole platform: a browser, a provider on loopback, edge and workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio

from prog_contracts.ids import new_id
from prog_kit.identity_providers import IdentityProvider as Configured
from tests.dns_server import DnsServer
from tests.identity_provider import CLIENT_ID, CLIENT_SECRET, IdentityProvider, Someone
from tests.integration.edge.stage import PASSPHRASE, Stage
from tests.integration.edge.test_impersonation import act_as
from tests.integration.edge.test_pages import form_token
from tests.integration.edge.test_roles import browser_of, change
from tests.servers import TestServers
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

SIGN_IN = "/account/sign-in"
MOST_STEPS = 10


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[IdentityProvider]:
    async with IdentityProvider() as provider:
        yield provider


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def federated(module_postgres: str, servers: TestServers, provider: IdentityProvider) -> AsyncIterator[Stage]:
    site = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "issuer": provider.issuer}
    providers = (
        Configured(kind="oidc", name="acme", title="Acme", **site),
        Configured(kind="github", api_url=provider.issuer, **site),
    )
    async with DnsServer() as names:
        settings = {"identity_providers": providers, "dns_servers": (names.address,)}
        async with Stage(module_postgres, servers.empty_valkey(), **settings) as stage:
            stage.app.state.names = names
            yield stage


@pytest_asyncio.fixture(loop_scope="module")
async def browser(federated: Stage, provider: IdentityProvider) -> AsyncIterator[httpx.AsyncClient]:
    provider.twist = ""
    async with httpx.AsyncClient(
        base_url=federated.settings.public_url, timeout=20, trust_env=False, verify=False
    ) as browser:
        yield browser


async def follow(browser: httpx.AsyncClient, address: str) -> httpx.Response:
    """The page at the end of all redirects: to the provider, and back."""
    response = await browser.get(address)
    for _ in range(MOST_STEPS):
        if not response.is_redirect:
            return response
        response = await browser.get(str(response.url.join(response.headers["location"])))
    raise AssertionError(f"more than {MOST_STEPS} redirects")


async def me(browser: httpx.AsyncClient) -> dict[str, Any]:
    answer = await browser.get("/v1/me")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def mails_to(stage: Stage, email: str) -> list[str]:
    rows = (await stage.http.get("/v1/mailbox", params={"to": email})).json()["data"]
    return [row["subject"] for row in rows]


async def test_somebody_new_signs_up_with_a_provider_and_signs_in_again(
    browser: httpx.AsyncClient, federated: Stage, provider: IdentityProvider
) -> None:
    provider.person = Someone("grace-1", "grace@federated.example", name="Grace Hopper")
    page = await follow(browser, "/v1/auth/oauth/acme/start?next=/account/sessions")
    assert (page.status_code, page.url.path) == (200, "/account/sessions")
    assert "through a linked account" in page.text
    grace = await me(browser)
    assert (grace["email"], grace["name"], grace["email_verified"]) == ("grace@federated.example", "Grace Hopper", True)
    [session] = (await browser.get("/v1/me/sessions")).json()["data"]
    assert (session["method"], session["amr"]) == ("social", ["fed"])
    [identity] = (await browser.get("/v1/me/identities")).json()["data"]
    assert (identity["provider"], identity["issuer"]) == ("acme", provider.issuer)
    before = session["id"]
    provider.person = Someone("grace-1", "renamed@federated.example")
    await follow(browser, "/v1/auth/oauth/acme/start")
    assert (await me(browser))["id"] == grace["id"]
    sessions = (await browser.get("/v1/me/sessions")).json()["data"]
    assert len(sessions) == 1, "the session before is over"
    assert sessions[0]["id"] != before
    answers = await asyncio.gather(*(federated.http.get("/v1/auth/oauth") for _ in range(2)))
    assert [item["name"] for item in answers[0].json()["data"]] == ["acme", "github"]


async def test_check_19_an_account_is_linked_by_its_password_and_a_mail_tells_of_it(
    browser: httpx.AsyncClient, federated: Stage, provider: IdentityProvider
) -> None:
    ada = await federated.person("ada@federated.example")
    provider.person = Someone("ada-1", ada.email)
    page = await follow(browser, "/v1/auth/oauth/acme/start")
    assert page.url.path == "/account/sign-in/prove"
    assert (await browser.get("/v1/me")).status_code == 401
    wrong = await browser.post(page.url.path, data={"csrf_token": form_token(page), "password": "a wrong one"})
    assert wrong.status_code == 422
    done = await browser.post(page.url.path, data={"csrf_token": form_token(wrong), "password": PASSPHRASE})
    assert (done.status_code, done.headers["location"]) == (303, "/account"), done.text[:300]
    assert (await me(browser))["id"] == ada.user_id

    async def told() -> bool:
        return "Acme was linked to your account" in await mails_to(federated, ada.email)

    await wait_until(told, what="the mail that tells of the link")
    [identity] = (await browser.get("/v1/me/identities")).json()["data"]
    gone = await ada.request("DELETE", f"/v1/me/identities/{identity['id']}")
    assert gone.status_code == 204, gone.text
    assert (await browser.get("/v1/me/identities")).json()["data"] == []


async def test_check_19_an_account_links_github_from_its_security_page(
    browser: httpx.AsyncClient, federated: Stage, provider: IdentityProvider
) -> None:
    mary = await federated.person("mary@federated.example")
    page = await browser.get(SIGN_IN)
    await browser.post(SIGN_IN, data={"csrf_token": form_token(page), "email": mary.email, "password": PASSPHRASE})
    provider.person = Someone("4711")
    provider.github_emails = [{"email": "elsewhere@federated.example", "primary": True, "verified": True}]
    provider.tells_issuer = False
    security = await browser.get("/account/security")
    link = security.text.partition('href="/v1/auth/oauth/github/start')[2].partition('"')[0].replace("&amp;", "&")
    refused = await follow(browser, f"/v1/auth/oauth/github/start{link}")
    assert refused.url.path == "/account/security"
    assert "GitHub has not verified mary@federated.example" in refused.text
    provider.github_emails.append({"email": mary.email, "primary": False, "verified": True})
    linked = await follow(browser, f"/v1/auth/oauth/github/start{link}")
    assert "GitHub is linked" in linked.text
    provider.tells_issuer = True


async def test_check_19_an_answer_that_is_not_good_signs_nobody_in_and_is_in_the_audit_trail(
    browser: httpx.AsyncClient, federated: Stage, provider: IdentityProvider
) -> None:
    provider.person, provider.twist = Someone("mallory", "mallory@federated.example"), "nonce"
    page = await follow(browser, "/v1/auth/oauth/acme/start")
    assert page.url.path == SIGN_IN
    assert "cannot be trusted" in page.text
    forged = await browser.get("/v1/auth/oauth/acme/callback?code=x&state=y")
    assert urlsplit(forged.headers["location"]).path == SIGN_IN
    assert (await browser.get("/v1/me")).status_code == 401

    async def recorded() -> bool:
        async with federated.platform.database.operator() as connection:
            rows = await connection.fetch(
                "SELECT code FROM events.audit_entries WHERE action = 'GET /v1/auth/oauth/{provider}/callback'"
            )
        return {"bad_id_token", "not_begun"} <= {row["code"] for row in rows}

    await wait_until(recorded, what="the audit trail to tell of both")


async def test_a_provider_that_is_away_leads_back_to_where_one_was(
    browser: httpx.AsyncClient, federated: Stage, provider: IdentityProvider
) -> None:
    assert (await follow(browser, "/v1/auth/oauth/nobody/start")).url.path == SIGN_IN
    federated.platform.federation.directory.forget(provider.issuer)
    provider.metadata = {"issuer": "https://another.example"}
    page = await follow(browser, "/v1/auth/oauth/acme/start")
    provider.metadata = {}
    assert (page.status_code, page.url.path) == (200, SIGN_IN)
    assert "another issuer" in page.text


async def test_a_tenant_s_people_sign_on_with_its_own_provider_and_with_nothing_else(
    browser: httpx.AsyncClient, federated: Stage, provider: IdentityProvider
) -> None:
    olga = await federated.person("olga@acme.example")
    tenant_id = await federated.tenant_of(olga, "Acme Ltd")
    path = f"/v1/tenants/{tenant_id}"
    paul = await federated.person("paul@acme.example")
    await olga.post(f"{path}/invitations", {"email": paul.email, "role": "admin"})
    await paul.post("/v1/invitations/accept", {"token": await federated.token_mailed_to(paul.email, "invite")})
    assert (await paul.request("GET", path)).status_code == 200
    scopes = {"name": "Import", "scopes": ["tenant.read"]}
    made = await paul.post("/v1/api-keys", scopes, headers={"Prog-Tenant": tenant_id})
    key = {"Authorization": f"Bearer {made['key']}"}
    async with browser_of(paul) as his:
        assert (await his.get(f"/account/tenants/{tenant_id}")).status_code == 200
        from_before = dict(his.cookies)
    claimed = await olga.post(f"{path}/domains", {"domain": "acme.example"})
    federated.app.state.names.records[claimed["record_name"]] = [claimed["record_value"]]
    checked = await olga.request("POST", f"{path}/domains/acme.example/check", json={})
    assert checked.status_code == 204, checked.text
    body = {
        "issuer": provider.issuer,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "default_role": "viewer",
        "enforced": True,
    }
    wrong = await olga.request("PUT", f"{path}/sign-on", json={**body, "issuer": f"{provider.issuer}/elsewhere"})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "issuer"), wrong.text
    configured = await olga.request("PUT", f"{path}/sign-on", json=body)
    assert configured.status_code == 200, configured.text
    assert CLIENT_SECRET not in configured.text + (await olga.request("GET", f"{path}/sign-on")).text

    async def has_to_sign_on() -> bool:
        answer = await paul.request("GET", path)
        return (answer.status_code, answer.json().get("code")) == (403, "sign_on_required")

    await wait_until(has_to_sign_on, what="a session from before to reach the tenant no more")
    start = f"/v1/auth/oauth/{tenant_id}/start"
    assert start in (await paul.request("GET", f"{path}/members")).json()["detail"]
    assert (await paul.request("GET", "/v1/me")).status_code == 200, "the account is the person's own"
    assert (await olga.request("GET", path)).status_code == 200, "an owner gets in, so that it can be mended"
    operator = await federated.operator()
    acting, _ = await act_as(operator, paul)
    assert (await acting.request("GET", path)).status_code == 200, "support sees what is wrong"
    assert (await federated.http.get(path, headers=key)).status_code == 200, "keys are their makers'"
    limited = await olga.request("PUT", f"{path}/sign-on", json={**body, "api_key_days": 30})
    assert (limited.status_code, limited.json()["api_key_days"]) == (200, 30), limited.text

    async def key_waits_for_its_maker() -> bool:
        answer = await federated.http.get(path, headers=key)
        return (answer.status_code, answer.json().get("code")) == (403, "sign_on_required")

    await wait_until(key_waits_for_its_maker, what="the key of somebody who never signed on to be refused")
    signed_on = (
        "INSERT INTO users.identities (identity_id, user_id, issuer, subject, provider, title, linked_at,"
        " sign_on_tenant_id) VALUES ($1, $2, 'https://id.example', $1, $3, 'Acme', clock_timestamp(), $3)"
    )
    await change(federated, signed_on, new_id("identity"), paul.user_id, tenant_id)
    assert (await federated.http.get(path, headers=key)).status_code == 200
    base = federated.settings.public_url
    async with httpx.AsyncClient(base_url=base, cookies=from_before, timeout=20, trust_env=False, verify=False) as his:
        page = await his.get(f"/account/tenants/{tenant_id}")
        assert page.status_code == 403
        assert f'href="{start}?next=/account/tenants/{tenant_id}"' in page.text

    provider.person = Someone("joe-1", "joe@acme.example", name="Joe")
    page = await browser.get("/account/sign-in/organisation")
    form = {"csrf_token": form_token(page), "email": "anybody@acme.example"}
    found = await browser.post("/account/sign-in/organisation", data=form)
    link = found.text.partition('href="/v1/auth/oauth/')[2].partition('"')[0].replace("&amp;", "&")

    async def is_told() -> bool:
        home = await follow(browser, f"/v1/auth/oauth/{link}")
        return home.url.path == "/account"

    await wait_until(is_told, what="the users domain to know of the tenant's sign-on")
    joe = await me(browser)
    assert (joe["email"], joe["name"]) == ("joe@acme.example", "Joe")

    async def is_member() -> bool:
        return [(each["id"], each["role"]) for each in (await me(browser))["tenants"]] == [(tenant_id, "viewer")]

    await wait_until(is_member, what="the membership")
    [session] = (await browser.get("/v1/me/sessions")).json()["data"]
    assert session["method"] == "sign_on"
    assert (await browser.get(path)).status_code == 200
    assert (await browser.get(f"/account/tenants/{tenant_id}")).status_code == 200

    late = await federated.http.post(
        "/v1/auth/register", json={"email": "ann@acme.example", "password": PASSPHRASE, "name": "Ann"}
    )
    assert late.status_code == 201
    token = await federated.token_mailed_to("ann@acme.example", "verify")
    assert (await federated.http.post("/v1/auth/email/verify", json={"token": token})).status_code == 200
    answers = [
        await federated.http.post("/v1/auth/login", json={"email": email, "password": PASSPHRASE})
        for email in ("ann@acme.example", "nobody@acme.example", olga.email)
    ]
    assert [answer.status_code for answer in answers] == [401, 401, 200], "an owner gets in, so that it can be mended"
    told = [{**answer.json(), "trace_id": None} for answer in answers[:2]]
    assert told[0] == told[1]
