"""Setting up an authenticator app and signing in with it, in a real browser on a whole platform, with JavaScript and
without: by keyboard from the second step on. Console errors and violations of the policy fail the tests."""

from __future__ import annotations

import re
import time
from urllib.parse import unquote

import pyotp
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.test_first_visit import PASSWORD, Person, has_account, open_mail, sign_in

pytestmark = [pytest.mark.browser, pytest.mark.slow]


class App:
    """An authenticator app that never shows one code twice: it goes on to the next step, which is good already."""

    def __init__(self, secret: str) -> None:
        self._codes = pyotp.TOTP(secret)
        self._last = 0

    def code(self) -> str:
        self._last = max(int(time.time()) // 30, self._last + 1)
        return self._codes.generate_otp(self._last)


def arrive(page: Page, path: str) -> None:
    """Waits for a page by its path alone: the query of the one before names it too."""
    page.wait_for_url(re.compile(rf"^[^?]*{path}(\?|$)"))


def set_up(page: Page) -> tuple[App, list[str]]:
    """An app for whoever is signed in, with the recovery codes."""
    page.goto("/account/security")
    page.get_by_role("button", name="Set up an authenticator app").click()
    expect(page.get_by_role("img", name="QR code")).to_be_visible()
    link = page.get_by_role("link", name="open it in the app").get_attribute("href") or ""
    secret = re.search(r"secret=([A-Z2-7]{32})&issuer=ProgNetwork$", link)
    assert secret, link
    shown = page.locator(".enrolment-key code span").all_inner_texts()
    assert "".join(shown) == secret[1], "what is typed in is what the code holds"
    app = App(secret[1])
    code = page.get_by_role("textbox", name="Code", exact=True)
    expect(code).to_be_focused()
    code.fill("123")
    page.keyboard.press("Enter")
    expect(page.get_by_text("This code is not good.")).to_be_visible()
    page.get_by_role("textbox", name="Code", exact=True).fill(app.code())
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Two-step verification is on")
    codes = page.locator(".recovery-codes code").all_inner_texts()
    download = page.get_by_role("link", name="Download")
    assert [item for item in codes if item not in unquote(download.get_attribute("href") or "")] == []
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_text("10 of 10 left")).to_be_visible()
    return app, codes


def first_step(page: Page, person: Person) -> None:
    page.goto("/account/sign-in")
    page.get_by_label("Email").fill(person.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    arrive(page, "/account/sign-in/second-step")


@pytest.mark.parametrize("script", [True, False], ids=["javascript", "without"])
def test_an_app_is_set_up_and_asked_for(address: str, visit: Visit, script: bool) -> None:
    person = Person("Ada Lovelace", f"ada-{script}@factor.example".lower())
    page = visit(base_url=address, java_script_enabled=script)
    has_account(address, person)
    sign_in(page, person.email)
    app, codes = set_up(page)
    open_mail(page, person, "Two-step verification is on")

    other = visit(base_url=address, java_script_enabled=script)
    first_step(other, person)
    expect(other.get_by_role("textbox", name="Code", exact=True)).to_be_focused()
    other.keyboard.type(app.code())
    other.keyboard.press("Enter")
    arrive(other, "/account")
    other.goto("/account/sessions")
    expect(other.get_by_text("by password and app")).to_be_visible()

    third = visit(base_url=address, java_script_enabled=script)
    first_step(third, person)
    third.get_by_role("link", name="Use a recovery code").focus()
    third.keyboard.press("Enter")
    third.get_by_label("Recovery code").fill(codes[0].upper())
    third.keyboard.press("Enter")
    arrive(third, "/account")

    other.goto("/account/security")
    expect(other.get_by_text("9 of 10 left")).to_be_visible()
    other.get_by_text("Turn it off").click()
    other.get_by_role("button", name="Turn off two-step verification").click()
    expect(other.get_by_role("button", name="Set up an authenticator app")).to_be_visible()
    sign_in(visit(base_url=address, java_script_enabled=script), person.email)


def test_a_first_session_proves_the_app_before_it_changes_it(address: str, visit: Visit) -> None:
    """The session that set the app up was opened with the password alone."""
    person = Person("Grace Hopper", "grace@factor.example")
    page = visit(base_url=address)
    has_account(address, person)
    sign_in(page, person.email)
    app, codes = set_up(page)
    page.get_by_role("button", name="Make new codes").click()
    expect(page.get_by_role("heading", name="Is it you?")).to_be_visible()
    page.get_by_role("textbox", name="Code", exact=True).fill(app.code())
    page.keyboard.press("Enter")
    arrive(page, "/account/security")
    page.get_by_role("button", name="Make new codes").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("New recovery codes")
    assert not set(page.locator(".recovery-codes code").all_inner_texts()) & set(codes)
    expect(page.get_by_role("button", name="Print")).to_be_visible()


def test_the_password_is_changed(address: str, visit: Visit) -> None:
    person = Person("Mary Somerville", "mary@factor.example")
    page = visit(base_url=address)
    has_account(address, person)
    sign_in(page, person.email)
    page.goto("/account/security")
    page.get_by_label("Current password").fill("not this one")
    page.get_by_label("New password").fill("a wholly different sentence")
    page.keyboard.press("Enter")
    expect(page.get_by_text("This is not your password.")).to_be_visible()
    page.get_by_label("Current password").fill(PASSWORD)
    page.get_by_label("New password").fill("a wholly different sentence")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Your password is changed")).to_be_visible()
    sign_in(visit(base_url=address), person.email, "a wholly different sentence")
