"""The first half of a customer's story in a real browser, on a whole platform: from a lead to a paying tenant that two
people share, and what the operator sees of it. Console errors and violations of the policy fail the tests."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import RunningPlatform, Visit
from tests.running import run
from tests.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.slow(15)]

PASSWORD = "a sentence that nobody guesses"
MAIL_WITHIN_SECONDS = 20.0


@dataclass(frozen=True)
class Person:
    name: str
    email: str


def has_account(address: str, person: Person) -> None:
    """What `sign_up` and `verify` come to, by the API: for tests of what comes afterwards."""
    with httpx.Client(base_url=address, verify=False) as http:

        def letters() -> Any:
            return http.get("/v1/mailbox", params={"to": person.email}).json()["data"]

        account = {"email": person.email, "password": PASSWORD, "name": person.name}
        http.post("/v1/auth/register", json=account).raise_for_status()
        run(wait_until(letters, within_seconds=MAIL_WITHIN_SECONDS, what=f"a mail to {person.email}"))
        token = re.search(r"prog_verify_[\w-]+", http.get(f"/v1/mailbox/{letters()[0]['id']}").json()["text"])
        assert token is not None
        http.post("/v1/auth/email/verify", json={"token": token[0]}).raise_for_status()


def sign_up(page: Page, person: Person) -> None:
    page.goto("/account/sign-up")
    page.get_by_label("Your name").fill(person.name)
    page.get_by_label("Email").fill(person.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("heading", name="Check your mail")).to_be_visible()


def open_mail(page: Page, person: Person, subject: str) -> None:
    """Opens the newest mail to `person` whose subject holds `subject`, as soon as it is there."""
    deadline = time.monotonic() + MAIL_WITHIN_SECONDS
    line = page.locator("strong", has_text=re.compile(subject, re.IGNORECASE))
    mails = page.locator(".mail-list li a").filter(has=line)
    while True:
        page.goto(f"/dev/mailbox?search={person.email}")
        if mails.count():
            break
        assert time.monotonic() < deadline, f"no mail about {subject!r} came to {person.email}"
        page.wait_for_timeout(100)
    mails.first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(re.compile(subject, re.IGNORECASE))


def follow_link(page: Page, path: str) -> None:
    """Opens the address under `path` that the open mail carries."""
    link = page.locator(f".mail-links a[href*='{path}']").first
    page.goto(link.get_attribute("href") or "")


def verify(page: Page, person: Person) -> None:
    open_mail(page, person, "verify|confirm")
    follow_link(page, "/account/verify")
    page.get_by_role("button", name="Verify my address").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def sign_in(page: Page, email: str, password: str = PASSWORD) -> None:
    page.goto("/account/sign-in")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/account")


def join(page: Page, person: Person) -> None:
    """A new person comes through an invitation mail."""
    sign_up(page, person)
    verify(page, person)
    sign_in(page, person.email)
    open_mail(page, person, "invit")
    follow_link(page, "/account/invitations/accept")
    page.get_by_role("button", name="Accept the invitation").click()


def test_from_a_lead_to_a_paying_tenant(platform: RunningPlatform, visit: Visit) -> None:
    ada = Person("Ada Lovelace", "ada@customer.example")
    grace = Person("Grace Hopper", "grace@customer.example")
    page = visit(base_url=platform.url)

    page.goto("/")
    page.get_by_label("Work address").fill(ada.email)
    page.get_by_label("What are you building?").fill("An engine.")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()

    page.get_by_role("main").get_by_role("link", name="Create an account").click()
    sign_up(page, ada)
    verify(page, ada)
    sign_in(page, ada.email)

    page.get_by_label("Name").fill("Analytical Engines")
    page.get_by_role("button", name="Create tenant").click()
    page.wait_for_url("**/account/tenants/tenant_*")
    tenant = page.url
    expect(page.locator(".page-facts .pill")).to_have_text("Active")

    page.get_by_label("Invite by email").fill(grace.email)
    page.get_by_role("button", name="Invite").click()
    expect(page.get_by_text(f"An invitation is on its way to {grace.email}.")).to_be_visible()
    other = visit(base_url=platform.url)
    join(other, grace)
    expect(other.get_by_role("heading", name="Analytical Engines")).to_be_visible()

    page.goto(f"{tenant}/billing")
    page.get_by_role("button", name="Subscribe").click()
    expect(page.locator(".subscription-line .pill")).to_have_text(re.compile("Active|Trial"))
    expect_invoice(page)
    what_the_operator_sees(platform, visit, ada)


def expect_invoice(page: Page) -> None:
    """The first invoice is there, with a PDF, and its receipt has come."""
    deadline = time.monotonic() + MAIL_WITHIN_SECONDS
    link = page.get_by_role("link", name=re.compile("as PDF"))
    while not link.count():
        assert time.monotonic() < deadline, "no invoice appeared"
        page.wait_for_timeout(100)
        page.reload()
    answer = page.context.request.get(link.first.get_attribute("href") or "")
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.body().startswith(b"%PDF")


def what_the_operator_sees(platform: RunningPlatform, visit: Visit, person: Person) -> None:
    page = visit(base_url=platform.url)
    sign_in(page, platform.administrator_email, platform.administrator_password)
    for address in ("/admin", "/admin/users", "/admin/subscriptions", "/admin/invoices", "/admin/messages"):
        page.goto(address)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.goto(f"/admin/users?search={person.email}")
    page.get_by_role("link", name=f"Open {person.name}").click()
    page.get_by_role("link", name="Story", exact=True).click()
    expect(page.locator(".story-type", has_text="users.register_user").first).to_be_visible()
    expect(page.locator(".kind-mail").first).to_be_visible()

    page.goto("/admin/events")
    expect(page.locator("[data-live-text]")).to_have_text("Live")
    other = visit(base_url=platform.url)
    sign_in(other, person.email)
    expect(page.locator(".is-fresh", has_text="users.user_authenticated").first).to_be_visible()


def test_signing_up_and_in_without_javascript(platform: RunningPlatform, visit: Visit) -> None:
    mary = Person("Mary Somerville", "mary@customer.example")
    page = visit(base_url=platform.url, java_script_enabled=False)

    sign_up(page, mary)
    verify(page, mary)
    sign_in(page, mary.email)

    page.get_by_label("Name").fill("Celestial Mechanics")
    page.get_by_role("button", name="Create tenant").click()
    expect(page.get_by_role("heading", name="Celestial Mechanics")).to_be_visible()
