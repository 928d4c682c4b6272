"""Tenants, members and invitations over HTTP."""

from __future__ import annotations

import pytest

from prog_workers.tenants.handlers import lifecycle
from tests.integration.edge.relying import field_of
from tests.integration.edge.stage import Stage
from tests.integration.edge.test_roles import browser_of
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_tenant_is_created_provisioned_and_renamed(stage: Stage) -> None:
    ada = await stage.person("ada@tenants.example")
    created = await ada.request("POST", "/v1/tenants", json={"name": "Acme Ltd"})
    assert created.status_code == 201
    tenant = created.json()
    assert created.headers["location"] == f"/v1/tenants/{tenant['id']}"
    assert tenant["role"] == "owner"

    async def active() -> bool:
        return bool((await ada.get(f"/v1/tenants/{tenant['id']}"))["status"] == "active")

    await wait_until(active, what="the tenant to be active")
    renamed = await ada.request("PATCH", f"/v1/tenants/{tenant['id']}", json={"name": "Acme Incorporated"})
    assert renamed.json()["name"] == "Acme Incorporated"
    listed = (await ada.get("/v1/tenants"))["data"]
    assert [(item["name"], item["role"]) for item in listed] == [("Acme Incorporated", "owner")]
    limits = await ada.get(f"/v1/tenants/{tenant['id']}/limits")
    assert limits["limits"]["members"] == 5


async def test_who_has_as_many_tenants_as_one_may_is_told_so_by_api_and_page(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = await stage.person("maker@tenants.example")
    monkeypatch.setattr(lifecycle, "most_a_person", 1)
    await stage.tenant_of(many, "The only one")
    refused = await many.request("POST", "/v1/tenants", json={"name": "One more"})
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_tenants")
    assert "Delete one" in refused.json()["detail"], "what to do about it"
    async with browser_of(many) as browser:
        form = {"csrf_token": field_of((await browser.get("/account")).text, "csrf_token"), "name": "One more"}
        page = await browser.post("/account/tenants", data=form)
    assert page.status_code == 422
    assert "as many as one person may have here" in page.text
    assert "The only one" in page.text, "on the page that it was asked from"


async def test_an_invited_person_joins_and_may_do_what_the_role_allows(stage: Stage) -> None:
    owner = await stage.person("owner@tenants.example")
    guest = await stage.person("guest@tenants.example", "Grace Hopper")
    tenant_id = await stage.tenant_of(owner, "Guests")
    path = f"/v1/tenants/{tenant_id}"
    invitation = await owner.post(f"{path}/invitations", {"email": guest.email, "role": "viewer"})
    assert [item["id"] for item in (await owner.get(f"{path}/invitations"))["data"]] == [invitation["id"]]
    assert (await guest.request("GET", path)).status_code == 404

    token = await stage.token_mailed_to(guest.email, "invite")
    membership = await guest.post("/v1/invitations/accept", {"token": token})
    assert membership == {"tenant_id": tenant_id, "user_id": guest.user_id, "role": "viewer"}
    assert (await guest.get(path))["role"] == "viewer"
    assert {item["email"] for item in (await guest.get(f"{path}/members"))["data"]} == {owner.email, guest.email}
    assert (await owner.get(f"{path}/invitations"))["data"] == []

    refused = await guest.request("PATCH", path, json={"name": "Mine now"})
    assert (refused.status_code, refused.json()["code"]) == (403, "denied")
    guest.tenant_id = tenant_id
    assert (await guest.request("GET", "/v1/invoices")).status_code == 403
    again = await guest.request("POST", "/v1/invitations/accept", json={"token": token})
    assert again.status_code == 404


async def test_nobody_joins_with_an_invitation_to_somebody_else(stage: Stage) -> None:
    owner = await stage.person("owner2@tenants.example")
    thief = await stage.person("thief@tenants.example")
    tenant_id = await stage.tenant_of(owner, "Private")
    await owner.post(f"/v1/tenants/{tenant_id}/invitations", {"email": "friend@tenants.example"})
    token = await stage.token_mailed_to("friend@tenants.example", "invite")
    refused = await thief.request("POST", "/v1/invitations/accept", json={"token": token})
    assert refused.status_code == 403
    assert (await thief.request("GET", f"/v1/tenants/{tenant_id}")).status_code == 404


async def test_a_tenant_that_was_just_created_is_the_one_that_is_meant(stage: Stage) -> None:
    person = await stage.person("at-once@tenants.example")
    for name, before, after in (("First", 400, 200), ("Second", 200, 400)):
        assert (await person.request("GET", "/v1/events")).status_code == before
        await person.post("/v1/tenants", {"name": name})
        assert (await person.request("GET", "/v1/events")).status_code == after


async def test_which_tenant_is_meant_must_be_clear(stage: Stage) -> None:
    person = await stage.person("many@tenants.example")
    none = await person.request("GET", "/v1/events")
    assert (none.status_code, none.json()["code"]) == (400, "tenant_required")
    first = await stage.tenant_of(person, "First")
    person.tenant_id = None
    assert (await person.request("GET", "/v1/events")).status_code == 200
    await stage.tenant_of(person, "Second")
    person.tenant_id = None
    many = await person.request("GET", "/v1/events")
    assert (many.status_code, many.json()["code"]) == (400, "tenant_required")
    person.tenant_id = first
    assert (await person.request("GET", "/v1/events")).status_code == 200
    person.tenant_id = "tenant_nonsense"
    wrong = await person.request("GET", "/v1/events")
    assert (wrong.status_code, wrong.json()["code"]) == (400, "tenant_invalid")


async def test_a_person_s_tenants_come_in_pages_and_by_filter(stage: Stage) -> None:
    person = await stage.person("pages@tenants.example")
    names = ["First", "Second", "Third"]
    for name in names:
        await stage.tenant_of(person, name)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = await person.get("/v1/tenants", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))
        seen += [tenant["name"] for tenant in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == names
    found = await person.get("/v1/tenants", params={"search": "sec", "status": "active"})
    assert [tenant["name"] for tenant in found["data"]] == ["Second"]
    assert (await person.get("/v1/tenants", params={"status": "suspended"}))["data"] == []
    wrong = await person.request("GET", "/v1/tenants", params={"cursor": "garbage"})
    assert wrong.status_code == 422


async def test_a_test_clock_is_set_once(stage: Stage) -> None:
    person = await stage.person("clock@tenants.example")
    tenant_id = await stage.tenant_of(person, "Clocked")
    path = f"/v1/tenants/{tenant_id}/clock"
    assert await person.get(path) is None
    clock = await person.post(path, {"at": "2027-01-31T00:00:00Z"})
    assert clock == {"at": "2027-01-31T00:00:00Z", "advancing_to": None}
    assert (await person.get(f"/v1/tenants/{tenant_id}"))["clock"]["at"] == "2027-01-31T00:00:00Z"
    other = await person.request("POST", path, json={"at": "2028-01-31T00:00:00Z"})
    assert (other.status_code, other.json()["code"]) == (409, "clock_exists")
    backwards = await person.request("POST", f"{path}/advance", json={"to": "2026-01-01T00:00:00Z"})
    assert backwards.status_code == 422
    assert backwards.json()["errors"][0]["field"] == "to"
    naive = await person.request("POST", f"{path}/advance", json={"to": "2028-01-01T00:00:00"})
    assert naive.status_code == 422


async def test_in_production_customers_do_not_move_their_own_time(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await stage.person("impatient@tenants.example")
    tenant_id = await stage.tenant_of(person, "Impatient")
    production = stage.platform.settings.model_copy(update={"env": "production"})
    monkeypatch.setattr(stage.platform, "settings", production)
    refused = await person.request("POST", f"/v1/tenants/{tenant_id}/clock", json={"at": "2027-01-31T00:00:00Z"})
    assert (refused.status_code, refused.json()["code"]) == (403, "test_clock_refused")
    assert await person.get(f"/v1/tenants/{tenant_id}/clock") is None


async def test_advancing_a_clock_is_an_operation(stage: Stage) -> None:
    person = await stage.person("advance@tenants.example")
    tenant_id = await stage.tenant_of(person, "Advancing")
    path = f"/v1/tenants/{tenant_id}/clock"
    await person.post(path, {"at": "2027-01-31T00:00:00Z"})
    accepted = await person.request("POST", f"{path}/advance", json={"to": "2027-02-01T00:00:00Z"})
    assert accepted.status_code == 202
    location = accepted.headers["location"]
    operation = await person.get(location)
    assert operation["status"] == "pending"
    assert accepted.json()["id"] == operation["id"]
    stranger = await stage.person("stranger@tenants.example")
    assert (await stranger.request("GET", location)).status_code == 404
    assert (await stage.http.get(location)).status_code == 404
