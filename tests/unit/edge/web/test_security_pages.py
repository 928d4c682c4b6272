"""The pages of the second factor and of the password, without JavaScript."""

from __future__ import annotations

import pytest

from prog_edge.web.ports import WebServices
from tests.unit.edge.web.conftest import Browse
from tests.unit.edge.web.markup import read
from tests.unit.edge.web.sample_backend import SampleSessions, sample_services
from tests.unit.edge.web.sample_security import CODES, ENROLMENT, FACTOR, SampleSecurity
from tests.unit.edge.web.test_forms import PASSWORD, fill, problem_at

SECURITY = "/account/security"
SECOND_STEP = "/account/sign-in/second-step"


def careful(factor: bool = True, *, fresh: bool = True) -> WebServices:
    return sample_services(security=SampleSecurity(FACTOR if factor else None, fresh))


def test_a_password_leads_to_the_second_step_and_that_to_where_one_wanted_to_go(browse: Browse) -> None:
    client = browse()
    sign_in = f"/account/sign-in?next={SECURITY}"
    first = fill(client, sign_in, "/account/sign-in", email="careful@example.com", password=PASSWORD)
    assert first.headers["location"] == f"{SECOND_STEP}?next={SECURITY}"
    assert "prog_second_step=waiting; HttpOnly; Max-Age=300; Path=/; SameSite=lax" in first.headers["set-cookie"]
    assert "prog_session" not in client.cookies
    wrong = fill(client, first.headers["location"], SECOND_STEP, code="654321")
    assert (wrong.status_code, problem_at(wrong.text, "code")) == (422, "This code is not good.")
    right = fill(client, first.headers["location"], SECOND_STEP, code="123 456".replace(" ", ""))
    assert right.headers["location"] == SECURITY
    assert client.cookies["prog_session"] == "ada"
    assert "prog_second_step" not in client.cookies


def test_a_recovery_code_is_a_link_away(browse: Browse) -> None:
    client = browse()
    client.cookies.set("prog_second_step", "waiting", domain="127.0.0.1")
    page = read(client.get(f"{SECOND_STEP}?next=/account").text)
    [link] = [item for item in page.all("a") if "recovery" in item.text]
    done = fill(client, link.get("href") or "", SECOND_STEP, code=CODES[0])
    assert done.headers["location"] == "/account"


def test_a_sign_in_that_took_too_long_begins_again(browse: Browse) -> None:
    client = browse()
    assert client.get(SECOND_STEP).headers["location"] == "/account/sign-in"
    client.cookies.set("prog_second_step", "waiting", domain="127.0.0.1")
    over = fill(client, SECOND_STEP, SECOND_STEP, code="000000")
    assert over.headers["location"] == "/account/sign-in?next=/account"
    assert "prog_second_step" not in client.cookies
    assert "took too long" in client.get(over.headers["location"]).text


def test_an_app_is_set_up_and_the_codes_are_shown_once(browse: Browse) -> None:
    client = browse("ada", careful(factor=False))
    shown = fill(client, SECURITY, f"{SECURITY}/authenticator")
    assert shown.status_code == 200
    assert shown.headers["cache-control"] == "no-store"
    page = read(shown.text)
    [form] = [item for item in page.all("form") if item.get("action") == f"{SECURITY}/authenticator/confirm"]
    fields = {item.get("name") or "": item.get("value") or "" for item in form.all("input")}
    assert fields["kept"] == ENROLMENT.kept
    [key] = page.all("code")
    assert "".join(part.text for part in key.all("span")) == ENROLMENT.secret
    assert any(item.get("href") == ENROLMENT.uri for item in page.all("a"))
    assert len(page.all("svg")) > 1
    wrong = client.post(f"{SECURITY}/authenticator/confirm", data={**fields, "code": "1"})
    assert wrong.status_code == 422
    assert problem_at(wrong.text, "code") == "This code is not good."
    assert str(ENROLMENT.qr) in wrong.text, "the same app, to try again"
    right = client.post(f"{SECURITY}/authenticator/confirm", data={**fields, "code": "123456"})
    assert [item.text for item in read(right.text).all("code")] == list(CODES)
    [download] = [item for item in read(right.text).all("a") if item.get("download")]
    assert all(code in (download.get("href") or "") for code in CODES)


def test_another_app_leaves_the_codes_as_they_are(browse: Browse) -> None:
    client = browse("ada", careful())
    data = {"kept": "kept", "code": "123456", "csrf_token": token(client.get(SECURITY).text)}
    done = client.post(f"{SECURITY}/authenticator/confirm", data=data)
    assert done.headers["location"] == SECURITY


@pytest.mark.parametrize("action", ["authenticator", "recovery-codes", "authenticator/remove"])
def test_what_changes_the_second_factor_asks_for_a_fresh_sign_in(browse: Browse, action: str) -> None:
    client = browse("ada", careful(fresh=False))
    asked = fill(client, SECURITY, f"{SECURITY}/{action}")
    assert asked.headers["location"] == f"/account/sign-in/again?next={SECURITY}"
    page = read(client.get(asked.headers["location"]).text)
    assert [item.get("name") for item in page.all("input") if item.get("type") != "hidden"] == ["code"]
    again = fill(client, asked.headers["location"], "/account/sign-in/again", code="9")
    assert problem_at(again.text, "code") == "This is not good."
    again = fill(client, asked.headers["location"], "/account/sign-in/again", code="123456")
    assert again.headers["location"] == SECURITY


def test_new_codes_and_turning_it_off(browse: Browse) -> None:
    services = careful()
    client = browse("ada", services)
    assert "8 of 10 left" in client.get(SECURITY).text
    assert CODES[9] in fill(client, SECURITY, f"{SECURITY}/recovery-codes").text
    assert fill(client, SECURITY, f"{SECURITY}/authenticator/remove").headers["location"] == SECURITY
    assert "Set up an authenticator app" in client.get(SECURITY).text


def test_the_password_is_changed_and_what_is_wrong_stands_beside_its_field(browse: Browse) -> None:
    services = careful()
    client, action = browse("ada", services), f"{SECURITY}/password"
    wrong = fill(client, SECURITY, action, current_password="guess", password="a better sentence")
    assert problem_at(wrong.text, "current_password") == "This is not your password."
    assert "a better sentence" not in wrong.text
    short = fill(client, SECURITY, action, current_password=PASSWORD, password="short")
    assert problem_at(short.text, "password") == "A password has 8 characters or more."
    done = fill(client, SECURITY, action, current_password=PASSWORD, password="a better sentence")
    assert done.headers["location"] == SECURITY
    assert isinstance(services.security, SampleSecurity)
    assert services.security.changed == ["a better sentence"]


def test_check_16_whoever_signs_in_again_leaves_no_session_behind(browse: Browse) -> None:
    services, opened = careful(), "/account/sign-in-link/open"
    assert isinstance(services.sessions, SampleSessions)
    client = browse("operator", services)
    assert fill(client, f"{opened}?token=good", opened).headers["location"] == "/account"
    assert client.cookies["prog_session"] == "ada"
    assert services.sessions.signed_out == ["operator"]
    client = browse(None, services)
    fill(client, f"{opened}?token=good", opened)
    assert services.sessions.signed_out == ["operator"], "there was none"


def token(html: str) -> str:
    return html.partition('name="csrf_token" value="')[2].partition('"')[0]


def test_who_guessed_too_often_is_told_on_the_form_when_to_try_again(browse: Browse) -> None:
    client = browse()
    guessed = "guessed@example.com"
    answer = fill(client, "/account/sign-in", "/account/sign-in", email=guessed, password=PASSWORD)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "90")
    assert "There were many wrong attempts. You can try again in 2 minutes." in answer.text
    assert f'value="{guessed}"' in answer.text, "and does not type it again"
    client.cookies.set("prog_second_step", "waiting", domain="127.0.0.1")
    answer = fill(client, SECOND_STEP, SECOND_STEP, code="999999")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert "You can try again in 1 second." in answer.text
    again = browse("ada", sample_services(security=SampleSecurity()))
    answer = fill(again, "/account/sign-in/again", "/account/sign-in/again", password="guessed")
    assert (answer.status_code, "You can try again in 42 seconds." in answer.text) == (429, True)
