"""Every flow by keyboard alone: what is reached with Tab shows that it has the focus, and Enter or Space does the rest.

Over sample data. Sign-in and recovery are gone through without JavaScript, too.
"""

from __future__ import annotations

import re
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.keys import Device
from tests.browser.test_behaviour import ADDRESSES
from tests.browser.test_second_factor import arrive
from tests.unit.edge.web.sample_backend import TENANT
from tests.unit.edge.web.sample_security import CODES

pytestmark = pytest.mark.browser

PASSWORD: Final = "correct horse battery"
MOST_TABS: Final = 120

_FOCUSED: Final = """
() => {
  const at = document.activeElement;
  const style = getComputedStyle(at);
  const named = at.getAttribute("aria-label") ?? at.labels?.[0]?.textContent ?? at.textContent;
  const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  return { name: named.replace(/\\s+/g, " ").trim(), shown: ring || style.boxShadow !== "none", tag: at.tagName };
}
"""


def tab_to(page: Page, name: str) -> None:
    """Goes on with Tab until what has this name has the focus, and shows it."""
    passed = []
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        at = page.evaluate(_FOCUSED)
        if at["name"].startswith(name) and at["tag"] != "BODY":
            assert at["shown"], f"{name} does not show that it has the focus"
            return
        passed.append(at["name"])
    raise AssertionError(f"Tab never comes to {name}, but to {passed[:40]}")


def type_into(page: Page, **fields: str) -> None:
    """Fills in fields by their labels, in the order in which they stand."""
    for label, text in fields.items():
        tab_to(page, label.replace("_", " "))
        page.keyboard.press("Control+a")
        page.keyboard.type(text)


def press(page: Page, name: str) -> None:
    tab_to(page, name)
    page.keyboard.press("Enter")


@pytest.mark.parametrize("script", [True, False], ids=["javascript", "without"])
def test_signing_up_and_in_and_the_second_step(visit: Visit, sample: str, script: bool) -> None:
    page = visit(base_url=sample, java_script_enabled=script, reduced_motion="reduce")
    if not script:
        signing_in_without_a_script(page)
        return
    page.goto("/account/sign-up")
    type_into(page, Your_name="Ada", Email="ada@example.com", Password=PASSWORD)
    press(page, "Create account")
    arrive(page, "/account/check-your-mail")
    page.goto("/account/verify?token=good")
    press(page, "Verify my address")
    arrive(page, "/account/sign-in")
    type_into(page, Email="careful@example.com", Password=PASSWORD)
    press(page, "Sign in")
    arrive(page, "/account/sign-in/second-step")
    press(page, "Use a recovery code")
    page.wait_for_url("**use=recovery_code")
    type_into(page, Recovery_code=CODES[0])
    press(page, "Continue")
    arrive(page, "/account")


def signing_in_without_a_script(page: Page) -> None:
    """Without one nothing can ask where the focus is: the browser puts it into the first field, and Tab goes on."""
    page.goto("/account/sign-in")
    expect(page.get_by_label("Email")).to_be_focused()
    page.keyboard.type("careful@example.com")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    arrive(page, "/account/sign-in/second-step")
    expect(page.get_by_role("textbox")).to_be_focused()
    page.keyboard.type("123456")
    page.keyboard.press("Enter")
    arrive(page, "/account")


@pytest.mark.parametrize("script", [True, False], ids=["javascript", "without"])
def test_recovery(visit: Visit, sample: str, script: bool) -> None:
    page = visit(base_url=sample, java_script_enabled=script, reduced_motion="reduce")
    page.goto("/account/forgot-password")
    expect(page.get_by_label("Email")).to_be_focused()
    page.keyboard.type("ada@example.com")
    page.keyboard.press("Enter")
    page.wait_for_url("**/account/forgot-password?sent")
    page.goto("/account/reset-password?token=good")
    expect(page.get_by_label("New password")).to_be_focused()
    page.keyboard.type("a wholly different sentence")
    page.keyboard.press("Enter")
    arrive(page, "/account/sign-in")


def signed_in(visit: Visit, sample: str, who: str, *, script: bool = True) -> Page:
    page = visit(base_url=sample, java_script_enabled=script, reduced_motion="reduce")
    page.context.add_cookies([{"name": "prog_session", "value": who, "url": sample}])
    return page


def test_an_app_is_set_up(visit: Visit, sample: str) -> None:
    page = signed_in(visit, sample, "ada")
    page.goto("/account/security")
    press(page, "Use another app")
    expect(page.get_by_role("textbox", name="Code", exact=True)).to_be_focused()
    page.keyboard.type("123456")
    press(page, "Turn it on")
    arrive(page, "/account/security")


def test_a_passkey_is_made_and_used(visit: Visit, sample: str) -> None:
    """What the browser answers reaches the server; what it makes of that is tested on a whole platform."""
    base = sample.replace("127.0.0.1", "localhost")
    page = signed_in(visit, base, "ada")
    page.goto("/account/security")
    press(page, "Add another passkey")
    arrive(page, "/account/security/passkeys/new")
    device = Device(page)
    expect(page.get_by_role("textbox", name="Name")).to_be_focused()
    page.keyboard.type("Laptop")
    with page.expect_request(lambda request: request.method == "POST") as sent:
        press(page, "Make the passkey")
    assert "attestationObject" in (sent.value.post_data or "")
    assert len(device.credentials()) == 1
    expect(page.get_by_text("This passkey cannot be used.")).to_be_visible()


def test_an_invitation_members_and_api_keys(visit: Visit, sample: str) -> None:
    page = signed_in(visit, sample, "ada")
    page.goto("/account/invitations/accept?token=good")
    press(page, "Accept the invitation")
    arrive(page, f"/account/tenants/{TENANT}")
    type_into(page, Invite_by_email="grace@company.com")
    page.keyboard.press("Enter")
    expect(page.get_by_text("An invitation is on its way")).to_be_visible()
    page.goto(ADDRESSES["member"])
    tab_to(page, "Role in")
    page.keyboard.press("ArrowDown")
    press(page, "Change role")
    arrive(page, f"/account/tenants/{TENANT}")
    press(page, "API keys")
    arrive(page, f"/account/tenants/{TENANT}/keys")
    type_into(page, Name="Order import")
    tab_to(page, "Publish events event.publish")
    page.keyboard.press("Space")
    press(page, "Make the key")
    expect(page.get_by_text(re.compile("prog_(test|live)_")).first).to_be_visible()


def test_search_in_the_console_and_the_reset_of_a_second_factor(visit: Visit, sample: str) -> None:
    page = signed_in(visit, sample, "operator")
    page.goto("/admin/users")
    type_into(page, Name="ada")
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/users?search=ada*")
    page.goto(ADDRESSES["person"])
    type_into(page, Reason="Lost the phone.")
    press(page, "Reset it for Grace Hopper")
    expect(page.get_by_text("The second factors are removed")).to_be_visible()


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_acting_in_somebody_s_name_and_the_way_out_of_it(visit: Visit, sample: str, script: bool) -> None:
    page = signed_in(visit, sample, "operator", script=script)
    page.goto(ADDRESSES["person"])
    type_into(page, Why="Ticket 4711")
    press(page, "Act as Grace Hopper")
    arrive(page, "/account")
    expect(page.get_by_label("You act in somebody else's name")).to_contain_text("You act as Ada Lovelace")
    press(page, "Stop")
    page.wait_for_url("**/admin/users/*")
    page.goto("/account")
    expect(page.get_by_label("You act in somebody else's name")).to_have_count(0)
