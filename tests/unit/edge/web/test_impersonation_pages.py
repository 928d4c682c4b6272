"""Pages while an operator acts in somebody's name: the banner on each, those that answer, and the way in and out."""

from __future__ import annotations

import re

import pytest
from fastapi.routing import APIRoute

from prog_edge.web.mount import ROUTERS
from prog_edge.web.ui.acting import ANSWERING, IN_SOMEBODY_S_NAME
from tests.unit.edge.web.conftest import Browse, Browser
from tests.unit.edge.web.sample_backend import GRACE, OPERATOR, TENANT, sample_services
from tests.unit.edge.web.sample_console import sample_id
from tests.unit.edge.web.sample_impersonations import ACTING, IMPERSONATION, REASON, SampleImpersonations
from tests.unit.edge.web.test_forms import fill, problem_at

PERSON = f"/admin/users/{GRACE}"
BEGIN = f"{PERSON}/impersonate"
END = "/account/impersonation/end"
BANNER = 'class="acting"'


def acting(browse: Browse, impersonations: SampleImpersonations | None = None) -> Browser:
    """The operator's browser, who acts as Ada."""
    browser = browse("operator", sample_services(impersonations=impersonations))
    browser.cookies.set("prog_impersonation", ACTING, domain="127.0.0.1")
    return browser


def pages() -> list[tuple[str, str]]:
    """Every page at which whoever acts in a name is that person: method and template of the path."""
    return [
        (method, route.path)
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
        and any(route.path == start or route.path.startswith(f"{start}/") for start in IN_SOMEBODY_S_NAME)
        for method in sorted(route.methods or ())
    ]


def address(path: str) -> str:
    return re.sub(r"{\w+}", "x", path.replace("{tenant_id}", TENANT).replace("{user_id}", GRACE))


def token_of(text: str) -> str:
    return text.partition('name="csrf_token" value="')[2].partition('"')[0]


def test_pages_that_answer_are_pages() -> None:
    assert set(pages()) >= ANSWERING


@pytest.mark.parametrize(("method", "path"), [page for page in pages() if page not in ANSWERING])
def test_every_other_page_refuses_whoever_acts_in_a_name(browse: Browse, method: str, path: str) -> None:
    browser = acting(browse)
    data = {"csrf_token": token_of(browser.get("/account").text)} if method == "POST" else None
    answer = browser.post(address(path), data=data) if method == "POST" else browser.get(address(path))
    assert answer.status_code == 403
    assert "You act in somebody else&#39;s name, and this is theirs alone to do." in answer.text
    assert BANNER in answer.text
    assert not [name for name in answer.headers.get_list("set-cookie") if name.startswith("prog_session")]


@pytest.mark.parametrize("page", ["", "/billing", "/usage", "/settings", f"/members/{GRACE}"])
def test_a_tenant_s_pages_lead_to_none_that_refuses(browse: Browse, page: str) -> None:
    text = acting(browse).get(f"/account/tenants/{TENANT}{page}").text
    for refused in ("keys", "clients", "sign-on", "directory", "delete", "export"):
        assert f'href="/account/tenants/{TENANT}/{refused}"' not in text, refused
    assert "Invite by email" not in text


@pytest.mark.parametrize("path", [path for method, path in sorted(ANSWERING) if method == "GET"])
def test_the_banner_is_on_every_page_with_who_why_and_a_way_out(browse: Browse, path: str) -> None:
    page = acting(browse).get(address(path).replace("versions/x", "versions/2"))
    if path.endswith(".pdf"):
        assert page.status_code in (200, 404)
        return
    if path == "/account/sign-in":
        assert page.headers["location"] == "/account"
        return
    assert page.status_code == 200
    banner = page.text.partition(BANNER)[2].partition("</aside>")[0]
    for told in ("You act as Ada Lovelace", "ada@example.com", REASON, f'action="{END}"', "<time"):
        assert told in banner
    assert "/account/sign-out" not in page.text, "it would sign out the operator"


def test_unknown_addresses_have_the_banner_too(browse: Browse) -> None:
    page = acting(browse).get("/account/nowhere", headers={"Accept": "text/html"})
    assert (page.status_code, BANNER in page.text) == (404, True)


def test_the_console_and_the_site_stay_the_operator_s(browse: Browse) -> None:
    browser = acting(browse)
    for path in ("/admin", "/admin/users", "/", "/dev/mailbox"):
        page = browser.get(path)
        assert (page.status_code, BANNER in page.text) == (200, False), path
    assert "First Administrator" in browser.get("/admin").text


def test_the_button_ends_it_and_leads_back(browse: Browse) -> None:
    impersonations = SampleImpersonations()
    browser = acting(browse, impersonations)
    assert browser.post(END, data={"csrf_token": "forged"}).status_code == 403
    assert impersonations.done == []
    done = browser.post(END, data={"csrf_token": token_of(browser.get("/account").text)})
    assert done.headers["location"] == f"/admin/users/{sample_id('user', 1)}"
    assert impersonations.done == [("end", "Ada Lovelace", IMPERSONATION)]
    assert BANNER not in browser.get("/account").text
    assert "prog_impersonation" not in browser.cookies
    assert browser.cookies["prog_session"] == "operator"


@pytest.mark.parametrize("page", ["/account", "/admin"])
@pytest.mark.parametrize("path", ["/theme", "/account/sign-out"])
def test_the_theme_is_chosen_and_the_operator_signs_out_on_pages_in_either_name(
    browse: Browse, page: str, path: str
) -> None:
    browser = acting(browse)
    data = {"csrf_token": token_of(browser.get(page).text), "theme": "dark", "next": ""}
    assert browser.post(path, data=data | {"csrf_token": "forged"}).status_code == 403
    assert browser.post(path, data=data).status_code == 303
    if path == "/account/sign-out":
        assert not {"prog_session", "prog_impersonation"} & set(browser.cookies)
    else:
        assert BANNER in browser.get("/account").text


def test_no_other_form_of_the_one_name_is_taken_in_the_other(browse: Browse) -> None:
    browser = acting(browse)
    of_the_console, of_the_account = token_of(browser.get("/admin").text), token_of(browser.get("/account").text)
    assert browser.post(END, data={"csrf_token": of_the_console}).status_code == 403
    sent = {"csrf_token": of_the_account, "acting_reason": REASON, "minutes": "15"}
    assert browser.post(BEGIN, data=sent).status_code == 403


@pytest.mark.parametrize("who", ["ada", None])
def test_the_cookie_is_worth_nothing_without_the_operator_s(browse: Browse, who: str | None) -> None:
    browser = browse(who)
    browser.cookies.set("prog_impersonation", ACTING, domain="127.0.0.1")
    page = browser.get("/account")
    assert BANNER not in page.text
    assert page.status_code == (303 if who is None else 200)
    assert "prog_impersonation" not in browser.cookies


def test_one_that_is_over_is_told_once_and_its_forms_do_nothing_in_one_s_own_name(browse: Browse) -> None:
    browser = acting(browse)
    old = token_of(browser.get(f"/account/tenants/{TENANT}/settings").text)
    browser.cookies.set("prog_impersonation", "over", domain="127.0.0.1")
    sent = browser.post(f"/account/tenants/{TENANT}/settings", data={"csrf_token": old, "name": "Mine"})
    assert (sent.status_code, "has expired" in sent.text) == (403, True)
    browser.cookies.set("prog_impersonation", "over", domain="127.0.0.1")
    assert "You act in your own name again." in browser.get("/account").text
    assert "You act in your own name again." not in browser.get("/account").text


def test_an_operator_begins_with_a_reason_and_a_limit(browse: Browse) -> None:
    impersonations = SampleImpersonations()
    browser = browse("operator", sample_services(impersonations=impersonations))
    silent = fill(browser, PERSON, BEGIN, acting_reason="")
    assert silent.status_code == 422
    assert problem_at(silent.text, "acting_reason") == "Say why, in 500 characters at most: it is recorded."
    done = fill(browser, PERSON, BEGIN, acting_reason=REASON, minutes="30")
    assert done.headers["location"] == "/account"
    assert impersonations.done == [("begin", GRACE, REASON, "30")]
    cookie = done.headers["set-cookie"]
    assert "Max-Age=1800" in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert BANNER in browser.get("/account").text
    fill(browser, PERSON, BEGIN, acting_reason=REASON, minutes="15")
    assert impersonations.done[1:] == [("begin", GRACE, REASON, "15"), ("end", "Ada Lovelace", IMPERSONATION)], (
        "the one before is over"
    )


def test_beginning_asks_for_a_fresh_sign_in_and_comes_back(browse: Browse) -> None:
    browser = browse("operator", sample_services(impersonations=SampleImpersonations(fresh=False)))
    asked = fill(browser, PERSON, BEGIN, acting_reason=REASON)
    assert asked.headers["location"] == f"/account/sign-in/again?next={PERSON}"
    assert "prog_impersonation" not in browser.cookies


@pytest.mark.parametrize("state", [{"staff": True}, {"ending": True}])
def test_what_account_nobody_acts_for_is_said_on_its_page(browse: Browse, state: dict[str, bool]) -> None:
    browser = browse("operator", sample_services(impersonations=SampleImpersonations(**state)))  # type: ignore[arg-type]
    assert fill(browser, PERSON, BEGIN, acting_reason=REASON).headers["location"] == PERSON
    assert "prog_impersonation" not in browser.cookies


def test_nobody_is_offered_their_own_name_and_nobody_but_operators_anything(browse: Browse) -> None:
    assert "impersonate" not in browse("operator").get(f"/admin/users/{OPERATOR.user_id}").text
    member = browse("ada")
    data = {"csrf_token": token_of(member.get("/account").text), "acting_reason": REASON, "minutes": "15"}
    assert member.post(BEGIN, data=data).status_code == 403
    assert member.get("/admin/impersonations").status_code == 403


def test_the_console_lists_them_and_ends_one(browse: Browse) -> None:
    impersonations = SampleImpersonations()
    browser = browse("operator", sample_services(impersonations=impersonations))
    page = browser.get("/admin/impersonations").text
    assert REASON in page
    assert "Time limit" in page
    assert REASON not in browser.get("/admin/impersonations?state=over").text
    assert "Nothing matches" in browser.get("/admin/impersonations?search=nobody").text
    path = f"/admin/impersonations/{IMPERSONATION}/end"
    assert fill(browser, "/admin/impersonations", path).headers["location"] == "/admin/impersonations"
    assert impersonations.done == [("end", "First Administrator", IMPERSONATION)]
