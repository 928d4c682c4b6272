"""The second factor over HTTP and on the pages, on the whole platform. `check_N` is the security review's check."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import jwt
import pyotp
import pytest
import pytest_asyncio

from prog_contracts.ids import new_id
from prog_infra.errors import OperatorError
from prog_infra.local.administrator import reset_second_factor
from tests.integration.edge.stage import PASSPHRASE, Person, Stage
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

NEW_PASSPHRASE = "another sentence that is good"


class App:
    """An authenticator app, whose person has patience: it never shows a code that was used before."""

    def __init__(self, secret: str) -> None:
        self._codes = pyotp.TOTP(secret)
        self._last = 0

    def code(self) -> str:
        """Of the present step, or of the next one where the present one was used. Both are in the window."""
        self._last = max(int(time.time()) // 30, self._last + 1)
        return self._codes.generate_otp(self._last)


async def as_if_an_hour_ago(stage: Stage, person: Person) -> None:
    """Codes were last used, and sessions opened, an hour before this."""
    await stage.administrator.execute(
        "UPDATE users.totp_factors SET last_step = last_step - 120 WHERE user_id = $1", person.user_id
    )
    await stage.administrator.execute(
        "UPDATE users.sessions SET created_at = created_at - interval '1 hour' WHERE user_id = $1", person.user_id
    )


async def enrolled(stage: Stage, email: str) -> tuple[Person, App, list[str]]:
    """Somebody with an app and recovery codes, signed in with the password alone, before it was set up."""
    person = await stage.person(email)
    started = await person.post("/v1/me/mfa/totp")
    app = App(started["secret"])
    confirmed = await person.post("/v1/me/mfa/totp/confirm", {"code": app.code()})
    await as_if_an_hour_ago(stage, person)
    return person, App(started["secret"]), confirmed["recovery_codes"]


async def login(stage: Stage, email: str, password: str = PASSPHRASE) -> Any:
    answer = await stage.http.post("/v1/auth/login", json={"email": email, "password": password})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def second_step(stage: Stage, pending: Any, code: str, method: str = "totp") -> httpx.Response:
    body = {"mfa_token": pending["mfa_token"], "method": method, "code": code}
    return await stage.http.post("/v1/auth/mfa", json=body)


async def signed_in(stage: Stage, person: Person, app: App) -> Person:
    answer = await second_step(stage, await login(stage, person.email), app.code())
    assert answer.status_code == 200, answer.text
    return Person(stage, person.email, person.user_id, answer.json())


async def test_an_app_is_enrolled_and_asked_for_at_sign_in(stage: Stage) -> None:
    ada = await stage.person("enrols@factors.example")
    assert (await ada.get("/v1/me/mfa"))["totp_enrolled_at"] is None
    started = await ada.post("/v1/me/mfa/totp")
    assert started["otpauth_uri"].startswith("otpauth://totp/ProgNetwork:enrols%40factors.example?secret=")
    assert started["qr_svg"].startswith("<svg ")
    assert "mfa_required" not in await login(stage, ada.email), "nothing changes before it is confirmed"
    wrong = await ada.request("POST", "/v1/me/mfa/totp/confirm", json={"code": "1"})
    assert (wrong.status_code, wrong.json()["code"]) == (401, "invalid_code")
    enrolled_with = App(started["secret"]).code()
    codes = (await ada.post("/v1/me/mfa/totp/confirm", {"code": enrolled_with}))["recovery_codes"]
    assert len(codes) == 10
    has = await ada.get("/v1/me/mfa")
    assert has["totp_enrolled_at"] is not None
    assert has["recovery_codes_left"] == 10
    pending = await login(stage, ada.email)
    assert (pending["mfa_required"], pending["methods"]) == (True, ["totp", "recovery_code"])
    assert not {"access_token", "refresh_token", "session_id"} & pending.keys()
    used = await second_step(stage, pending, enrolled_with)
    assert (used.status_code, used.json()["code"]) == (401, "invalid_code"), "check 7: the code that enrolled"


async def test_check_07_fifty_at_once_with_one_code_are_one_session(stage: Stage) -> None:
    ada, app, _ = await enrolled(stage, "fifty@factors.example")
    pending, code = await login(stage, ada.email), app.code()
    answers = await asyncio.gather(*(second_step(stage, pending, code) for _ in range(50)))
    assert [answer.status_code for answer in answers].count(200) == 1
    assert {answer.status_code for answer in answers} == {200, 401}


async def test_check_08_fifty_at_once_with_one_recovery_code_are_one_session_and_a_mail(stage: Stage) -> None:
    ada, _, codes = await enrolled(stage, "recovers@factors.example")
    pending = await login(stage, ada.email)
    answers = await asyncio.gather(*(second_step(stage, pending, codes[0], "recovery_code") for _ in range(50)))
    assert [answer.status_code for answer in answers].count(200) == 1
    assert (await ada.get("/v1/me/mfa"))["recovery_codes_left"] == 9
    await mailed(stage, ada.email, "A recovery code was used")


async def test_check_16_sessions_and_tokens_tell_how_they_were_opened(stage: Stage) -> None:
    ada, app, _ = await enrolled(stage, "tells@factors.example")
    careful = await signed_in(stage, ada, app)
    listing = {item["id"]: item for item in (await careful.get("/v1/me/sessions"))["data"]}
    assert listing[careful.tokens["session_id"]]["amr"] == ["pwd", "otp", "mfa"]
    assert listing[careful.tokens["session_id"]]["second_factor"] == "totp"
    assert listing[ada.tokens["session_id"]]["amr"] == ["pwd"]
    claims = jwt.decode(careful.tokens["access_token"], options={"verify_signature": False})
    assert claims["amr"] == ["pwd", "otp", "mfa"]
    assert abs(claims["auth_time"] - time.time()) < 120


async def test_check_14_the_token_of_a_waiting_sign_in_is_no_access_token(stage: Stage) -> None:
    ada, _, _ = await enrolled(stage, "purpose@factors.example")
    token = (await login(stage, ada.email))["mfa_token"]
    for path in ("/v1/me", "/v1/me/sessions", "/v1/me/mfa"):
        answer = await stage.http.get(path, headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert (await stage.http.post("/v1/auth/refresh", json={"refresh_token": token})).status_code == 401
    assert (await stage.http.post("/v1/auth/magic-link/consume", json={"token": token})).status_code == 422
    assert (await stage.http.get("/v1/me", headers={"Cookie": f"prog_session={token}"})).status_code == 401


async def test_check_09_a_link_by_mail_and_a_reset_skip_no_second_factor(stage: Stage) -> None:
    ada, app, _ = await enrolled(stage, "skips@factors.example")
    assert (await stage.http.post("/v1/auth/magic-link", json={"email": ada.email})).status_code == 204
    link = await stage.token_mailed_to(ada.email, "magic")
    opened = (await stage.http.post("/v1/auth/magic-link/consume", json={"token": link})).json()
    assert opened["mfa_required"] is True
    assert (await stage.http.post("/v1/auth/password/forgot", json={"email": ada.email})).status_code == 204
    token = await stage.token_mailed_to(ada.email, "reset")
    body = {"token": token, "password": NEW_PASSPHRASE}
    assert (await stage.http.post("/v1/auth/password/reset", json=body)).status_code == 204
    over = await second_step(stage, opened, app.code())
    assert (over.status_code, over.json()["code"]) == (401, "sign_in_over"), "check 10: what was under way is over"
    pending = await login(stage, ada.email, NEW_PASSPHRASE)
    assert (await second_step(stage, pending, app.code())).status_code == 200


async def test_check_16_an_old_session_changes_nothing_until_its_person_steps_up(stage: Stage) -> None:
    ada, app, codes = await enrolled(stage, "steps@factors.example")
    for method, path in (
        ("POST", "/v1/me/mfa/totp"),
        ("POST", "/v1/me/mfa/recovery-codes"),
        ("DELETE", "/v1/me/mfa/totp"),
        ("DELETE", "/v1/me/sessions"),
    ):
        denied = await ada.request(method, path)
        assert (denied.status_code, denied.json()["code"]) == (403, "fresh_sign_in_required"), path
    by_password = await ada.request("POST", "/v1/auth/step-up", json={"password": PASSPHRASE})
    assert (by_password.status_code, by_password.json()["code"]) == (403, "mfa_required")
    both = await ada.request("POST", "/v1/auth/step-up", json={"password": PASSPHRASE, "code": "123456"})
    assert both.status_code == 422
    wrong = await ada.request("POST", "/v1/auth/step-up", json={"code": "wrong"})
    assert (wrong.status_code, wrong.json()["code"]) == (401, "invalid_code")
    stepped = await ada.request("POST", "/v1/auth/step-up", json={"code": app.code()})
    assert stepped.status_code == 200, stepped.text
    fresh = Person(stage, ada.email, ada.user_id, stepped.json())
    assert fresh.tokens["session_id"] != ada.tokens["session_id"], "a new id"

    async def shut_out() -> bool:
        return (await ada.request("GET", "/v1/me")).status_code == 401

    await wait_until(shut_out, what="the session before to be shut out, within the five seconds of prog_edge.directory")
    made = (await fresh.post("/v1/me/mfa/recovery-codes"))["recovery_codes"]
    old = await second_step(stage, await login(stage, ada.email), codes[1], "recovery_code")
    assert (old.status_code, old.json()["code"]) == (401, "invalid_code"), "check 8: a new set kills the old"
    assert (await second_step(stage, await login(stage, ada.email), made[1], "recovery_code")).status_code == 200
    assert (await fresh.request("DELETE", "/v1/me/mfa/totp")).status_code == 204
    assert "access_token" in await login(stage, ada.email)
    await mailed(stage, ada.email, "Two-step verification is off")


async def test_somebody_without_a_second_factor_steps_up_with_the_password(stage: Stage) -> None:
    ada = await stage.person("password@factors.example")
    await as_if_an_hour_ago(stage, ada)
    assert (await ada.request("POST", "/v1/me/mfa/totp")).status_code == 403
    wrong = await ada.request("POST", "/v1/auth/step-up", json={"password": "not this"})
    assert (wrong.status_code, wrong.json()["code"]) == (401, "invalid_credentials")
    stepped = await ada.request("POST", "/v1/auth/step-up", json={"password": PASSPHRASE})
    fresh = Person(stage, ada.email, ada.user_id, stepped.json())
    assert (await fresh.request("POST", "/v1/me/mfa/totp")).status_code == 201


async def test_check_10_a_changed_password_ends_every_other_session_and_open_links(stage: Stage) -> None:
    ada = await stage.person("changes@factors.example")
    other = await stage.sign_in(ada.email)
    assert (await stage.http.post("/v1/auth/magic-link", json={"email": ada.email})).status_code == 204
    link = await stage.token_mailed_to(ada.email, "magic")
    body = {"current_password": "not this one", "password": NEW_PASSPHRASE}
    wrong = await ada.request("POST", "/v1/me/password", json=body)
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (401, "current_password")
    weak = await ada.request("POST", "/v1/me/password", json={"current_password": PASSPHRASE, "password": "password1"})
    assert (weak.status_code, weak.json()["errors"][0]["code"]) == (422, "too_common")
    body["current_password"] = PASSPHRASE
    assert (await ada.request("POST", "/v1/me/password", json=body)).status_code == 204
    assert (await ada.request("GET", "/v1/me")).status_code == 200
    refresh = await stage.http.post("/v1/auth/refresh", json={"refresh_token": other.tokens["refresh_token"]})
    assert refresh.status_code == 401
    assert (await stage.http.post("/v1/auth/magic-link/consume", json={"token": link})).status_code == 422
    assert "access_token" in await login(stage, ada.email, NEW_PASSPHRASE)
    await mailed(stage, ada.email, "Your password was changed")


async def test_an_operator_removes_the_second_factor_of_somebody_who_lost_all(stage: Stage) -> None:
    ada, app, _ = await enrolled(stage, "lost@factors.example")
    careful = await signed_in(stage, ada, app)
    root = await stage.operator()
    path = f"/v1/users/{ada.user_id}/mfa/reset"
    assert (await careful.request("POST", path, json={"reason": "mine"})).status_code == 403
    assert (await root.request("POST", path, json={})).status_code == 422
    assert (await root.request("POST", path, json={"reason": "   "})).status_code == 422
    for unknown in (new_id("user"), "user_1", careful.tokens["session_id"]):
        answer = await root.request("POST", f"/v1/users/{unknown}/mfa/reset", json={"reason": "lost"})
        assert (answer.status_code, answer.json()["code"]) == (404, "user_not_found")
    assert (await root.request("POST", path, json={"reason": "phone and codes lost, called back"})).status_code == 204
    assert "access_token" in await login(stage, ada.email)
    refresh = await stage.http.post("/v1/auth/refresh", json={"refresh_token": careful.tokens["refresh_token"]})
    assert refresh.status_code == 401, "sessions end"
    await mailed(stage, ada.email, "Two-step verification was removed for you")
    again = await root.request("POST", path, json={"reason": "again"})
    assert (again.status_code, again.json()["code"]) == (404, "no_second_factor")


async def test_prog_admin_removes_it_when_no_operator_can_sign_in(stage: Stage) -> None:
    ada, _, _ = await enrolled(stage, "admin@factors.example")
    for email, told in (("nobody@factors.example", "no such account"), ("admin@factors", "could not be removed")):
        with pytest.raises(OperatorError, match=told):
            await asyncio.to_thread(reset_second_factor, email, "lost", settings=stage.settings)
    await asyncio.to_thread(reset_second_factor, "Admin@Factors.Example", "lost all", settings=stage.settings)
    assert "access_token" in await login(stage, ada.email)
    with pytest.raises(OperatorError, match="There is no second factor"):
        await asyncio.to_thread(reset_second_factor, ada.email, "again", settings=stage.settings)


async def test_forged_and_odd_bodies_are_clear_problems(stage: Stage) -> None:
    for body, status in (
        ({"mfa_token": "nonsense", "code": "123456"}, 401),
        ({"mfa_token": f"prog_mfa_{new_id('user')[5:]}_{'a' * 43}", "code": "123456"}, 401),
        ({"mfa_token": "x", "code": ""}, 422),
        ({"mfa_token": "x", "code": "1" * 41}, 422),
        ({"mfa_token": "x" * 201, "code": "1"}, 422),
        ({"mfa_token": "x", "code": "1", "method": "sms"}, 422),
        ({"mfa_token": "x", "code": "a\0b"}, 422),
        ({"code": "1"}, 422),
    ):
        answer = await stage.http.post("/v1/auth/mfa", json=body)
        assert answer.status_code == status, (body, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"


async def mailed(stage: Stage, email: str, subject: str) -> None:
    async def arrived() -> bool:
        rows = (await stage.http.get("/v1/mailbox", params={"to": email})).json()["data"]
        return any(row["subject"] == subject for row in rows)

    await wait_until(arrived, within_seconds=30, what=f"a mail to {email}: {subject}")


# -- pages -------------------------------------------------------------------------------------------------------------


@pytest_asyncio.fixture(loop_scope="module")
async def browser(stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=stage.settings.public_url, timeout=20, follow_redirects=True, verify=False
    ) as client:
        yield client


def hidden(page: httpx.Response, name: str) -> str:
    """The last such field: the frame's own forms come first."""
    found: list[str] = re.findall(rf'name="{name}" value="([^"]+)"', page.text)
    assert found, page.text[:500]
    return found[-1]


def shown_codes(page: httpx.Response) -> list[str]:
    return re.findall(r'<code class="mono">([0-9a-z-]{14})</code>', page.text)


async def test_the_pages_enrol_ask_for_the_code_and_step_up(stage: Stage, browser: httpx.AsyncClient) -> None:
    ada = await stage.person("pages@factors.example")
    page = await browser.get("/account/sign-in")
    form = {"csrf_token": hidden(page, "csrf_token"), "email": ada.email, "password": PASSPHRASE}
    assert (await browser.post("/account/sign-in", data=form)).url.path == "/account"
    page = await browser.get("/account/security")
    form = {"csrf_token": hidden(page, "csrf_token")}
    shown = await browser.post("/account/security/authenticator", data=form)
    [secret] = re.findall(r'data-copy="([A-Z2-7]{32})"', shown.text)
    form = {"csrf_token": hidden(shown, "csrf_token"), "kept": hidden(shown, "kept"), "code": "000"}
    wrong = await browser.post("/account/security/authenticator/confirm", data=form)
    assert wrong.status_code == 422
    assert secret in wrong.text
    form["code"] = App(secret).code()
    codes = shown_codes(await browser.post("/account/security/authenticator/confirm", data=form))
    assert len(codes) == 10
    await as_if_an_hour_ago(stage, ada)

    page = await browser.get("/account/security")
    denied = await browser.post("/account/security/recovery-codes", data={"csrf_token": hidden(page, "csrf_token")})
    assert denied.url.path == "/account/sign-in/again"
    assert 'name="password"' not in denied.text
    form = {"csrf_token": hidden(denied, "csrf_token"), "next": "/account/security", "method": "totp"}
    app = App(secret)
    again = await browser.post("/account/sign-in/again", data={**form, "code": app.code()})
    assert again.url.path == "/account/security"
    made = await browser.post("/account/security/recovery-codes", data={"csrf_token": hidden(again, "csrf_token")})
    assert codes[0] not in made.text
    new_codes = shown_codes(made)

    browser.cookies.clear()
    page = await browser.get("/account/sign-in?next=/account/sessions")
    form = {"csrf_token": hidden(page, "csrf_token"), "email": ada.email, "password": PASSPHRASE}
    asked = await browser.post("/account/sign-in", data={**form, "next": "/account/sessions"})
    assert asked.url.path == "/account/sign-in/second-step"
    assert "prog_session" not in browser.cookies
    assert (await browser.get("/account")).url.path == "/account/sign-in", "it waits, and opens nothing"
    form = {"csrf_token": hidden(asked, "csrf_token"), "next": "/account/sessions", "method": "recovery_code"}
    refused = await browser.post("/account/sign-in/second-step", data={**form, "code": codes[0]})
    assert refused.status_code == 422
    entered = await browser.post("/account/sign-in/second-step", data={**form, "code": new_codes[0]})
    assert entered.url.path == "/account/sessions"
    assert "by password and recovery code" in entered.text


async def test_the_password_is_changed_on_its_page(stage: Stage, browser: httpx.AsyncClient) -> None:
    ada = await stage.person("page-password@factors.example")
    page = await browser.get("/account/sign-in")
    form = {"csrf_token": hidden(page, "csrf_token"), "email": ada.email, "password": PASSPHRASE}
    await browser.post("/account/sign-in", data=form)
    page = await browser.get("/account/security")
    form = {"csrf_token": hidden(page, "csrf_token"), "current_password": "wrong one", "password": NEW_PASSPHRASE}
    assert (await browser.post("/account/security/password", data=form)).status_code == 422
    form["current_password"] = PASSPHRASE
    done = await browser.post("/account/security/password", data=form)
    assert "Your password is changed" in done.text
    assert (await browser.get("/account")).url.path == "/account", "this session stays"
    assert "access_token" in await login(stage, ada.email, NEW_PASSPHRASE)
