"""Takes a picture of every page at phone and desktop width, light and dark, and tells of console errors.

    python -m tests.browser.screenshots http://127.0.0.1:8765 DIRECTORY [--only admin] [--themes light] [--widths 1440]

Against the sample application (`python -m tests.unit.edge.web.sample_app`), whose sign-ins are the defaults, or
against a running platform with `--member` and `--operator`. Which tenant and which story are shown is read off the
first rows of their lists.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from playwright.sync_api import Browser, BrowserContext, Page, StorageState, sync_playwright

from tests.browser.chromium import launch
from tests.unit.edge.web.sample_handover import BEGUN
from tests.unit.edge.web.sample_provider import PUBLIC_ID

Who = Literal["anybody", "member", "operator", "support"]
"""`support` is the operator in the member's name."""

PAGES: Final[dict[str, tuple[Who, str]]] = {
    "site-home": ("anybody", "/"),
    "site-pricing": ("anybody", "/pricing"),
    "site-thanks": ("anybody", "/leads/thanks"),
    "site-privacy": ("anybody", "/legal/privacy"),
    "site-404": ("anybody", "/no-such-page"),
    "account-sign-up": ("anybody", "/account/sign-up"),
    "account-check-your-mail": ("anybody", "/account/check-your-mail"),
    "account-verify": ("anybody", "/account/verify?token=good"),
    "account-sign-in": ("anybody", "/account/sign-in"),
    "account-organisation": ("anybody", "/account/sign-in/organisation"),
    "account-forgot-password": ("anybody", "/account/forgot-password"),
    "account-reset-sent": ("anybody", "/account/forgot-password?sent"),
    "account-reset-password": ("anybody", "/account/reset-password?token=good"),
    "account-link": ("anybody", "/account/sign-in-link"),
    "account-link-sent": ("anybody", "/account/sign-in-link?sent"),
    "account-link-open": ("anybody", "/account/sign-in-link/open?token=good"),
    "account-hand-on": ("anybody", "{hand_on}"),
    "account-passkey-for-host": ("anybody", "{for_host}"),
    "account-invitation": ("member", "/account/invitations/accept?token=good"),
    "account-sessions": ("member", "/account/sessions"),
    "account-again": ("member", "/account/sign-in/again?next=/account/sessions"),
    "account-sign-out": ("member", "/oauth2/logout"),
    "account-profile": ("member", "/account/profile"),
    "account-security": ("member", "/account/security"),
    "account-passkey-new": ("member", "/account/security/passkeys/new"),
    "account-passkey": ("member", "{passkey}"),
    "account-activity": ("member", "/account/activity"),
    "account-data": ("member", "/account/data"),
    "account-delete-own": ("member", "/account/delete"),
    "account-home": ("member", "/account"),
    "account-tenant": ("member", "{tenant}"),
    "account-billing": ("member", "{tenant}/billing"),
    "account-keys": ("member", "{tenant}/keys"),
    "account-directory": ("member", "{tenant}/directory"),
    "account-key": ("member", "{key}"),
    "account-clients": ("member", "{tenant}/clients"),
    "account-client": ("member", "{client}"),
    "account-apps": ("member", "/account/apps"),
    "account-consent": ("member", "{consent}"),
    "account-sign-on": ("member", "{tenant}/sign-on"),
    "account-custom-domains": ("member", "{tenant}/custom-domains"),
    "account-audit": ("member", "{tenant}/audit"),
    "account-usage": ("member", "{tenant}/usage"),
    "account-settings": ("member", "{tenant}/settings"),
    "account-settings-version": ("member", "{tenant}/settings/versions/2"),
    "account-delete": ("member", "{tenant}/delete"),
    "account-export": ("member", "{tenant}/export"),
    "account-member": ("member", "{member}"),
    "account-member-own": ("member", "{own}"),
    "support-home": ("support", "/account"),
    "support-tenant": ("support", "{tenant}"),
    "support-refused": ("support", "{tenant}/keys"),
    "admin-impersonations": ("operator", "/admin/impersonations"),
    "admin-overview": ("operator", "/admin"),
    "admin-users": ("operator", "/admin/users"),
    "admin-user": ("operator", "{person}"),
    "admin-tenants": ("operator", "/admin/tenants"),
    "admin-tenant": ("operator", "{customer}"),
    "admin-tenant-settings": ("operator", "{customer}/settings"),
    "admin-tenant-settings-version": ("operator", "{customer}/settings/versions/2"),
    "admin-analytics": ("operator", "/admin/analytics"),
    "admin-analytics-month": ("operator", "/admin/analytics?by=month"),
    "admin-subscriptions": ("operator", "/admin/subscriptions"),
    "admin-invoices": ("operator", "/admin/invoices"),
    "admin-messages": ("operator", "/admin/messages"),
    "admin-events": ("operator", "/admin/events"),
    "admin-audit": ("operator", "/admin/audit"),
    "admin-consumers": ("operator", "/admin/consumers"),
    "admin-topics": ("operator", "/admin/topics"),
    "admin-topic": ("operator", "/admin/topics/prog.payments.events"),
    "admin-topic-dead": ("operator", "/admin/topics/prog.payments.dead"),
    "admin-dead-letters": ("operator", "/admin/dead-letters"),
    "admin-replays": ("operator", "/admin/replays"),
    "admin-story": ("operator", "{story}"),
    "admin-find": ("operator", "/admin/find?q=example"),
    "dev-mailbox": ("operator", "/dev/mailbox"),
    "dev-mail": ("operator", "{mail}"),
}
ON_THE_WAY: Final = {
    "hand_on": "/v1/auth/oauth/google/callback?code=c&state=of-a-host",
    "for_host": f"/account/passkey/for-host?request={BEGUN}",
}
"""Pages on the way to a tenant's own host, which the sample application shows to whoever asks."""
SIZES: Final = {"1440": (1440, 900), "390": (390, 844)}


@dataclass
class Studio:
    """The browser with the sessions it keeps and the addresses that it found."""

    browser: Browser
    base: str
    sessions: dict[Who, StorageState] = field(default_factory=dict)
    found: dict[str, str] = field(default_factory=dict)

    def sign_in(self, who: Who, email: str, password: str) -> None:
        context = self.browser.new_context()
        page = context.new_page()
        page.goto(f"{self.base}/account/sign-in")
        page.get_by_label("Email").fill(email)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.wait_for_url("**/account")
        self.sessions[who] = context.storage_state()
        context.close()

    def act_as(self, person: str) -> None:
        """The operator acts in the name of a person, whose page of the console this is."""
        context = self.open("operator", "1440", "light")
        page = context.new_page()
        page.goto(self.base + person)
        page.get_by_label("Why").fill("Ticket 4711: the invoice page is empty")
        page.get_by_role("button", name="Act as").click()
        page.wait_for_url("**/account")
        self.sessions["support"] = context.storage_state()
        context.close()

    def look_for(self, name: str, who: Who, path: str, selector: str) -> None:
        """The address of the first link that `selector` matches on `path`."""
        context = self.open(who, "1440", "light")
        page = context.new_page()
        page.goto(self.base + path)
        link = page.locator(selector).first
        if link.count():
            self.found[name] = link.get_attribute("href") or ""
        context.close()

    def look_at(self, name: str, path: str) -> None:
        """Keeps an address if there is a page at it."""
        context = self.open("anybody", "1440", "light")
        if context.request.get(self.base + path).ok:
            self.found[name] = path
        context.close()

    def open(self, who: Who, width: str, theme: str) -> BrowserContext:
        across, down = SIZES[width]
        return self.browser.new_context(
            viewport={"width": across, "height": down},
            color_scheme="dark" if theme == "dark" else "light",
            reduced_motion="reduce",
            storage_state=self.sessions.get(who),
        )

    def picture(self, name: str, width: str, theme: str, directory: Path) -> list[str]:
        """Takes it, and returns what is wrong: errors on the console, or a page wider than its window."""
        who, path = PAGES[name]
        if path.startswith("{") and path[1 : path.index("}")] not in self.found:
            return [f"there is nothing to show for {path}"]
        context = self.open(who, width, theme)
        page = context.new_page()
        problems: list[str] = []
        watch(page, problems)
        page.goto(self.base + path.format(**self.found), wait_until="load")
        page.wait_for_timeout(350)  # fonts and charts
        page.screenshot(path=str(directory / f"{name}-{width}-{theme}.png"), full_page=True)
        if (too_wide := page.evaluate("document.documentElement.scrollWidth - innerWidth")) > 0:
            problems.append(f"{too_wide} px wider than the window")
        context.close()
        return [problem for problem in problems if not (name == "site-404" and "404" in problem)]


def watch(page: Page, problems: list[str]) -> None:
    """Adds every error and warning of the console to `problems`; violations of the policy are among them."""
    page.on("console", lambda said: problems.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: problems.append(str(error)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--only", default="", help="a part of the pages' names")
    parser.add_argument("--themes", nargs="+", default=["light", "dark"])
    parser.add_argument("--widths", nargs="+", default=list(SIZES))
    sample = "correct horse battery"
    parser.add_argument("--member", nargs=2, default=["ada@example.com", sample], metavar=("EMAIL", "PASSWORD"))
    parser.add_argument("--operator", nargs=2, default=["admin@example.com", sample], metavar=("EMAIL", "PASSWORD"))
    asks = f"client_id={PUBLIC_ID}"
    parser.add_argument("--request", default=asks, help="the query with which a client asks for consent")
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    wrong = 0
    with sync_playwright() as playwright:
        studio = Studio(launch(playwright), options.base.rstrip("/"))
        studio.sign_in("member", *options.member)
        studio.sign_in("operator", *options.operator)
        studio.look_for("tenant", "member", "/account", ".tenant-link")
        studio.look_for("own", "member", studio.found["tenant"], ".people a[aria-label='Manage your membership']")
        studio.look_for("member", "member", studio.found["tenant"], ".people li:nth-child(2) a")
        studio.look_for("key", "member", f"{studio.found['tenant']}/keys", ".people a")
        studio.look_for("client", "member", f"{studio.found['tenant']}/clients", ".people a")
        for name, path in ON_THE_WAY.items():
            studio.look_at(name, path)
        studio.found["consent"] = f"/oauth2/authorize?{options.request}"
        studio.look_for("passkey", "member", "/account/security", ".people a")
        studio.look_for("person", "operator", "/admin/users", ".row-link")
        studio.act_as(studio.found["person"])
        studio.look_for("customer", "operator", "/admin/tenants", ".row-link")
        studio.look_for("story", "operator", "/admin/subscriptions", ".row-link")
        studio.look_for("mail", "operator", "/dev/mailbox", ".mail-list li a")
        for width in options.widths:
            for theme in options.themes:
                for name in (name for name in PAGES if options.only in name):
                    problems = studio.picture(name, width, theme, options.directory)
                    if problems:
                        wrong += 1
                        print(f"{name} {width} {theme}: {'; '.join(problems)}")
        studio.browser.close()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
