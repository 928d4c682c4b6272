"""What scripts add to the pages: theme, palette, shortcuts, filters, live views. Over sample data."""

from __future__ import annotations

import re
from typing import Final

import pytest
from playwright.sync_api import Page, Request, expect

from tests.browser.conftest import Visit
from tests.browser.screenshots import ON_THE_WAY
from tests.unit.edge.web.sample_backend import ADA, GRACE, TENANT
from tests.unit.edge.web.sample_console import sample_id
from tests.unit.edge.web.sample_impersonations import ACTING
from tests.unit.edge.web.sample_keys import KEY
from tests.unit.edge.web.sample_provider import BACK, CLIENT, PUBLIC_ID
from tests.unit.edge.web.sample_security import PASSKEYS

pytestmark = pytest.mark.browser

ADDRESSES = {
    "tenant": f"/account/tenants/{TENANT}",
    "member": f"/account/tenants/{TENANT}/members/{GRACE}",
    "person": f"/admin/users/{GRACE}",
    "customer": f"/admin/tenants/{TENANT}",
    "own": f"/account/tenants/{TENANT}/members/{ADA.user_id}",
    "passkey": f"/account/security/passkeys/{PASSKEYS[0].id}",
    "key": f"/account/tenants/{TENANT}/keys/{KEY}",
    "client": f"/account/tenants/{TENANT}/clients/{CLIENT}",
    "consent": f"/oauth2/authorize?client_id={PUBLIC_ID}",
    "story": f"/admin/story/{sample_id('subscription', 1)}",
    "mail": "/dev/mailbox/mail_1",
    **ON_THE_WAY,
}

COOKIES: Final[dict[str, dict[str, str]]] = {
    "anybody": {},
    "member": {"prog_session": "ada"},
    "operator": {"prog_session": "operator"},
    "support": {"prog_session": "operator", "prog_impersonation": ACTING},
}
"""Who is who to the sample application."""


@pytest.fixture
def console(visit: Visit, sample: str) -> Page:
    """A page of an operator who is signed in."""
    page = visit(base_url=sample)
    page.context.add_cookies([{"name": "prog_session", "value": "operator", "url": sample}])
    return page


def goes_back_to_the_shop(request: Request) -> bool:
    return request.url.startswith(f"{BACK}?code=")


def test_signing_in_and_agreeing_lead_to_another_site(visit: Visit, sample: str) -> None:
    """A browser lets a form lead to no site that the page's policy does not name, not even by a redirect: it would not
    even ask there, and tell an error."""
    page = visit(base_url=sample)
    page.goto(f"{ADDRESSES['consent']}&known=1")
    page.get_by_label("Email").fill("ada@example.com")
    page.get_by_label("Password").fill("correct horse battery")
    with page.expect_request(goes_back_to_the_shop):
        page.get_by_role("button", name="Sign in").click()
    other = page.context.new_page()
    other.goto(ADDRESSES["consent"])
    with other.expect_request(goes_back_to_the_shop):
        other.get_by_role("button", name="Allow").click()


def test_the_theme_is_kept_without_a_flash(visit: Visit, sample: str) -> None:
    page = visit(base_url=sample, color_scheme="light")
    page.goto("/")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")

    page.get_by_role("button", name="Switch between light and dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light

    answer = page.reload()
    assert answer is not None
    assert 'data-theme="dark"' in answer.text(), "the server draws it, not a script"


def test_the_palette_goes_to_pages_and_finds_objects(console: Page) -> None:
    console.goto("/admin")
    console.keyboard.press("Control+k")
    field = console.locator("[data-palette-input]")
    expect(field).to_be_focused()

    field.fill("subscr")
    console.keyboard.press("Enter")
    console.wait_for_url("**/admin/subscriptions")

    console.keyboard.press("Control+k")
    field.fill("lovelace")
    expect(console.get_by_role("option", name=re.compile("Ada Lovelace"))).to_be_visible()
    console.keyboard.press("Enter")
    console.wait_for_url("**/admin/users/user_*")


def test_keys_move_through_the_console(console: Page) -> None:
    console.goto("/admin")
    console.keyboard.press("?")
    expect(console.get_by_role("heading", name="Keyboard shortcuts")).to_be_visible()
    console.keyboard.press("Escape")
    expect(console.get_by_role("heading", name="Keyboard shortcuts")).to_be_hidden()

    console.keyboard.press("g")
    console.keyboard.press("u")
    console.wait_for_url("**/admin/users")
    console.keyboard.press("j")
    console.keyboard.press("j")
    expect(console.locator(".row-link").nth(1)).to_be_focused()
    console.keyboard.press("/")
    console.keyboard.type("gug?")
    expect(console.get_by_label("Name, address or id")).to_have_value("gug?")
    console.wait_for_url("**/admin/users?search=gug*")


def test_filters_live_in_the_address(console: Page) -> None:
    console.goto("/admin/messages")
    console.get_by_label("Status").select_option("dead")
    console.wait_for_url("**/admin/messages?status=dead")
    console.reload()
    expect(console.get_by_label("Status")).to_have_value("dead")

    console.get_by_label("Type, actor or id").fill("nothing")
    expect(console.get_by_text("Nothing matches")).to_be_visible()
    console.go_back()
    expect(console.get_by_text("Nothing matches")).to_be_hidden()


def test_events_arrive_live_and_wait_while_paused(console: Page) -> None:
    console.goto("/admin/events")
    rows = console.locator("[data-stream-rows] tr")
    expect(rows.first).to_have_class("is-fresh")

    console.get_by_role("button", name="Pause").click()
    shown = rows.count()
    expect(console.locator("[data-live-text]")).to_have_text(re.compile(r"^[1-9]\d* new$"))
    assert rows.count() == shown

    console.get_by_role("button", name="Resume").click()
    expect(console.locator("[data-live-text]")).to_have_text("Live")
    assert rows.count() > shown


def test_lists_refresh_themselves_and_keep_the_focus(console: Page) -> None:
    console.goto("/admin/tenants")
    console.keyboard.press("j")
    with console.expect_response(lambda response: response.url.endswith("/admin/tenants")) as refreshed:
        pass
    assert refreshed.value.ok
    expect(console.locator(".row-link").first).to_be_focused()


def test_a_list_that_cannot_be_kept_fresh_says_so_and_stays(console: Page) -> None:
    """The sign-in page, which comes once the session is over, does not take its place."""
    console.goto("/admin/tenants")
    shown = console.locator("#results tbody tr").count()
    console.context.clear_cookies()
    console.locator("[data-live]").dispatch_event("live-refresh")
    expect(console.locator("[data-freshness]")).to_contain_text("This page is not kept up to date any more.")
    assert console.locator("#results tbody tr").count() == shown > 0
    console.locator("[data-freshness]").get_by_role("link", name="Reload").click()
    console.wait_for_url(re.compile("/account/sign-in"))


def test_a_list_stands_still_while_somebody_mends_a_message_in_it(console: Page) -> None:
    asked: list[str] = []
    console.on("request", lambda request: asked.append(request.url) if request.resource_type == "fetch" else None)
    console.goto("/admin/dead-letters")
    console.locator("summary", has_text="Message and traceback").first.click()
    body = console.get_by_label("Mend the message").first
    body.fill('{"mended": true}')
    expect(console.locator(".live-held")).to_be_visible()

    news = console.evaluate_handle("() => document.querySelector('[data-live]')")
    before = len(asked)
    for _ in range(3):
        news.evaluate("part => part.dispatchEvent(new CustomEvent('live-refresh'))")
    console.locator("summary", has_text="Message and traceback").first.click()
    news.evaluate("part => part.dispatchEvent(new CustomEvent('live-refresh'))")
    expect(console.locator(".live-held")).to_be_hidden()
    assert len(asked) == before, "closed, but what was typed is still there"
    expect(body).to_have_value('{"mended": true}')

    with console.expect_response(lambda response: response.url.endswith("/admin/dead-letters")):
        console.locator("summary", has_text="Message and traceback").first.click()
        body.evaluate("field => { field.value = field.defaultValue; }")
        console.locator("summary", has_text="Message and traceback").first.click()


def test_charts_are_drawn_and_follow_the_theme(console: Page) -> None:
    console.goto("/admin")
    expect(console.locator("#chart-latency canvas")).to_be_visible()
    expect(console.locator("#chart-latency .legend-item")).to_have_count(3)
    console.keyboard.press("Shift+L")
    expect(console.locator("#chart-latency canvas")).to_have_count(1)


def test_a_story_opens_step_by_step_from_the_keyboard(console: Page) -> None:
    console.goto(ADDRESSES["story"])
    console.keyboard.press("j")
    console.keyboard.press("Enter")
    expect(console.locator(".story-step[open]")).to_have_count(1)
    expect(console.locator(".story-step[open] .code-block")).to_contain_text("tenant_id")

    console.get_by_role("button", name="Open all").click()
    expect(console.locator(".story-step:not([open])")).to_have_count(0)


def test_an_id_is_copied(console: Page) -> None:
    console.context.grant_permissions(["clipboard-read", "clipboard-write"])
    console.goto("/admin/users")
    button = console.locator("[data-copy]").first
    button.click()
    expect(button).to_have_class(re.compile("is-done"))
    assert console.evaluate("navigator.clipboard.readText()") == button.get_attribute("data-copy")


def test_a_form_is_sent_once(visit: Visit, sample: str) -> None:
    page = visit(base_url=sample)
    sent = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.goto("/#contact")
    page.get_by_label("Work address").fill("you@company.com")
    page.locator("form[action='/leads']").evaluate("form => { form.requestSubmit(); form.requestSubmit(); }")
    page.wait_for_url("**/leads/thanks")
    assert len(sent) == 1


def test_a_refused_form_puts_the_focus_on_the_problem(visit: Visit, sample: str) -> None:
    page = visit(base_url=sample)
    page.goto("/account/sign-in")
    page.get_by_label("Email").fill("ada@example.com")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_focused()
    expect(page.get_by_label("Email")).to_have_value("ada@example.com")
    expect(page.get_by_label("Password")).to_have_value("")
