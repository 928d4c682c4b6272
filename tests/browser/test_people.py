"""A tenant's people, by keyboard alone and without JavaScript. Over sample data."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.unit.edge.web.sample_backend import TENANT

pytestmark = pytest.mark.browser


def account(visit: Visit, sample: str, *, scripts: bool) -> Page:
    page = visit(base_url=sample, java_script_enabled=scripts)
    page.context.add_cookies([{"name": "prog_session", "value": "ada", "url": sample}])
    page.goto(f"/account/tenants/{TENANT}")
    return page


def tab_to(page: Page, name: str) -> None:
    """Moves the focus by Tab to the control of this name."""
    wanted = page.get_by_label(name, exact=True).or_(page.get_by_text(name, exact=True)).first
    expect(wanted).to_be_visible()
    for _ in range(60):
        page.keyboard.press("Tab")
        if wanted.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"Tab does not reach {name!r}")


def test_a_member_is_removed_by_keyboard_alone(visit: Visit, sample: str) -> None:
    page = account(visit, sample, scripts=True)
    tab_to(page, "Manage Grace Hopper")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Grace Hopper")).to_be_visible()
    expect(page.get_by_text("is shut out of Analytical Engines within seconds")).to_be_visible()
    tab_to(page, "Remove Grace Hopper")
    page.keyboard.press("Enter")
    expect(page.get_by_text("The member is removed.")).to_be_visible()
    expect(page).to_have_url(f"{sample}/account/tenants/{TENANT}")


def test_a_role_is_changed_and_a_member_removed_without_javascript(visit: Visit, sample: str) -> None:
    page = account(visit, sample, scripts=False)
    page.get_by_role("link", name="Manage Grace Hopper").click()
    page.get_by_label("Role in Analytical Engines").select_option("viewer")
    page.get_by_role("button", name="Change role").click()
    expect(page.get_by_text("The role is changed.")).to_be_visible()
    page.get_by_role("link", name="Manage Charles Babbage").click()
    page.get_by_role("button", name="Remove Charles Babbage").click()
    expect(page.get_by_text("The member is removed.")).to_be_visible()


def test_an_invitation_is_sent_again_and_taken_back(visit: Visit, sample: str) -> None:
    page = account(visit, sample, scripts=True)
    page.get_by_role("button", name="Send again the invitation to annabella@example.com").click()
    expect(page.get_by_text("A new link is on its way")).to_be_visible()
    page.get_by_role("button", name="Take back the invitation to mary@example.com").click()
    expect(page.get_by_text("is taken back")).to_be_visible()
