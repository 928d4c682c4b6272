"""Sessions seen and ended, over HTTP and on the pages, on the whole platform."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from prog_contracts.ids import new_id
from tests.integration.edge.stage import PASSPHRASE, Person, Stage
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest_asyncio.fixture
async def browser(stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"User-Agent": FIREFOX}
    async with httpx.AsyncClient(
        base_url=stage.settings.public_url, timeout=20, follow_redirects=True, headers=headers, verify=False
    ) as client:
        yield client


def hidden(page: httpx.Response, name: str) -> str:
    """The last such field: the frame's own form for the theme comes first."""
    found: list[str] = re.findall(rf'name="{name}" value="([^"]+)"', page.text)
    assert found, page.text[:500]
    return found[-1]


async def enter(browser: httpx.AsyncClient, email: str) -> None:
    page = await browser.get("/account/sign-in")
    form = {"csrf_token": hidden(page, "csrf_token"), "email": email, "password": PASSPHRASE}
    assert (await browser.post("/account/sign-in", data=form)).url.path == "/account"


async def age_sessions(stage: Stage, person: Person) -> None:
    """As if everybody had signed in an hour ago."""
    await stage.administrator.execute(
        "UPDATE users.sessions SET created_at = created_at - interval '1 hour' WHERE user_id = $1", person.user_id
    )


async def test_check_16_sessions_are_listed_with_device_and_last_use(stage: Stage) -> None:
    ada = await stage.person("listed@sessions.example")
    login = {"email": ada.email, "password": PASSPHRASE}
    other = (await stage.http.post("/v1/auth/login", json=login, headers={"User-Agent": FIREFOX})).json()
    listing = await ada.get("/v1/me/sessions")
    assert listing["next_cursor"] is None
    by_id = {session["id"]: session for session in listing["data"]}
    assert by_id.keys() == {ada.tokens["session_id"], other["session_id"]}
    assert [by_id[ada.tokens["session_id"]]["current"], by_id[other["session_id"]]["current"]] == [True, False]
    assert by_id[other["session_id"]]["device"] == "Firefox on Linux"
    assert by_id[other["session_id"]]["client_address"] == "127.0.0.1"
    assert by_id[other["session_id"]]["last_used_at"] >= by_id[other["session_id"]]["created_at"]


async def test_check_17_an_ended_session_is_shut_out_within_seconds(stage: Stage) -> None:
    ada = await stage.person("ended@sessions.example")
    other = await stage.sign_in(ada.email)
    assert (await other.request("GET", "/v1/me")).status_code == 200
    assert (await ada.request("DELETE", f"/v1/me/sessions/{other.tokens['session_id']}")).status_code == 204

    async def refused() -> bool:
        return (await other.request("GET", "/v1/me")).status_code == 401

    await wait_until(refused, what="the access token to be refused, within the five seconds of prog_edge.directory")
    refresh = await stage.http.post("/v1/auth/refresh", json={"refresh_token": other.tokens["refresh_token"]})
    assert refresh.status_code == 401
    assert len((await ada.get("/v1/me/sessions"))["data"]) == 1


async def test_check_16_an_old_session_ends_no_other_until_its_person_signs_in_again(stage: Stage) -> None:
    ada = await stage.person("old@sessions.example")
    other = await stage.sign_in(ada.email)
    await age_sessions(stage, ada)
    for path in (f"/v1/me/sessions/{other.tokens['session_id']}", "/v1/me/sessions"):
        denied = await ada.request("DELETE", path)
        assert (denied.status_code, denied.json()["code"]) == (403, "fresh_sign_in_required")
    fresh = await stage.sign_in(ada.email)
    assert (await fresh.request("DELETE", "/v1/me/sessions")).status_code == 204
    assert [session["id"] for session in (await fresh.get("/v1/me/sessions"))["data"]] == [fresh.tokens["session_id"]]


async def test_a_session_of_somebody_else_does_not_exist(stage: Stage) -> None:
    ada, bob = await stage.person("ada@sessions.example"), await stage.person("bob@sessions.example")
    for session_id in (bob.tokens["session_id"], new_id("session"), bob.user_id, "nonsense"):
        answer = await ada.request("DELETE", f"/v1/me/sessions/{session_id}")
        assert (answer.status_code, answer.json()["code"]) == (404, "session_not_found")
    assert (await bob.request("GET", "/v1/me")).status_code == 200


async def test_check_16_the_page_asks_for_a_fresh_sign_in_and_gives_the_session_a_new_id(
    stage: Stage, browser: httpx.AsyncClient
) -> None:
    ada = await stage.person("pages@sessions.example")
    await enter(browser, ada.email)
    await age_sessions(stage, ada)
    page = await browser.get("/account/sessions")
    assert "Firefox on Linux" in page.text
    assert "python-httpx" in page.text
    before = browser.cookies["prog_session"]
    asked = await browser.post("/account/sessions/end", data={"csrf_token": hidden(page, "csrf_token")})
    assert asked.url.path == "/account/sign-in/again"
    form = {"csrf_token": hidden(asked, "csrf_token"), "next": hidden(asked, "next")}
    wrong = await browser.post("/account/sign-in/again", data={**form, "password": "not this one"})
    assert wrong.status_code == 422
    again = await browser.post("/account/sign-in/again", data={**form, "password": PASSPHRASE})
    assert again.url.path == "/account/sessions"
    old = {"Cookie": f"prog_session={before}"}

    async def shut_out() -> bool:
        return (await stage.http.get("/account", headers=old, follow_redirects=False)).status_code == 303

    await wait_until(shut_out, what="the session before to be shut out, within the five seconds of prog_edge.directory")
    done = await browser.post("/account/sessions/end", data={"csrf_token": hidden(again, "csrf_token")})
    assert "Signed out everywhere else." in done.text
    assert "python-httpx" not in done.text
    form = {"csrf_token": hidden(done, "csrf_token"), "session_id": hidden(done, "session_id")}
    out = await browser.post("/account/sessions/end", data=form)
    assert out.url.path == "/account/sign-in"
    assert "prog_session" not in browser.cookies
