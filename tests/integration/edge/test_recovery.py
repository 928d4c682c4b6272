"""A forgotten password over HTTP and on the pages, on the whole platform; no test here runs a line of JavaScript."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest
import pytest_asyncio

from tests.integration.edge.stage import PASSPHRASE, Stage
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

NEW = "a wholly different sentence"


@pytest_asyncio.fixture
async def browser(stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=stage.settings.public_url, timeout=20, verify=False, follow_redirects=True
    ) as client:
        yield client


async def sign_in(stage: Stage, email: str, password: str) -> int:
    return (await stage.http.post("/v1/auth/login", json={"email": email, "password": password})).status_code


def hidden(page: httpx.Response, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]+)"', page.text)
    assert found, page.text[:500]
    return found[1]


async def test_a_forgotten_password_is_replaced_over_the_api(stage: Stage) -> None:
    ada = await stage.person("forgot@recovery.example")
    asked = await stage.http.post("/v1/auth/password/forgot", json={"email": ada.email})
    assert (asked.status_code, asked.content) == (204, b"")
    token = await stage.token_mailed_to(ada.email, "reset")
    short = await stage.http.post("/v1/auth/password/reset", json={"token": token, "password": "short"})
    assert (short.status_code, short.json()["errors"][0]["field"]) == (422, "password")
    assert (await stage.http.post("/v1/auth/password/reset", json={"token": token, "password": NEW})).status_code == 204
    again = await stage.http.post("/v1/auth/password/reset", json={"token": token, "password": NEW + "!"})
    assert (again.status_code, again.json()["errors"][0]["code"]) == (422, "token_invalid")
    assert await sign_in(stage, ada.email, PASSPHRASE) == 401
    assert await sign_in(stage, ada.email, NEW) == 200

    async def told() -> bool:
        mails = (await stage.http.get("/v1/mailbox", params={"to": ada.email})).json()["data"]
        return "Your password was changed" in {mail["subject"] for mail in mails}

    await wait_until(told, what="a mail that tells of the change")


async def test_check_17_a_new_password_ends_refresh_and_access_tokens(stage: Stage) -> None:
    ada = await stage.person("ended@recovery.example")
    await stage.http.post("/v1/auth/password/forgot", json={"email": ada.email})
    token = await stage.token_mailed_to(ada.email, "reset")
    await stage.http.post("/v1/auth/password/reset", json={"token": token, "password": NEW})
    refreshed = await stage.http.post("/v1/auth/refresh", json={"refresh_token": ada.tokens["refresh_token"]})
    assert refreshed.status_code == 401

    async def refused() -> bool:
        return (await ada.request("GET", "/v1/me")).status_code == 401

    await wait_until(refused, what="the access token to be refused, within the five seconds of prog_edge.directory")


async def test_check_04_unknown_unverified_and_known_are_answered_before_anybody_looks(stage: Stage) -> None:
    """The rows of the accounts are locked, so nobody can look: all are answered all the same, and all alike."""
    known = await stage.person("known@recovery.example")
    body = {"email": "unverified@recovery.example", "password": PASSPHRASE, "name": "Somebody"}
    assert (await stage.http.post("/v1/auth/register", json=body)).status_code == 201
    administrator = await asyncpg.connect(stage.settings.database_url)
    answers = []
    async with administrator.transaction():
        await administrator.fetch("SELECT FROM users.users WHERE email LIKE '%@recovery.example' FOR UPDATE")
        for path in ("/v1/auth/password/forgot", "/v1/auth/magic-link", "/v1/auth/email/resend"):
            for email in (known.email, body["email"], "nobody@recovery.example"):
                headers = {"Prefer": "wait=10"}
                answers.append(await stage.http.post(path, json={"email": email}, headers=headers))
    await administrator.close()
    assert {(answer.status_code, answer.content) for answer in answers} == {(204, b"")}
    assert len({tuple(sorted(answer.headers.keys())) for answer in answers}) == 1
    await stage.token_mailed_to(known.email, "reset")
    await stage.token_mailed_to(body["email"], "reset")


async def test_check_11_the_host_of_a_request_never_reaches_a_mail(stage: Stage) -> None:
    ada = await stage.person("host@recovery.example")
    body = {"email": ada.email}
    refused = await stage.http.post("/v1/auth/password/forgot", json=body, headers={"Host": "evil.example"})
    assert (refused.status_code, refused.json()["code"]) == (421, "unknown_host")
    headers = {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example", "Origin": "http://evil.example"}
    asked = await stage.http.post("/v1/auth/password/forgot", json=body, headers=headers)
    assert asked.status_code == 204
    token = await stage.token_mailed_to(ada.email, "reset")
    mails = (await stage.http.get("/v1/mailbox", params={"to": ada.email})).json()["data"]
    texts = [(await stage.http.get(f"/v1/mailbox/{mail['id']}")).json() for mail in mails]
    assert "evil.example" not in str(texts)
    assert f"{stage.settings.public_url}/account/reset-password?token={token}" in str(texts)


async def test_check_10_a_link_that_is_only_looked_at_stays_good_and_the_pages_need_no_script(
    stage: Stage, browser: httpx.AsyncClient
) -> None:
    ada = await stage.person("pages@recovery.example")
    page = await browser.get("/account/forgot-password")
    form = {"csrf_token": hidden(page, "csrf_token"), "email": ada.email}
    sent = await browser.post("/account/forgot-password", data=form)
    assert "Check your mail" in sent.text
    token = await stage.token_mailed_to(ada.email, "reset")
    for _ in range(3):
        page = await browser.get("/account/reset-password", params={"token": token})
        await browser.head("/account/reset-password", params={"token": token})
    form = {name: hidden(page, name) for name in ("csrf_token", "idempotency_key", "token")}
    wrong = await browser.post("/account/reset-password", data={**form, "password": "short"})
    assert (wrong.status_code, hidden(wrong, "token")) == (422, token)
    form = {name: hidden(wrong, name) for name in ("csrf_token", "idempotency_key", "token")}
    changed = await browser.post("/account/reset-password", data={**form, "password": NEW})
    assert (changed.url.path, changed.status_code) == ("/account/sign-in", 200)
    assert "Your password is changed" in changed.text
    assert await sign_in(stage, ada.email, NEW) == 200
    again = await browser.post(
        "/account/reset-password", data={**form, "idempotency_key": "another", "password": "one more sentence"}
    )
    assert "This link does not work" in again.text


async def test_no_address_and_no_token_breaks_a_thing(stage: Stage) -> None:
    for email in ("nobody", "@", "a\0b@recovery.example", "x" * 255 + "@recovery.example", "a@b"):
        answer = await stage.http.post("/v1/auth/password/forgot", json={"email": email})
        assert answer.status_code == 422, email
    for token in ("", "x" * 201, "prog_reset_" + "a" * 43, "prog_verify_" + "a" * 43, "prog_reset_\0"):
        answer = await stage.http.post("/v1/auth/password/reset", json={"token": token, "password": NEW})
        assert answer.status_code == 422, token


async def test_check_10_a_sign_in_link_that_is_only_looked_at_stays_good(
    stage: Stage, browser: httpx.AsyncClient
) -> None:
    ada = await stage.person("magic@recovery.example")
    page = await browser.get("/account/sign-in-link")
    sent = await browser.post(
        "/account/sign-in-link", data={"csrf_token": hidden(page, "csrf_token"), "email": ada.email}
    )
    assert "Check your mail" in sent.text
    token = await stage.token_mailed_to(ada.email, "magic")
    for _ in range(3):
        page = await browser.get("/account/sign-in-link/open", params={"token": token})
    form = {name: hidden(page, name) for name in ("csrf_token", "token")}
    entered = await browser.post("/account/sign-in-link/open", data=form)
    assert (entered.url.path, entered.status_code) == ("/account", 200)
    assert (await browser.get("/v1/me")).json()["email"] == ada.email
    browser.cookies.clear()
    page = await browser.get("/account/sign-in-link/open", params={"token": token})
    again = await browser.post("/account/sign-in-link/open", data={**form, "csrf_token": hidden(page, "csrf_token")})
    assert "This link does not work" in again.text


async def test_a_link_signs_in_over_the_api(stage: Stage) -> None:
    ada = await stage.person("magic-api@recovery.example")
    asked = await stage.http.post("/v1/auth/magic-link", json={"email": ada.email})
    unknown = await stage.http.post("/v1/auth/magic-link", json={"email": "nobody@recovery.example"})
    assert (asked.status_code, asked.content) == (unknown.status_code, unknown.content) == (204, b"")
    token = await stage.token_mailed_to(ada.email, "magic")
    headers = {"Prefer": "respond-async"}
    good = await stage.http.post("/v1/auth/magic-link/consume", json={"token": token}, headers=headers)
    assert good.status_code == 200, "credentials are never put off to an operation"
    assert good.json()["user_id"] == ada.user_id
    again = await stage.http.post("/v1/auth/magic-link/consume", json={"token": token})
    assert (again.status_code, again.json()["errors"][0]["code"]) == (422, "token_invalid")
