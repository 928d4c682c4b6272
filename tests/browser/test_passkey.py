"""Passkeys in a real browser on a whole platform, with Chromium's virtual authenticator, and by keyboard from the
sign-in on. Console errors and violations of the policy fail the tests."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.keys import Device
from tests.browser.test_first_visit import PASSWORD, Person, has_account, open_mail
from tests.browser.test_second_factor import arrive

pytestmark = [pytest.mark.browser, pytest.mark.slow]

Start = Callable[..., Page]


@pytest.fixture
def start(address: str, visit: Visit) -> Start:
    """A browser at an address that has a name: no passkey belongs to a number. Where it does not offer passkeys among
    what it fills in, they are used when a test says so."""

    def open_browser(*, autofill: bool = False) -> Page:
        page = visit(base_url=address.replace("127.0.0.1", "localhost"))
        if not autofill:
            page.add_init_script("delete PublicKeyCredential.isConditionalMediationAvailable")
        return page

    return open_browser


def signed_in(address: str, page: Page, person: Person) -> Page:
    """The page, in which somebody who is new here has just signed in."""
    has_account(address, person)
    first_step(page, person)
    arrive(page, "/account")
    return page


def first_step(page: Page, person: Person) -> None:
    page.goto("/account/sign-in")
    page.get_by_label("Email").fill(person.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")


def make_passkey(page: Page, name: str) -> None:
    page.goto("/account/security")
    page.get_by_role("link", name=re.compile("^Add a(nother)? passkey$")).click()
    expect(page.get_by_role("textbox", name="Name")).to_be_focused()
    page.keyboard.type(name)
    page.keyboard.press("Enter")


def test_a_passkey_is_made_and_signs_in_by_itself(address: str, start: Start) -> None:
    ada = Person("Ada Lovelace", "ada@passkey.example")
    page = signed_in(address, start(), ada)
    device = Device(page)
    make_passkey(page, "Phone")
    expect(page.get_by_role("heading", level=1)).to_have_text("Two-step verification is on")
    codes = page.locator(".recovery-codes code").all_inner_texts()
    assert len(codes) == 10
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_text("kept beyond its device")).to_be_visible()
    [credential] = device.credentials()
    assert credential["rpId"] == "localhost"
    assert ada.email.encode().hex() not in credential["userHandle"]
    open_mail(page, ada, "A passkey was added")

    other = start()
    other.goto("/account/sign-in?next=/account/sessions")
    used = device.carry_to(other)
    button = other.get_by_role("button", name="Sign in with a passkey")
    button.focus()
    other.keyboard.press("Enter")
    arrive(other, "/account/sessions")
    expect(other.get_by_text("by passkey").first).to_be_visible()

    offered = start(autofill=True)
    offered.goto("/account/sign-up")
    used = used.carry_to(offered)
    offered.get_by_role("link", name="Sign in").click()
    arrive(offered, "/account")

    locked = start()
    locked.goto("/account/sign-in")
    used.carry_to(locked).is_unlocked(False)
    locked.get_by_role("button", name="Sign in with a passkey").click()
    expect(locked.get_by_role("alert")).to_contain_text("Try again, or take another way.")
    expect(locked.get_by_role("button", name="Sign in with a passkey")).to_be_focused()
    assert locked.get_by_label("Email").is_visible()

    copied = start()
    copied.goto("/account/sign-in")
    device.carry_to(copied)
    copied.get_by_role("button", name="Sign in with a passkey").click()
    expect(copied.get_by_text("This passkey is not good here.")).to_be_visible()
    open_mail(copied, ada, "A passkey was refused")


def test_a_passkey_completes_a_sign_in_and_steps_up(address: str, start: Start) -> None:
    grace = Person("Grace Hopper", "grace@passkey.example")
    page = signed_in(address, start(), grace)
    device = Device(page)
    make_passkey(page, "Phone")
    page.get_by_role("link", name="I have kept them").click()

    page.get_by_role("link", name="Add another passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Is it you?")
    expect(page.get_by_role("button", name="Continue with a passkey")).to_be_focused()
    page.keyboard.press("Enter")
    arrive(page, "/account/security/passkeys/new")
    page.keyboard.type("Phone again")
    page.keyboard.press("Enter")
    expect(page.get_by_text("This device has a passkey for your account already.")).to_be_visible()

    other = start()
    first_step(other, grace)
    arrive(other, "/account/sign-in/second-step")
    key = device.carry_to(other)
    expect(other.get_by_role("button", name="Continue with a passkey")).to_be_focused()
    other.keyboard.press("Enter")
    arrive(other, "/account")
    other.goto("/account/sessions")
    expect(other.get_by_text("by password and passkey")).to_be_visible()

    other.goto("/account/security")
    other.get_by_role("link", name="Manage the passkey Phone").click()
    other.get_by_role("textbox", name="Name").fill("Old phone")
    other.keyboard.press("Enter")
    expect(other.get_by_text("The passkey has another name.")).to_be_visible()
    other.get_by_role("link", name="Manage the passkey Old phone").click()
    other.get_by_role("button", name="Remove Old phone").click()
    expect(other.get_by_text("Delete it on your device, too.")).to_be_visible()
    open_mail(other, grace, "A passkey was removed")

    third = start()
    third.goto("/account/sign-in")
    key.carry_to(third)
    third.get_by_role("button", name="Sign in with a passkey").click()
    expect(third.get_by_text("This passkey is not good here.")).to_be_visible()
    fourth = start()
    first_step(fourth, grace)
    arrive(fourth, "/account")


def test_a_sign_in_page_that_waited_long_asks_anew(address: str, start: Start) -> None:
    mary = Person("Mary Somerville", "mary@passkey.example")
    page = signed_in(address, start(), mary)
    device = Device(page)
    make_passkey(page, "Key")
    other = start()
    other.clock.install()
    other.goto("/account/sign-in")
    device.carry_to(other)
    other.clock.fast_forward("10:00")
    with other.expect_response(lambda answer: answer.url.endswith("/account/sign-in")) as fetched:
        other.get_by_role("button", name="Sign in with a passkey").click()
    assert fetched.value.ok
    arrive(other, "/account")


def test_where_passkeys_cannot_be_had_the_page_says_so_and_all_else_works(address: str, visit: Visit) -> None:
    joan = Person("Joan Clarke", "joan@passkey.example")
    has_account(address, joan)
    for options in ({"base_url": address}, {"base_url": address, "java_script_enabled": False}):
        page = visit(**options)
        first_step(page, joan)
        arrive(page, "/account")
        page.goto("/account/security/passkeys/new")
        expect(page.get_by_text("Passkeys need a browser that has them")).to_be_visible()
        expect(page.get_by_role("button", name="Make the passkey")).to_be_hidden()
        page.context.clear_cookies()
        page.goto("/account/sign-in")
        expect(page.get_by_role("button", name="Sign in with a passkey")).to_be_hidden()
