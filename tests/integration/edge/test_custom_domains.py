"""A tenant's own host, through the whole platform: claimed, proven, signed in at, mailed from, and closed to others."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio

from prog_contracts.ids import new_id
from prog_kit.identity_providers import IdentityProvider as Configured
from tests.authenticator import Authenticator
from tests.dns_server import DnsServer
from tests.identity_provider import CLIENT_ID, CLIENT_SECRET, IdentityProvider, Someone
from tests.integration.edge.stage import PASSPHRASE, Person, Stage
from tests.servers import TestServers
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOST = "accounts.acme.example"
RECORD = f"_prognetwork-host.{HOST}"


class Loopback(httpx.AsyncBaseTransport):
    """Goes to this machine for every name, as a DNS would lead there."""

    def __init__(self) -> None:
        self._inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._inner.handle_async_request(
            httpx.Request(
                request.method,
                request.url.copy_with(host="127.0.0.1"),
                headers=request.headers,
                stream=request.stream,
                extensions=request.extensions,
            )
        )

    async def aclose(self) -> None:
        await self._inner.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def names() -> AsyncIterator[DnsServer]:
    async with DnsServer() as names:
        yield names


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[IdentityProvider]:
    async with IdentityProvider() as provider:
        yield provider


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(
    module_postgres: str, servers: TestServers, names: DnsServer, provider: IdentityProvider
) -> AsyncIterator[Stage]:
    social = Configured(
        kind="oidc",
        name="social",
        title="Social",
        issuer=provider.issuer,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
    )
    settings = {"dns_servers": (names.address,), "identity_providers": (social,)}
    async with Stage(module_postgres, servers.empty_valkey(), **settings) as stage:
        yield stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def olga(stage: Stage, names: DnsServer) -> Person:
    """The owner of Acme, whose domain is active."""
    olga = await stage.person("olga@acme.example", "Olga")
    await stage.tenant_of(olga, "Acme Ltd")
    path = f"/v1/tenants/{olga.tenant_id}"
    looks = {"branding": {"name": "Acme Industries", "accent_light": "#0b6b4f"}}
    saved = await olga.request("PUT", f"{path}/config", json={"settings": looks}, headers={"If-Match": "*"})
    assert saved.status_code == 200, saved.text
    claimed = await olga.post(f"{path}/custom-domains", {"domain": HOST})
    assert (claimed["status"], claimed["record_name"], claimed["target"]) == ("pending", RECORD, "127.0.0.1")
    early = await olga.request("POST", f"{path}/custom-domains/{HOST}/check")
    assert (early.status_code, early.json()["code"]) == (409, "dns_record_missing")
    assert (await stage.http.get("/account/sign-in", headers={"Host": HOST})).status_code == 421
    names.records[RECORD] = [claimed["record_value"]]
    names.addresses[HOST] = ["127.0.0.1"]
    checked = await olga.post(f"{path}/custom-domains/{HOST}/check")
    assert (checked["status"], checked["problem"]) == ("active", None)
    [listed] = (await olga.get(f"{path}/custom-domains"))["data"]
    assert (listed["status"], listed["url"]) == ("active", site_of(stage))
    return olga


def site_of(stage: Stage) -> str:
    return f"http://{HOST}:{stage.port}"


@asynccontextmanager
async def browser_at(stage: Stage, base: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A browser, at the tenant's host unless it is told another."""
    async with httpx.AsyncClient(base_url=base or site_of(stage), transport=Loopback(), timeout=20) as browser:
        yield browser


async def send(browser: httpx.AsyncClient, page: str, action: str | None = None, **values: str) -> httpx.Response:
    """Sends the form of a page."""
    text = (await browser.get(page)).text
    token = text.partition('name="csrf_token" value="')[2].partition('"')[0]
    return await browser.post(action or page.partition("?")[0], data={"csrf_token": token, **values})


async def sign_in(browser: httpx.AsyncClient, email: str, next_address: str = "") -> httpx.Response:
    return await send(browser, "/account/sign-in", email=email, password=PASSPHRASE, next=next_address)


async def link_mailed_to(stage: Stage, email: str, path: str) -> str:
    """The newest link to a page, in a mail to an address."""
    found: list[str] = []

    async def arrived() -> bool:
        for mail in (await stage.http.get("/v1/mailbox", params={"to": email})).json()["data"]:
            text = (await stage.http.get(f"/v1/mailbox/{mail['id']}")).json()["text"]
            found.extend(line for line in text.splitlines() if path in line)
        return bool(found)

    await wait_until(arrived, within_seconds=20, what=f"a mail to {email} with a link to {path}")
    return found[0]


async def test_people_sign_in_under_the_tenant_s_host_with_its_looks(stage: Stage, olga: Person) -> None:
    async with browser_at(stage) as browser:
        page = await browser.get("/account/sign-in")
        assert "Acme Industries" in page.text
        assert f"/brand/{olga.tenant_id}/" in page.text
        assert "ProgNetwork" not in page.text
        assert (await sign_in(browser, olga.email)).headers["location"] == "/account"
        assert (await browser.get("/account")).headers["location"] == f"/account/tenants/{olga.tenant_id}"
        home = await browser.get(f"/account/tenants/{olga.tenant_id}")
        assert home.status_code == 200
        assert "Acme Ltd" in home.text
        for path in ("/v1/me", "/admin", "/openapi.json", "/.well-known/openid-configuration", "/pricing"):
            assert (await browser.get(path)).status_code == 404
        elsewhere = await browser.get("/account/security")
        assert elsewhere.status_code == 404
        assert f'href="{stage.settings.public_url}/account/security"' in elsewhere.text


async def test_a_member_of_another_tenant_is_refused_and_the_trail_has_it(stage: Stage, olga: Person) -> None:
    bob = await stage.person("bob@globex.example", "Bob")
    await stage.tenant_of(bob, "Globex")
    async with browser_at(stage) as browser:
        assert (await sign_in(browser, bob.email)).status_code == 303
        for path in ("/account", f"/account/tenants/{olga.tenant_id}", f"/account/tenants/{bob.tenant_id}"):
            refused = await browser.get(path)
            assert refused.status_code in (403, 404)
            assert "Acme Ltd" not in refused.text
        assert (await browser.get("/account")).status_code == 403
    operator = await stage.operator()

    async def recorded() -> bool:
        await stage.platform.audit.flush(everything=True)
        rows: list[dict[str, Any]] = (await operator.get("/v1/audit", params={"outcome": "denial"}))["data"]
        return any(row["code"] == "not_a_member" and row["actor"] == bob.user_id for row in rows)

    await wait_until(recorded, within_seconds=20, what="the denial in the audit trail")


async def test_a_session_is_good_at_its_own_host_alone_whoever_carries_it(stage: Stage, olga: Person) -> None:
    async with browser_at(stage) as there, browser_at(stage, stage.settings.public_url) as here:
        await sign_in(there, olga.email)
        await sign_in(here, olga.email)
        theirs, ours = there.cookies["prog_session"], here.cookies["prog_session"]
        there.cookies.clear()
        here.cookies.clear()
        for browser, cookie, signed_in in (
            (there, theirs, True),
            (here, ours, True),
            (there, ours, False),
            (here, theirs, False),
        ):
            page = await browser.get(f"/account/tenants/{olga.tenant_id}", headers={"Cookie": f"prog_session={cookie}"})
            assert (page.status_code == 200) is signed_in
        api = await here.get("/v1/me", headers={"Cookie": f"prog_session={theirs}"})
        assert api.status_code == 401


async def test_check_11_no_header_makes_a_mail_s_link_lead_elsewhere(stage: Stage, olga: Person) -> None:
    evil = "evil.example"
    for number, headers in enumerate(
        (
            {"X-Forwarded-Host": evil},
            {"Forwarded": f"host={evil}"},
            {"X-Forwarded-Host": HOST},
            {"Origin": f"http://{evil}"},
        )
    ):
        email = f"poisoned{number}@acme.example"
        body = {"email": email, "password": PASSPHRASE, "name": "Ada"}
        answer = await stage.http.post("/v1/auth/register", json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        assert (await link_mailed_to(stage, email, "/account/verify")).startswith(stage.settings.public_url)
    unknown = {"email": "poisoned@acme.example", "password": PASSPHRASE, "name": "Ada"}
    answer = await stage.http.post("/v1/auth/register", json=unknown, headers={"Host": evil})
    assert (answer.status_code, answer.json()["code"]) == (421, "unknown_host")


async def test_an_invited_person_comes_in_at_the_tenant_s_host_from_the_mail_on(
    stage: Stage, names: DnsServer, olga: Person
) -> None:
    """Their address is of a domain that the tenant has proven, so the link that verifies it leads there, too."""
    path, email = f"/v1/tenants/{olga.tenant_id}", "ivan@acme.example"
    claimed = await olga.post(f"{path}/domains", {"domain": "acme.example"})
    names.records[claimed["record_name"]] = [claimed["record_value"]]
    proven = await olga.request("POST", f"{path}/domains/acme.example/check")
    assert proven.status_code == 204, proven.text
    await olga.post(f"{path}/invitations", {"email": email, "role": "member"})
    invitation = await link_mailed_to(stage, email, "/account/invitations/accept")
    assert invitation.startswith(f"{site_of(stage)}/")

    async def knows_the_addresses() -> bool:
        rows = await query(stage, "SELECT FROM email.sites WHERE 'acme.example' = ANY (address_domains)")
        return bool(rows)

    await wait_until(knows_the_addresses, within_seconds=20, what="the email domain to know whose the addresses are")
    async with browser_at(stage) as browser:
        assert (await browser.get("/account/sign-up")).status_code == 403
        token = invitation.partition("token=")[2]
        made = await send(
            browser,
            f"/account/sign-up?invitation={token}",
            email=email,
            password=PASSPHRASE,
            name="Ivan",
            invitation=token,
        )
        assert made.headers["location"] == "/account/check-your-mail", made.text
        verify = await link_mailed_to(stage, email, "/account/verify")
        assert verify.startswith(f"{site_of(stage)}/")
        await send(browser, verify, "/account/verify", token=verify.partition("token=")[2])
        await sign_in(browser, email)
        assert (await browser.get("/account")).status_code == 403, "invited, and not a member yet"
        joined = await send(browser, invitation, "/account/invitations/accept", token=token)
        assert joined.headers["location"] == f"/account/tenants/{olga.tenant_id}"
        assert (await browser.get(joined.headers["location"])).status_code == 200
        await send(browser, "/account/forgot-password", email=email)
    assert (await link_mailed_to(stage, email, "/account/reset-password")).startswith(f"{site_of(stage)}/")


async def to_the_end(browser: httpx.AsyncClient, address: str) -> httpx.Response:
    """The page at the end of all redirects, whichever host they lead to."""
    answer = await browser.get(address)
    for _ in range(10):
        if not answer.is_redirect:
            return answer
        answer = await browser.get(str(answer.url.join(answer.headers["location"])))
    raise AssertionError("more than 10 redirects")


async def test_the_tenant_s_provider_signs_its_people_in_at_its_host_where_nothing_else_does(
    stage: Stage, olga: Person, provider: IdentityProvider
) -> None:
    path = f"/v1/tenants/{olga.tenant_id}"
    body = {"issuer": provider.issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    configured = await olga.request("PUT", f"{path}/sign-on", json={**body, "default_role": "member", "enforced": True})
    assert configured.status_code == 200, configured.text
    provider.person = Someone("joe-1", "joe@acme.example", name="Joe")
    start = f"/v1/auth/oauth/{olga.tenant_id}/start"
    async with browser_at(stage) as browser:
        page = await browser.get("/account/sign-in")
        assert f"{start}?next=/account" in page.text

        async def is_in() -> bool:
            """Once all domains know of the provider, and of the membership that it brings."""
            await to_the_end(browser, f"{start}?next=/account")
            return (await browser.get(f"/account/tenants/{olga.tenant_id}")).status_code == 200

        await wait_until(is_in, within_seconds=60, what="the tenant's page, through its own provider")
        assert browser.cookies.get("prog_session", domain=HOST)
        assert browser.cookies.get("prog_session", domain="127.0.0.1") is None, "nobody is signed in at the platform"
        again = await browser.get(f"/account/sign-in/again?next=/account/tenants/{olga.tenant_id}")
        link = again.text.partition(f'href="{start}')[2].partition('"')[0].replace("&amp;", "&")
        fresh = await to_the_end(browser, f"{start}{link}")
        assert (fresh.status_code, fresh.url.host, fresh.url.path) == (200, HOST, f"/account/tenants/{olga.tenant_id}")
    body["default_role"] = "member"
    assert (await olga.request("PUT", f"{path}/sign-on", json=body)).status_code == 200


async def test_check_19_another_provider_signs_in_there_and_its_answer_is_worth_nothing_elsewhere(
    stage: Stage, olga: Person, provider: IdentityProvider
) -> None:
    provider.person = Someone("gus-1", "gus@guests.example", name="Gus")
    start = "/v1/auth/oauth/social/start?next=/account"
    async with browser_at(stage) as mine, browser_at(stage) as theirs, browser_at(stage) as here:
        hand_on = await to_the_end(mine, start)
        assert (hand_on.url.host, hand_on.status_code) == ("127.0.0.1", 200)
        assert f"Continue to {HOST}" in hand_on.text
        onward = hand_on.text.partition(f'href="{site_of(stage)}')[2].partition('"')[0].replace("&amp;", "&")
        await theirs.get(start)  # has begun with an answer of its own to wait for
        for browser, address in ((theirs, onward), (here, f"{stage.settings.public_url}{onward}")):
            refused = await browser.get(address)
            assert "prog_session" not in refused.cookies
            assert refused.status_code == 303 or f"Continue to {HOST}" in refused.text
        entered = await mine.get(onward)
        assert (entered.status_code, entered.headers["location"]) == (303, "/account")
        assert (await mine.get("/account")).status_code == 403, "signed in, and no member"
        twice = await mine.get(onward)
        assert twice.headers["location"].startswith("/account/sign-in")


async def test_a_passkey_of_the_platform_s_opens_a_session_at_the_tenant_s_host(stage: Stage, olga: Person) -> None:
    pia, device = await stage.person("pia@elsewhere.example", "Pia"), Authenticator(f"http://localhost:{stage.port}")
    await olga.post(f"/v1/tenants/{olga.tenant_id}/invitations", {"email": pia.email, "role": "member"})
    await pia.post("/v1/invitations/accept", {"token": await stage.token_mailed_to(pia.email, "invite")})
    offer = await pia.post("/v1/me/mfa/passkeys/begin")
    made = {"passkey_token": offer["passkey_token"], "credential": device.make(offer["public_key"]), "name": "Phone"}
    await pia.post("/v1/me/mfa/passkeys", made)
    home = f"/account/tenants/{olga.tenant_id}"

    async def answered(browser: httpx.AsyncClient, purpose: str) -> str:
        """Where the platform's page leads once the passkey has signed."""
        asked = (await browser.get(f"/account/passkey/ask?for={purpose}&next={home}")).headers["location"]
        assert asked.startswith(f"http://localhost:{stage.port}/account/passkey/for-host?")
        text = html.unescape((await browser.get(asked)).text)
        options = orjson.loads(text.partition('data-passkey-options="')[2].partition('" ')[0])
        form = dict(re.findall(r'name="(csrf_token|passkey_token)" value="([^"]+)"', text))
        form["credential"] = orjson.dumps(device.sign(options)).decode()
        await stage.platform.redis.delete("prog:limits:auth:127.0.0.1")
        sent = await browser.post(asked, data=form)
        assert sent.status_code == 303, sent.text
        assert not await stage.platform.redis.exists("prog:limits:auth:127.0.0.1"), (
            "it is tried where it leads, and counts"
        )
        return str(sent.headers["location"])

    async with browser_at(stage) as mine, browser_at(stage) as theirs:
        for browser in (mine, theirs):
            await browser.get("/account/sign-in")
        back = await answered(mine, "sign_in")
        stolen = await theirs.get(back)
        assert stolen.headers["location"].startswith("/account/sign-in"), "it is bound to the browser that asked"
        entered = await mine.get(back)
        assert entered.headers["location"] == home, entered.text
        assert (await mine.get(home)).status_code == 200
        assert (await mine.get(back)).headers["location"].startswith("/account/sign-in"), "and good for one answer"
        stepped_up = await mine.get(await answered(mine, "step_up"))
        assert stepped_up.headers["location"] == home
    async with browser_at(stage) as browser:
        await sign_in(browser, pia.email)
        completed = await browser.get(await answered(browser, "second_step"))
        assert completed.headers["location"] == home
        assert (await browser.get(home)).status_code == 200


async def test_a_sign_in_there_costs_one_try_and_so_does_each_guess(
    stage: Stage, olga: Person, provider: IdentityProvider
) -> None:
    """Whatever the browser is led through; only what could be a guess, or asks a server, is one."""
    provider.person = Someone("gus-1", "gus@guests.example", name="Gus")
    start = "/v1/auth/oauth/social/start?next=/account"
    counted = "prog:limits:auth:127.0.0.1"

    async def tries() -> int:
        units = await stage.platform.redis.hvals(counted)
        await stage.platform.redis.delete(counted)
        return sum(map(int, units))

    async with browser_at(stage) as browser:
        await browser.get(start)  # what there is to know of the provider is known now
        await tries()
        assert (await sign_in(browser, olga.email)).status_code == 303
        assert await tries() == 1
        hand_on = await to_the_end(browser, start)
        onward = hand_on.text.partition(f'href="{site_of(stage)}')[2].partition('"')[0].replace("&amp;", "&")
        assert await tries() == 0, "so far nothing was asked or tried"
        assert (await browser.get(onward)).status_code == 303
        assert await tries() == 1
        await browser.get(f"/account/passkey/ask?next=/account/tenants/{olga.tenant_id}")
        assert await tries() == 0
    async with browser_at(stage) as browser:
        await browser.get(start)
        state = onward.partition("state=")[2].partition("&")[0]
        for number, address in enumerate((site_of(stage), site_of(stage), stage.settings.public_url)):
            forged = f"{address}/v1/auth/oauth/social/callback?code=guess{number}&state="
            await browser.get(f"{forged}{state if address == site_of(stage) else 'made-up'}")
        assert await tries() == 3, "a code that is tried counts where it is tried"
        for _ in range(2):
            await browser.get("/account/passkey/answer?answer=made-up")
            await send(browser, "/account/sign-in", email=olga.email, password="wrong")
        assert await tries() == 4
        await send(browser, "/account/sign-in-link", email="nobody@elsewhere.example")
        await send(browser, "/account/sign-in-link/open?token=made-up", token="made-up")
        assert await tries() == 2


async def query(stage: Stage, statement: str) -> list[Any]:
    return list(await stage.administrator.fetch(statement))


async def test_a_proxy_learns_for_which_names_it_may_have_certificates_and_nothing_else(
    stage: Stage, olga: Person
) -> None:
    async def ask(domain: str, **headers: str) -> tuple[int, bytes]:
        answer = await stage.http.get("/internal/tls/allowed", params={"domain": domain}, headers=headers)
        return answer.status_code, answer.content

    assert await ask(HOST) == (204, b"")
    assert await ask(HOST.upper() + ".") == (204, b"")
    for domain in (
        "",
        "evil.example",
        f"x.{HOST}",
        "127.0.0.1",
        "acme.example",
        "x" * 5000,
        f"{HOST}/x",
        "*.acme.example",
    ):
        status, content = await ask(domain)
        assert status == 404
        assert olga.tenant_id is not None
        assert olga.tenant_id.encode() not in content
    assert (await ask(HOST, **{"X-Forwarded-For": "192.0.2.1"}))[0] == 404, "not for whoever comes through a proxy"


async def test_changes_take_a_fresh_sign_in_and_a_role(stage: Stage, olga: Person) -> None:
    path = f"/v1/tenants/{olga.tenant_id}/custom-domains"
    bad = await olga.request("POST", path, json={"domain": "127.0.0.1"}, headers={"Idempotency-Key": new_id("key")})
    assert (bad.status_code, bad.json()["errors"][0]["code"]) == (422, "address_not_allowed")
    aged = "UPDATE users.sessions SET created_at = created_at - interval '11 minutes'"
    await query(stage, f"{aged} WHERE user_id = '{olga.user_id}'")
    for method, address in (("POST", path), ("POST", f"{path}/{HOST}/check"), ("DELETE", f"{path}/{HOST}")):
        answer = await olga.request(method, address, json={"domain": HOST} if address == path else None)
        assert (answer.status_code, answer.json()["code"]) == (403, "fresh_sign_in_required")


async def test_what_is_released_is_served_no_more_and_mails_fall_back(stage: Stage, olga: Person) -> None:
    """The last: it takes the domain away."""
    again = await stage.sign_in(olga.email)
    again.tenant_id = olga.tenant_id
    path = f"/v1/tenants/{olga.tenant_id}"
    assert (await again.request("DELETE", f"{path}/custom-domains/{HOST}")).status_code == 204
    async with browser_at(stage) as browser:
        assert (await browser.get("/account/sign-in")).status_code == 421

    async def is_told() -> bool:
        return not await query(stage, "SELECT FROM email.sites WHERE mail_domain IS NOT NULL")

    await wait_until(is_told, within_seconds=20, what="the email domain to hear of it")
    await again.post(f"{path}/invitations", {"email": "late@elsewhere.example", "role": "viewer"})
    invitation = await link_mailed_to(stage, "late@elsewhere.example", "/account/invitations/accept")
    assert invitation.startswith(stage.settings.public_url)
