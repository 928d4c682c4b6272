"""Takes a picture of every page at phone and desktop width, light and dark, and tells of console errors.

    python -m tests.browser.screenshots http://127.0.0.1:8765 DIRECTORY [--only admin] [--cookie operator]

Against the sample application (`python -m tests.unit.edge.web.sample_app`) or any running platform.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, ConsoleMessage, sync_playwright

from tests.browser.chromium import launch

TENANT: Final = "/account/tenants/{tenant}"
PAGES: Final[dict[str, tuple[str, str]]] = {
    "site-home": ("", "/"),
    "site-pricing": ("", "/pricing"),
    "site-thanks": ("", "/leads/thanks"),
    "site-privacy": ("", "/legal/privacy"),
    "site-404": ("", "/no-such-page"),
    "account-sign-up": ("", "/account/sign-up"),
    "account-check-your-mail": ("", "/account/check-your-mail"),
    "account-verify": ("", "/account/verify?token=good"),
    "account-sign-in": ("", "/account/sign-in"),
    "account-invitation": ("ada", "/account/invitations/accept?token=good"),
    "account-home": ("ada", "/account"),
    "account-tenant": ("ada", TENANT),
    "account-billing": ("ada", TENANT + "/billing"),
    "admin-overview": ("operator", "/admin"),
    "admin-users": ("operator", "/admin/users"),
    "admin-tenants": ("operator", "/admin/tenants"),
    "admin-subscriptions": ("operator", "/admin/subscriptions"),
    "admin-invoices": ("operator", "/admin/invoices"),
    "admin-messages": ("operator", "/admin/messages"),
    "admin-events": ("operator", "/admin/events"),
    "admin-consumers": ("operator", "/admin/consumers"),
    "admin-dead-letters": ("operator", "/admin/dead-letters"),
    "admin-story": ("operator", "/admin/story/{subscription}"),
    "admin-find": ("operator", "/admin/find?q=ada"),
    "dev-mailbox": ("operator", "/dev/mailbox"),
    "dev-mail": ("operator", "/dev/mailbox/mail_1"),
}
WIDTHS: Final = {"1440": 1440, "390": 390}


def take(
    browser: Browser, base: str, target: Path, only: str, themes: list[str], widths: list[str], ids: dict[str, str]
) -> int:
    """The number of pages that logged an error."""
    noisy = 0
    for width in widths:
        for theme in themes:
            for name, (who, path) in PAGES.items():
                if only and only not in name:
                    continue
                context = browser.new_context(
                    viewport={"width": WIDTHS[width], "height": 900 if width == "1440" else 844},
                    color_scheme="dark" if theme == "dark" else "light",
                    reduced_motion="reduce",
                )
                if who:
                    context.add_cookies([{"name": "prog_session", "value": who, "url": base}])
                page = context.new_page()
                said: list[str] = []

                def note(message: ConsoleMessage, said: list[str] = said) -> None:
                    if message.type in ("error", "warning"):
                        said.append(message.text)

                page.on("console", note)
                page.on("pageerror", lambda error, said=said: said.append(str(error)))
                page.goto(base + path.format(**ids), wait_until="load")
                page.wait_for_timeout(350)
                wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
                page.screenshot(path=str(target / f"{name}-{width}-{theme}.png"), full_page=True)
                expected = [text for text in said if name == "site-404" and "404" in text]
                if (said and said != expected) or wide > 0:
                    noisy += 1
                    print(f"{name} {width} {theme}: overflow {wide} px, {said}")
                context.close()
    return noisy


def main() -> int:
    from tests.unit.edge.web.sample_console import sample_id

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--themes", nargs="+", default=["light", "dark"])
    parser.add_argument("--widths", nargs="+", default=list(WIDTHS))
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    ids = {"tenant": sample_id("tenant", 7), "subscription": sample_id("subscription", 1)}
    with sync_playwright() as playwright:
        browser = launch(playwright)
        noisy = take(browser, options.base, options.directory, options.only, options.themes, options.widths, ids)
        browser.close()
    return 1 if noisy else 0


if __name__ == "__main__":
    sys.exit(main())
