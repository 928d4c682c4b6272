"""Support acts in somebody's name, on the whole platform: who may, what is refused, who is told, and when it ends."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
import pytest_asyncio

from prog_contracts.actors import actor_of_impersonation
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_edge.api import ROUTERS
from prog_edge.api.contract import api_routes, declaration_of
from tests.integration.edge.stage import Person, Stage
from tests.integration.edge.test_audit import found
from tests.integration.edge.test_roles import browser_of, join
from tests.integration.edge.test_sessions import age_sessions
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

REASON = "Ticket 4711: the invoice page is empty"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(stage: Stage) -> Person:
    return await stage.operator()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ada(stage: Stage) -> Person:
    person = await stage.person("ada@support.example")
    await stage.tenant_of(person, "Supported Ltd")
    return person


async def ask(operator: Person, user_id: str, **body: Any) -> httpx.Response:
    return await operator.request("POST", f"/v1/users/{user_id}/impersonate", json={"reason": REASON, **body})


async def act_as(operator: Person, person: Person, **body: Any) -> tuple[Person, dict[str, Any]]:
    """The operator in the person's name, and the impersonation."""
    answer = await ask(operator, person.user_id, **body)
    assert answer.status_code == 201, answer.text
    begun = answer.json()
    acting = Person(operator.stage, person.email, person.user_id, begun, person.tenant_id)
    return acting, begun["impersonation"]


async def shut_out(acting: Person) -> None:
    async def refused() -> bool:
        return (await acting.request("GET", "/v1/me")).status_code == 401

    await wait_until(refused, within_seconds=60, what="the token to be refused, within five seconds")


async def test_the_operator_sees_what_the_person_sees_and_both_are_told_of_it(
    stage: Stage, operator: Person, ada: Person
) -> None:
    acting, begun = await act_as(operator, ada, minutes=30)
    assert acting.tokens.keys() == {"access_token", "token_type", "expires_in", "impersonation"}
    assert acting.tokens["expires_in"] == 30 * 60
    assert (await acting.get("/v1/me"))["email"] == ada.email
    renamed = await acting.request("PATCH", f"/v1/tenants/{ada.tenant_id}", json={"name": "Renamed Ltd"})
    assert renamed.status_code == 200
    both = actor_of_impersonation(ada.user_id, operator.user_id)
    events = (await ada.get("/v1/events", params={"types": "prognetwork.tenants.tenant_updated"}))["data"]
    assert both in {event["actor"] for event in events}
    assert (await acting.request("POST", "/v1/api-keys", json={})).status_code == 403
    entries = await found(ada, actor=both)
    assert {(entry["action"], entry["outcome"], entry["actor_kind"]) for entry in entries} == {
        ("tenants.tenant_updated", "success", "impersonator"),
        ("POST /v1/api-keys", "denial", "impersonator"),
    }
    assert {entry["session_id"] for entry in entries} == {begun["id"]}
    told = (await ada.get("/v1/audit", params={"action": "tenants.member_impersonation_began"}))["data"]
    assert [(entry["actor"], entry["subject"]) for entry in told] == [(operator.user_id, ada.user_id)]
    platform = (await operator.get("/v1/audit", params={"action": "users.impersonation_began"}))["data"]
    assert (platform[0]["tenant_id"], platform[0]["actor"]) == (PLATFORM_TENANT_ID, operator.user_id)
    acts = (await ada.get("/v1/me/activity"))["data"]
    assert ("tenants.tenant_updated", "impersonator") in {(act["action"], act["by"]) for act in acts}
    assert ("users.impersonation_began", "operator") in {(act["action"], act["by"]) for act in acts}
    letters = (await stage.http.get("/v1/mailbox", params={"to": ada.email})).json()["data"]
    assert any(letter["subject"] == "Our support is acting in your name" for letter in letters)


async def test_every_route_that_is_not_for_it_refuses_it(operator: Person, ada: Person) -> None:
    acting, _ = await act_as(operator, ada)
    asked = 0
    for route in api_routes(ROUTERS):
        declared = declaration_of(route)
        if declared is None or declared.impersonated:
            continue
        path = route.path_format.replace("{tenant_id}", str(ada.tenant_id)).replace("{user_id}", ada.user_id)
        for method in route.methods or ():
            body: dict[str, str] | None = None if method in ("GET", "DELETE") else {}
            answer = await acting.request(method, re.sub(r"{\w+}", "x", path), json=body)
            assert answer.status_code == 403, (method, path, answer.text)
            assert "not_while_impersonating" in answer.text or "somebody else's name" in answer.text, answer.text
            asked += 1
    assert asked > 60


async def test_it_has_no_more_rights_than_the_person(stage: Stage, operator: Person, ada: Person) -> None:
    viewer = await join(stage, ada, "viewer")
    acting, _ = await act_as(operator, viewer)
    denied = await acting.request("PATCH", f"/v1/tenants/{ada.tenant_id}", json={"name": "Mine"})
    assert (denied.status_code, denied.json()["code"]) == (403, "denied")
    assert (await acting.request("GET", "/v1/audit")).status_code == 403
    stranger = await stage.person("stranger@support.example")
    alone, _ = await act_as(operator, stranger)
    assert (await alone.request("GET", f"/v1/tenants/{ada.tenant_id}")).status_code == 404
    for path in ("/v1/users", "/v1/dead-letters", f"/v1/users/{ada.user_id}"):
        assert (await alone.request("GET", path)).status_code == 403, path


async def test_only_operators_begin_one_who_have_signed_in_just_now(stage: Stage, ada: Person) -> None:
    operator = await stage.operator()
    refused = await ask(ada, ada.user_id)
    assert (refused.status_code, refused.json()["code"]) == (403, "denied")
    assert (await stage.http.post(f"/v1/users/{ada.user_id}/impersonate", json={"reason": "x"})).status_code == 401
    for user_id, status, code in (
        (operator.user_id, 403, "not_permitted"),
        (new_id("user"), 404, "user_not_found"),
        ("nobody", 404, "user_not_found"),
    ):
        answer = await ask(operator, user_id)
        assert (answer.status_code, answer.json()["code"]) == (status, code), user_id
    for body in ({"reason": ""}, {"reason": "x" * 501}, {"minutes": 0}, {"minutes": 61}, {"minutes": "1h"}, {"act": 1}):
        assert (await ask(operator, ada.user_id, **body)).status_code == 422, body
    blank = await ask(operator, ada.user_id, reason="   ")
    assert (blank.status_code, blank.json()["errors"][0]["field"]) == (422, "reason")
    await age_sessions(stage, operator)
    stale = await ask(operator, ada.user_id)
    assert (stale.status_code, stale.json()["code"]) == (403, "fresh_sign_in_required")


async def test_check_14_the_token_is_good_for_nothing_else(stage: Stage, ada: Person) -> None:
    operator = await stage.operator()
    acting, begun = await act_as(operator, ada)
    token = acting.tokens["access_token"]
    for path in ("/v1/auth/refresh", "/v1/auth/logout"):
        answer = await stage.http.post(path, json={"refresh_token": token})
        assert answer.status_code in (401, 422), (path, answer.text)
    cookie = {"Cookie": f"prog_session={token}; prog_impersonation={token}"}
    assert (await stage.http.get("/account", headers=cookie, follow_redirects=False)).status_code == 303
    assert (await stage.http.get("/userinfo", headers=acting.headers)).status_code == 401
    again = await acting.request("POST", f"/v1/users/{ada.user_id}/impersonate", json={"reason": REASON})
    assert (again.status_code, again.json()["code"]) == (403, "not_while_impersonating")
    ended = await acting.request("POST", f"/v1/impersonations/{begun['id']}/end")
    assert (ended.status_code, ended.json()["code"]) == (403, "not_while_impersonating")


async def test_check_17_it_is_shut_out_within_seconds_of_its_end(stage: Stage, ada: Person) -> None:
    operator, other = await stage.operator(), await stage.operator()
    acting, begun = await act_as(operator, ada)
    assert (await ada.request("POST", f"/v1/impersonations/{begun['id']}/end")).status_code == 403
    ended = await other.post(f"/v1/impersonations/{begun['id']}/end")
    assert (ended["id"], ended["end"]) == (begun["id"], "by_hand")
    assert (await acting.request("GET", "/v1/me")).status_code == 401
    assert (await other.get(f"/v1/impersonations/{begun['id']}"))["end"] == "by_hand"
    assert (await other.request("POST", f"/v1/impersonations/{new_id('impersonation')}/end")).status_code == 404


async def test_check_17_it_ends_with_the_operator_s_session(stage: Stage, ada: Person) -> None:
    operator, other = await stage.operator(), await stage.operator()
    acting, begun = await act_as(operator, ada)
    out = await operator.request("POST", "/v1/auth/logout", json={"refresh_token": operator.tokens["refresh_token"]})
    assert out.status_code in (200, 204)
    await shut_out(acting)
    assert (await other.get(f"/v1/impersonations/{begun['id']}"))["end"] == "session_ended"


async def test_check_17_it_ends_with_the_operator_s_office_and_at_its_limit(stage: Stage, ada: Person) -> None:
    operator = await stage.operator()
    no_office = "UPDATE users.users SET platform_role = NULL WHERE user_id = $2 AND $1::text <> ''"
    over = """
        UPDATE users.impersonations SET began_at = began_at - interval '1 hour', expires_at = began_at
        WHERE impersonation_id = $1 AND $2::text <> ''
        """
    for statement in (no_office, over):
        acting, begun = await act_as(operator, ada)
        assert (await acting.request("GET", "/v1/me")).status_code == 200
        await stage.administrator.execute(statement, begun["id"], operator.user_id)
        await shut_out(acting)
        await stage.administrator.execute(
            "UPDATE users.users SET platform_role = 'operator' WHERE user_id = $1", operator.user_id
        )


async def test_operators_list_who_acts_and_acted(stage: Stage, ada: Person) -> None:
    operator = await stage.operator()
    person = await stage.person("listed@support.example")
    _, first = await act_as(operator, person)
    await operator.post(f"/v1/impersonations/{first['id']}/end")
    _, second = await act_as(operator, person)
    listed = await operator.get("/v1/impersonations", params={"user_id": person.user_id})
    assert [row["id"] for row in listed["data"]] == [second["id"], first["id"]]
    for active, wanted in ((True, second), (False, first)):
        filters = {"user_id": person.user_id, "operator_id": operator.user_id, "active": active}
        rows = (await operator.get("/v1/impersonations", params=filters))["data"]
        assert [row["id"] for row in rows] == [wanted["id"]]
    assert listed["data"][0] | {"ended_at": None} == second
    assert (await ada.request("GET", "/v1/impersonations")).status_code == 403


# -- pages -------------------------------------------------------------------------------------------------------------


def form_of(page: httpx.Response, action: str, **values: str) -> dict[str, str]:
    """The hidden fields of the page's form that posts there, and `values`."""
    form = page.text.partition(f'action="{action}"')[2].partition("</form>")[0]
    return dict(re.findall(r'name="(\w+)" value="([^"]*)"', form)) | values


async def test_the_console_begins_it_the_banner_ends_it_and_its_cookie_is_of_that_browser_alone(
    stage: Stage, ada: Person
) -> None:
    operator = await stage.operator()
    both = actor_of_impersonation(ada.user_id, operator.user_id)
    settings = f"/account/tenants/{ada.tenant_id}/settings"
    async with browser_of(operator) as browser, browser_of(operator) as other:
        person = await browser.get(f"/admin/users/{ada.user_id}")
        action = f"/admin/users/{ada.user_id}/impersonate"
        begun = await browser.post(action, data=form_of(person, action, acting_reason=REASON, minutes="15"))
        assert (begun.status_code, begun.headers["location"]) == (303, "/account"), begun.text
        home = await browser.get("/account")
        assert "You act as Ada Lovelace" in home.text
        assert "Supported Ltd" in home.text or "Renamed Ltd" in home.text
        other.cookies.set("prog_impersonation", browser.cookies["prog_impersonation"], domain="127.0.0.1")
        assert "You act as" not in (await other.get("/account")).text, "it stands on another session"
        page = await browser.get(settings)
        sent = form_of(page, settings, name="Set by support", locale="en_US", lifetime_days="7")
        assert (await browser.post(settings, data=sent)).status_code == 303
        refused = await browser.get(f"/account/tenants/{ada.tenant_id}/keys")
        assert (refused.status_code, "theirs alone to do" in refused.text) == (403, True)
        assert (await browser.get("/admin")).status_code == 200, "the console stays the operator's"
        assert (await browser.get("/v1/me")).json()["email"] == operator.email, "and so does the API"
        events = (await ada.get("/v1/events", params={"types": "prognetwork.tenants.tenant_configured"}))["data"]
        assert [event["actor"] for event in events] == [both]
        end = "/account/impersonation/end"
        ended = await browser.post(end, data=form_of(await browser.get("/account"), end))
        assert ended.headers["location"] == f"/admin/users/{ada.user_id}"
        assert "prog_impersonation" not in browser.cookies
        assert "You act as" not in (await browser.get("/account")).text
        listed = await browser.get(f"/admin/impersonations?search={ada.user_id}")
        assert "By hand" in listed.text
    entries = await found(operator, actor=both, action="GET /account*")
    assert {(entry["outcome"], entry["code"]) for entry in entries} == {("denial", "not_while_impersonating")}


async def test_signing_out_ends_it_too(stage: Stage, ada: Person) -> None:
    operator = await stage.operator()
    async with browser_of(operator) as browser:
        person = await browser.get(f"/admin/users/{ada.user_id}")
        action = f"/admin/users/{ada.user_id}/impersonate"
        await browser.post(action, data=form_of(person, action, acting_reason=REASON, minutes="5"))
        assert "You act as" in (await browser.get("/account")).text
        out = "/account/sign-out"
        answer = await browser.post(out, data=form_of(await browser.get("/account"), "/theme") | {"next": ""})
        assert answer.status_code == 303
        assert not {"prog_session", "prog_impersonation"} & set(browser.cookies)
    rows = (await operator.get("/v1/impersonations", params={"user_id": ada.user_id, "limit": 1}))["data"]
    assert rows[0]["end"] == "session_ended"
