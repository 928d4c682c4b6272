"""The pages of a tenant's settings, and how pages look that have a tenant's own branding."""

from __future__ import annotations

from dataclasses import replace

import pytest

from prog_contracts.configuration import Configuration
from prog_contracts.errors import Invalid
from prog_edge.web.ports import WebServices
from tests.unit.edge.web.conftest import Browse, Browser
from tests.unit.edge.web.sample_backend import OTHER_TENANT, TENANT, sample_services
from tests.unit.edge.web.sample_configuration import DOCUMENTS, LOGO, SampleBranding, SampleConfiguration
from tests.unit.edge.web.test_forms import problem_at

PATH = f"/account/tenants/{TENANT}/settings"
CONSOLE = f"/admin/tenants/{TENANT}/settings"
FORM = {
    "version": "3", "name": "New name", "logo": LOGO, "accent_light": "#0B6B4F", "accent_dark": "", "sender_name": "",
    "reply_to": "a@b.example", "support_address": "", "locale": "en_GB", "lifetime_days": "3", "reason": "Because",
    "api_version": "2026-09-01",
}  # fmt: skip


def services(configuration: SampleConfiguration | None = None) -> WebServices:
    return replace(sample_services(), configuration=configuration or SampleConfiguration())


def token(browser: Browser, path: str) -> str:
    return browser.get(path).text.partition('name="csrf_token" value="')[2].partition('"')[0]


@pytest.mark.parametrize(("who", "path"), [("ada", PATH), ("operator", CONSOLE)])
def test_the_form_saves_the_whole_document(browse: Browse, who: str, path: str) -> None:
    sample = SampleConfiguration()
    browser = browse(who, services(sample))
    page = browser.get(path).text
    assert 'value="#5fd0a5"' in page
    assert "The new logo, since the merger" in page
    answer = browser.post(path, data={"csrf_token": token(browser, path), **FORM})
    assert (answer.status_code, answer.headers["location"]) == (303, path)
    [(saved, with_picture, reason)] = sample.saved
    assert (saved.branding.name, saved.branding.logo, saved.branding.accent_light) == ("New name", LOGO, "#0b6b4f")
    assert (saved.branding.accent_dark, saved.mail.reply_to, saved.locale) == (None, "a@b.example", "en_GB")
    assert (saved.invitations.lifetime_days, with_picture, reason) == (3, False, "Because")
    assert saved.api_version == "2026-09-01"


def test_a_picture_comes_along_and_goes_away(browse: Browse) -> None:
    sample = SampleConfiguration()
    browser = browse("ada", services(sample))
    data = {"csrf_token": token(browser, PATH), **FORM}
    assert browser.post(PATH, data=data, files={"image": ("logo.png", b"picture", "image/png")}).status_code == 303
    assert browser.post(PATH, data=data, files={"image": ("", b"", "application/octet-stream")}).status_code == 303
    assert browser.post(PATH, data=data | {"remove_logo": "yes"}).status_code == 303
    assert [(saved.branding.logo, came) for saved, came, _ in sample.saved] == [
        (LOGO, True), (LOGO, False), (None, False)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"accent_light": "red"}, "A colour is # and six digits"),
        ({"lifetime_days": "0"}, "1 to 30 days"),
        ({"api_version": "yesterday"}, "Choose one of these"),
        ({"lifetime_days": "x" * 500}, "1 to 30 days"),
        ({"locale": "tlh"}, "Choose one of these."),
        ({"logo": "../../etc/passwd"}, ""),
        ({"version": "2"}, "has changed meanwhile"),
        ({"version": "-1"}, "has changed meanwhile"),
        ({"version": "9" * 400}, "has changed meanwhile"),
        ({"name": "x" * 101}, "100 characters at most"),
    ],
)
def test_a_form_that_is_wrong_comes_back_with_what_was_typed(
    browse: Browse, change: dict[str, str], shown: str
) -> None:
    sample = SampleConfiguration()
    browser = browse("ada", services(sample))
    answer = browser.post(PATH, data={"csrf_token": token(browser, PATH), **FORM, **change})
    assert answer.status_code == 422
    assert shown in answer.text
    assert "Because" in answer.text
    assert sample.saved == []


def test_what_the_domain_refuses_stands_beside_its_field(browse: Browse) -> None:
    refusal = Invalid.field("settings.branding.accent_light", "low_contrast", "Text in #ffee00 cannot be read.")
    browser = browse("ada", services(SampleConfiguration(refusal=refusal)))
    answer = browser.post(PATH, data={"csrf_token": token(browser, PATH), **FORM})
    assert answer.status_code == 422
    assert problem_at(answer.text, "accent_light") == "Text in #ffee00 cannot be read."


@pytest.mark.parametrize(("who", "path"), [("ada", PATH), ("operator", CONSOLE)])
def test_an_earlier_version_is_looked_at_and_restored(browse: Browse, who: str, path: str) -> None:
    sample = SampleConfiguration()
    browser = browse(who, services(sample))
    page = browser.get(f"{path}/versions/2").text
    assert "Roll back to version 2" in page
    assert "branding.accent_light" in page
    assert "Roll back to version 3" not in browser.get(f"{path}/versions/3").text, "it holds already"
    form = {"csrf_token": token(browser, f"{path}/versions/2"), "version": "3", "reason": "Too early"}
    answer = browser.post(f"{path}/versions/2/restore", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, path)
    assert sample.rolled_back == [(2, "Too early")]
    stale = browser.post(f"{path}/versions/2/restore", data=form | {"version": "2"})
    assert stale.status_code == 422
    assert "has changed meanwhile" in stale.text


@pytest.mark.parametrize("version", ["0", "99", "-1", "1.0", "x", "٣", "9" * 300])
def test_a_version_that_never_was_is_not_found(browse: Browse, version: str) -> None:
    assert browse("ada", services()).get(f"{PATH}/versions/{version}").status_code == 404


def test_whoever_may_not_change_it_reads_it(browse: Browse) -> None:
    sample = SampleConfiguration(role="viewer", may_change=False)
    browser = browse("ada", services(sample))
    page = browser.get(PATH).text
    assert "<form" not in page.partition("<main")[2].partition("</main>")[0]
    assert "mail.reply_to" in page
    assert "Roll back" not in browser.get(f"{PATH}/versions/2").text


def test_settings_of_a_tenant_without_any_can_be_made(browse: Browse) -> None:
    page = browse("ada", services(SampleConfiguration(documents=DOCUMENTS[:1]))).get(PATH)
    assert page.status_code == 200


def test_the_console_is_for_operators(browse: Browse) -> None:
    assert browse("ada", services()).get(CONSOLE).status_code == 403
    assert browse(None, services()).get(PATH).status_code == 303


def test_pages_of_a_tenant_have_its_looks_and_no_others_do(browse: Browse) -> None:
    branded = replace(sample_services(), branding=SampleBranding(branded=TENANT))
    browser = browse("ada", branded)
    page = browser.get(f"/account/tenants/{TENANT}").text
    style, picture = f"/brand/{TENANT}/3.css", f"/brand/{TENANT}/logo/{LOGO}.png"
    assert style in page
    assert picture in page
    assert "help@engines.example" in page
    for path in ("/account", f"/account/tenants/{OTHER_TENANT}", "/account/security"):
        other = browser.get(path).text
        assert "/brand/" not in other, path
        assert "help@engines.example" not in other, path
    console = browse("operator", branded).get(f"/admin/tenants/{TENANT}").text
    assert "/brand/" not in console, "the console is the platform's"


def test_looks_are_served_safely_and_of_their_tenant_alone(browse: Browse) -> None:
    browser = browse(None, replace(sample_services(), branding=SampleBranding(branded=TENANT)))
    picture = browser.get(f"/brand/{TENANT}/logo/{LOGO}.png")
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png")
    assert picture.headers["content-security-policy"] == "default-src 'none'; sandbox; frame-ancestors 'none'"
    assert picture.headers["x-content-type-options"] == "nosniff"
    assert "immutable" in picture.headers["cache-control"]
    style = browser.get(f"/brand/{TENANT}/3.css")
    assert style.headers["content-type"].startswith("text/css")
    assert '[data-theme="dark"] { --color-accent: #5fd0a5;' in style.text
    assert ':root:not([data-theme="dark"]) { --color-accent: #0b6b4f;' in style.text
    for path in (
        f"/brand/{OTHER_TENANT}/logo/{LOGO}.png", f"/brand/{TENANT}/logo/{LOGO.upper()}.png",
        f"/brand/{TENANT}/logo/..%2f..%2fx.png", f"/brand/{TENANT}/2.css", f"/brand/{TENANT}/x.css",
        f"/brand/{OTHER_TENANT}/3.css", "/brand/nonsense/3.css", f"/brand/{TENANT}/{'9' * 300}.css",
    ):  # fmt: skip
        assert browser.get(path).status_code == 404, path


def test_the_page_of_usage_tells_what_is_near_its_limit(browse: Browse) -> None:
    page = browse("ada", services()).get(f"/account/tenants/{TENANT}/usage").text
    assert "84 of 100" in page
    assert "The limit is reached: more is refused." in page
    assert "30,000" in page
    assert "without limit" in page
    assert f"/account/tenants/{TENANT}/billing" in page
    member = browse("ada", services(SampleConfiguration(role="member"))).get(f"/account/tenants/{TENANT}/usage").text
    assert f"/account/tenants/{TENANT}/billing" not in member


def test_every_setting_is_in_the_form(browse: Browse) -> None:
    page = browse("ada", services()).get(PATH).text
    for name in Configuration().values():
        assert f'name="{name.rpartition(".")[2]}"' in page, name
