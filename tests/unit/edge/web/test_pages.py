"""Every page, in every state: it renders, its markup is sound, and its policy is strict."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import pytest

from prog_contracts.topics import TOPICS
from tests.unit.edge.web.conftest import Browse
from tests.unit.edge.web.markup import Element, read
from tests.unit.edge.web.sample_backend import GRACE, TENANT, sample_services_in
from tests.unit.edge.web.sample_console import sample_id

ANYBODY = (
    "/",
    "/pricing",
    "/leads/thanks",
    "/legal/imprint",
    "/legal/privacy",
    "/legal/terms",
    "/account/sign-up",
    "/account/check-your-mail",
    "/account/verify",
    "/account/verify?token=good",
    "/account/sign-in?next=/account",
    "/account/forgot-password",
    "/account/forgot-password?sent",
    "/account/reset-password",
    "/account/sign-in-link",
    "/account/sign-in-link?sent",
    "/account/sign-in-link/open",
    "/account/sign-in-link/open?token=good",
    "/account/reset-password?token=good",
    "/account/invitations/accept?token=good",
    "/dev/mailbox",
    "/dev/mailbox?search=nothing",
    "/dev/mailbox/mail_1",
    "/dev/mailbox/mail_text",
)
MEMBER = (
    "/account",
    "/account/sessions",
    "/account/sign-in/again",
    "/account/sign-in/again?use=recovery_code",
    "/account/security",
    "/account/security/passkeys/new",
    "/account/data",
    "/account/delete",
    "/account/activity",
    "/account/activity?cursor=older",
    f"/account/tenants/{TENANT}",
    f"/account/tenants/{TENANT}/billing",
    f"/account/tenants/{TENANT}/keys",
    f"/account/tenants/{TENANT}/directory",
    *(
        f"/account/tenants/{TENANT}/{page}"
        for page in ("usage", "settings", "clients", "sign-on", "audit", "export", "delete")
    ),
    f"/account/tenants/{TENANT}/settings/versions/1",
    "/account/profile",
    "/account/apps",
    "/account/invitations/accept?token=good",
    "/account/invitations/accept",
)
OPERATOR = (
    "/admin",
    "/admin/users",
    "/admin/users?search=ada&role=operator&verified=yes",
    "/admin/users?search=nothing",
    "/admin/users?cursor=older",
    f"/admin/users/{GRACE}",
    "/admin/tenants",
    "/admin/analytics",
    "/admin/analytics?by=month",
    "/admin/subscriptions?status=past_due",
    "/admin/invoices",
    "/admin/messages?domain=payments&tenant=tenant_1",
    "/admin/events",
    "/admin/events?domain=users&cursor=older",
    "/admin/audit",
    "/admin/audit?outcome=denial&search=nothing",
    "/admin/audit?search=users.",
    "/admin/consumers",
    "/admin/topics",
    "/admin/topics/prog.payments.events",
    "/admin/topics/prog.payments.dead",
    "/admin/dead-letters",
    "/admin/replays",
    "/admin/find",
    "/admin/find?q=ada",
    "/admin/find?q=nothing",
    f"/admin/story/{sample_id('subscription', 1)}",
)
STATES = ("full", "empty", "past-due")
CASES = [
    (who, path, state)
    for who, paths in ((None, ANYBODY), ("ada", MEMBER), ("operator", OPERATOR))
    for path in paths
    for state in STATES
]


@pytest.mark.parametrize(("who", "path", "state"), CASES)
def test_the_page_renders_with_sound_markup_and_a_strict_policy(
    browse: Browse, who: str | None, path: str, state: str
) -> None:
    answer = browse(who, sample_services_in(state)).get(path)

    assert answer.status_code == 200, answer.text[:300]
    page = read(answer.text)
    _check_frame(page)
    _check_controls(page)
    _check_policy(page, answer.headers["content-security-policy"])


@pytest.mark.parametrize(
    ("address", "file"),
    [
        ("/admin/audit", "/v1/audit?format=csv"),
        ("/admin/audit?outcome=denial&search=users.", "/v1/audit?format=csv&amp;action=users.%2A&amp;outcome=denial"),
        (f"/admin/audit?search={GRACE}", None),
        (f"/admin/audit?tenant={TENANT}", None),
    ],
)
def test_the_audit_trail_is_there_as_a_file_where_the_api_can_give_it(
    browse: Browse, address: str, file: str | None
) -> None:
    page = browse("operator").get(address).text
    assert (f'href="{file}" download' in page) if file else ("/v1/audit" not in page)


@pytest.mark.parametrize("count", [0, 3])
def test_the_overview_leads_to_sign_outs_that_apps_did_not_hear_of(browse: Browse, count: int) -> None:
    services = sample_services_in("full")
    services.admin.unheard_sign_outs = count  # type: ignore[attr-defined]
    page = browse("operator", services).get("/admin").text
    assert ('href="/admin/audit?search=users.logout_notice_failed"' in page) is (count > 0)
    assert ("3 did not reach apps" in page) is (count > 0)
    assert ('action="/admin/sign-outs/resend"' in page) is (count > 0)


def _check_frame(page: Element) -> None:
    assert page.all("html")[0].get("lang") == "en"
    assert page.all("title")[0].text.endswith("· ProgNetwork")
    assert len(page.all("h1")) == 1
    assert len(page.all("main")) == 1
    assert any(link.get("class") == "skip-link" and link.get("href") == "#main" for link in page.all("a"))
    ids = Counter(element.get("id") for element in page.everything() if element.get("id"))
    assert [name for name, times in ids.items() if times > 1] == []


def _check_controls(page: Element) -> None:
    """Every posting form carries its token, every control and button has a name."""
    for form in page.all("form"):
        if (form.get("method") or "").lower() == "post":
            tokens = [field for field in form.all("input") if field.get("name") == "csrf_token"]
            assert len(tokens) == 1, form.get("action")
            assert len(tokens[0].get("value") or "") == 64
    labelled = {label.get("for") for label in page.all("label")}
    within = {id(control) for label in page.all("label") for control in label.everything()}
    for control in page.all("input") + page.all("select") + page.all("textarea"):
        named = control.get("id") in labelled or control.get("aria-label") or id(control) in within
        assert named or control.get("type") == "hidden", control.attributes
    for button in page.all("button"):
        name = "".join(part.text for part in button.everything()).strip() or button.get("aria-label")
        assert name or button.get("data-dismiss") is not None, button.attributes
    for link in page.all("a"):
        assert "".join(part.text for part in link.everything()).strip() or link.get("aria-label"), link.attributes
        assert not (link.get("href") or "").startswith("javascript:")


def _check_policy(page: Element, policy: str) -> None:
    nonce = re.search(r"script-src 'nonce-([\w-]{20,})'", policy)
    assert nonce, policy
    assert "unsafe" not in policy
    assert {script.get("nonce") for script in page.all("script")} == {nonce[1]}
    assert all(script.get("type") == "module" and script.get("src") for script in page.all("script"))
    assert not page.all("style")
    for element in page.everything():
        for name, value in element.attributes.items():
            assert name != "style", element.attributes
            assert not name.startswith(("on", "hx-on")), element.attributes
            assert not (name.startswith("hx-") and "js:" in (value or "")), element.attributes


@pytest.mark.parametrize(
    "path", ["/account", f"/account/tenants/{TENANT}", "/admin", "/admin/events/live", "/admin/live"]
)
def test_a_stranger_is_sent_to_sign_in_and_comes_back(browse: Browse, path: str) -> None:
    answer = browse().get(path)

    assert answer.status_code == 303
    assert answer.headers["location"] == f"/account/sign-in?next={path}"


@pytest.mark.parametrize("path", [path for path in OPERATOR if "?" not in path])
def test_the_console_is_for_operators_alone(browse: Browse, path: str) -> None:
    answer = browse("ada").get(path)

    assert answer.status_code == 403
    assert "This is not for you" in answer.text


def test_an_unknown_address_is_a_page_for_browsers_and_data_for_programs(browse: Browse) -> None:
    client = browse()

    page = client.get("/no-such-page", headers={"accept": "text/html"})
    data = client.get("/v1/no-such-thing", headers={"accept": "text/html"})

    assert page.status_code == data.status_code == 404
    assert "Nothing here" in page.text
    assert data.json() == {"status": 404}


def test_anothers_tenant_looks_like_none(browse: Browse) -> None:
    answer = browse("ada").get(f"/account/tenants/{sample_id('tenant', 99)}")

    assert answer.status_code == 404
    assert "not a member" in answer.text


def test_a_session_that_is_over_is_taken_from_the_browser(browse: Browse) -> None:
    answer = browse("forged").get("/")

    assert 'prog_session=""' in answer.headers["set-cookie"]


def test_the_theme_is_drawn_by_the_server(browse: Browse) -> None:
    client = browse()
    client.cookies.set("prog_theme", "dark", domain="127.0.0.1")

    assert '<html lang="en" data-theme="dark">' in client.get("/").text


def test_the_mailbox_is_absent_where_none_is_set(browse: Browse) -> None:
    services = sample_services_in("full")
    bare = replace(services, mailbox=None)

    assert browse(None, bare).get("/dev/mailbox").status_code == 404
    assert browse(None, bare).get("/dev/mailbox/mail_1/html").status_code == 404


def test_a_mails_html_may_style_itself_and_nothing_else(browse: Browse) -> None:
    answer = browse().get("/dev/mailbox/mail_1/html")

    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox ")
    assert "allow-scripts" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'self'" in policy
    assert '<base target="_blank">' in answer.text


@pytest.mark.parametrize(
    ("path", "kind", "text"),
    [
        ("/robots.txt", "text/plain", "Disallow: /admin"),
        ("/sitemap.xml", "application/xml", "<loc>http://127.0.0.1:8000/pricing</loc>"),
        ("/manifest.webmanifest", "application/manifest+json", '"start_url":"/account"'),
    ],
)
def test_machines_find_what_they_ask_for(browse: Browse, path: str, kind: str, text: str) -> None:
    answer = browse().get(path)

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(kind)
    assert text in answer.text


def test_a_browser_finds_the_icon_where_it_looks_by_itself(browse: Browse) -> None:
    assert browse().get("/favicon.ico").headers["location"] == "/static/built/icon.svg"


def test_a_plans_yearly_price_stands_on_its_card(browse: Browse) -> None:
    page = browse().get("/pricing").text

    assert page.count('<article class="plan') == 3
    assert "or $490 per year" in page


def test_the_site_promises_only_what_there_is(browse: Browse) -> None:
    client = browse()
    for path in ("/", "/pricing", "/legal/privacy", "/legal/terms"):
        page = client.get(path).text.lower()
        for promise in ("trial", "try for", "change or cancel", "replay source"):
            assert promise not in page, f"{path}: {promise}"
    assert "write to the operator" in client.get("/legal/privacy").text.lower()


def test_a_topic_says_who_waits_and_who_reads(browse: Browse) -> None:
    client = browse("operator")
    topics = {element.get("id"): element for element in read(client.get("/admin/topics").text).everything()}
    shards = {
        element.get("id"): element
        for element in read(client.get("/admin/topics/prog.payments.events").text).everything()
    }

    def told(row: Element) -> list[str]:
        cells = [cell for cell in row.children if cell.tag in ("td", "th")]
        return [" ".join(text for part in cell.everything() if (text := part.text.strip())) for cell in cells]

    assert len([name for name in topics if name and name.startswith("topic-")]) == len(TOPICS)
    assert told(topics["reader-prog.payments.events-email"]) == ["email", "24.3", "1,840", "14.0 s"]
    assert told(topics["reader-prog.payments.events-users"]) == ["users", "reads none"]
    assert told(topics["reader-prog.tenants.events-email"]) == ["email", "0", "–", "–"], "what is not known is no zero"
    assert told(shards["shard-email-0"])[:5] == ["email", "0", "1,840", "14.0 s", "Nobody"]
    assert told(shards["shard-email-1"])[:5] == ["email", "1", "0", "–", "worker-email-1f3a9c"]
    assert told(shards["shard-events-3"])[4] == "worker-events-1f3a9c Held by a replay"
    assert told(shards["shard-users-0"])[4] == "reads none", "and is no alarm"


def test_a_topic_that_does_not_exist_is_not_found(browse: Browse) -> None:
    answer = browse("operator").get("/admin/topics/prog.nowhere.events")

    assert answer.status_code == 404
    assert "There is no such topic." in answer.text


@pytest.mark.parametrize(
    ("path", "current"), [("/admin", "/admin"), ("/admin/topics/prog.users.events", "/admin/topics")]
)
def test_the_navigation_says_where_one_is(browse: Browse, path: str, current: str) -> None:
    links = [link for link in read(browse("operator").get(path).text).all("a") if link.get("data-go")]

    assert [link.get("href") for link in links if link.get("aria-current")] == [current]
    assert len({link.get("data-go") for link in links}) == len(links), "each page has a key of its own"


def test_a_form_that_somebody_types_in_holds_the_live_list(browse: Browse) -> None:
    page = read(browse("operator").get("/admin/dead-letters").text)
    [part] = [element for element in page.everything() if element.get("data-live")]
    typed = [form for form in part.all("form") if form.all("textarea")]

    assert typed
    assert all("data-holds-live" in form.attributes for form in typed)
