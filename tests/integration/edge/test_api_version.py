"""A tenant sets the version of the API for requests that name none, on the whole platform."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest
import pytest_asyncio

from prog_edge.versions.table import NEWEST, VERSIONS, changed_operations
from tests.integration.edge.relying import register
from tests.integration.edge.stage import Person, Stage
from tests.integration.edge.test_configuration import put
from tests.integration.edge.test_roles import browser_of
from tests.integration.edge.test_sessions import hidden
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

OLDEST = VERSIONS[0]
"""In which a tenant has `members`, and in the newest `member_count`."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def acme(stage: Stage) -> Person:
    """An owner whose tenant has set the oldest version."""
    owner = await stage.person("owner@version.example")
    await stage.tenant_of(owner, "Steady Ltd")
    assert (await put(owner, {"api_version": OLDEST.name})).status_code == 200
    return owner


def told(answer: httpx.Response) -> tuple[str, set[str]]:
    """The version that an answer names, and what it calls the number of members."""
    return answer.headers["prog-version"], {"members", "member_count"} & set(answer.json())


AS_SET = (OLDEST.name, {"members"})
NEW = (NEWEST.name, {"member_count"})


async def test_a_request_that_names_none_is_answered_in_the_tenants_version(acme: Person) -> None:
    path = f"/v1/tenants/{acme.tenant_id}"
    answer = await acme.request("GET", path)
    assert told(answer) == AS_SET
    assert OLDEST.sunset_on is not None
    assert parsedate_to_datetime(answer.headers["sunset"]).date() == OLDEST.sunset_on
    assert answer.headers["deprecation"].startswith("@")
    named = await acme.request("GET", path, headers={"Prog-Version": NEWEST.name})
    assert told(named) == NEW
    assert "sunset" not in named.headers
    unknown = await acme.request("GET", path, headers={"Prog-Version": "2020-01-01"})
    assert (unknown.status_code, unknown.json()["code"]) == (400, "version_unknown")


async def test_every_operation_about_the_tenant_that_has_changed_follows_it(stage: Stage, acme: Person) -> None:
    """Each transformation; held against the table, so that a new one is among them."""
    operator = await stage.operator()
    owner = await stage.person("every@version.example")
    tenant_id = await stage.tenant_of(owner, "Every Ltd")
    assert (await put(owner, {"api_version": OLDEST.name})).status_code == 200
    path, own = f"/v1/tenants/{tenant_id}", "/v1/tenants/{tenant_id}"
    steps: list[tuple[Person, str, str, dict[str, Any] | None]] = [
        (owner, "GET", own, None),
        (owner, "PATCH", own, {"name": "Every and Sons"}),
        (operator, "POST", f"{own}/suspend", {"reason": "For a look"}),
        (operator, "POST", f"{own}/resume", {}),
        (owner, "DELETE", own, None),
        (owner, "POST", f"{own}/restore", {}),
    ]
    about = {operation for operation in changed_operations() if operation[1].startswith(own)}
    assert {(method, template) for _, method, template, _ in steps} == about
    for who, method, template, body in steps:
        address = template.replace(own, path)
        answer = await who.request(method, address, json=body)
        assert answer.is_success, answer.text
        assert told(answer) == AS_SET, (method, template)
        if method == "GET":
            assert told(await who.request(method, address, headers={"Prog-Version": NEWEST.name})) == NEW


async def test_keys_and_clients_follow_it_and_what_is_about_no_tenant_does_not(stage: Stage, acme: Person) -> None:
    key = await acme.post("/v1/api-keys", {"name": "Import", "scopes": ["tenant.read"]})
    path = f"/v1/tenants/{acme.tenant_id}"
    by_key = {"Authorization": f"Bearer {key['key']}"}
    assert told(await stage.http.get(path, headers=by_key)) == AS_SET
    assert told(await stage.http.get(path, headers=by_key | {"Prog-Version": NEWEST.name})) == NEW
    shop = await register(acme, grants=["client_credentials"], scopes=["tenant.read"], redirect_uris=[])
    token = (await shop.token(grant_type="client_credentials")).json()["access_token"]
    assert told(await stage.http.get(path, headers={"Authorization": f"Bearer {token}"})) == AS_SET
    made = await acme.request("POST", "/v1/tenants", json={"name": "Another"})
    assert told(made) == NEW, "one's own list of tenants is in no tenant"


async def test_others_hear_nothing_of_it(stage: Stage, acme: Person) -> None:
    eve = await stage.person("eve@version.example")
    await stage.tenant_of(eve, "Elsewhere")
    answer = await eve.request("GET", f"/v1/tenants/{acme.tenant_id}")
    assert (answer.status_code, answer.headers["prog-version"]) == (404, NEWEST.name)
    nobody = await stage.http.get(f"/v1/tenants/{acme.tenant_id}")
    assert (nobody.status_code, nobody.headers["prog-version"]) == (401, NEWEST.name)
    assert told(await eve.request("GET", f"/v1/tenants/{eve.tenant_id}")) == NEW


@pytest.mark.parametrize("wrong", ["2020-01-01", "newest", "", "2026-9-1", 20260901, "2026-09-01\n"])
async def test_a_version_that_there_is_not_is_refused(acme: Person, wrong: Any) -> None:
    answer = await put(acme, {"api_version": wrong})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["settings.api_version"]


async def test_it_is_set_on_the_page_and_taken_back_to_what_it_was(stage: Stage) -> None:
    owner = await stage.person("page@version.example")
    await stage.tenant_of(owner, "Page Ltd")
    path = f"/account/tenants/{owner.tenant_id}/settings"

    async def answers(wanted: tuple[str, set[str]]) -> bool:
        return told(await owner.request("GET", f"/v1/tenants/{owner.tenant_id}")) == wanted

    async with browser_of(owner) as browser:
        page = await browser.get(path)
        assert f"{OLDEST.name}, until {OLDEST.sunset_on}" in page.text
        form = {name: hidden(page, name) for name in ("csrf_token", "idempotency_key", "version")}
        form |= {"locale": "en_US", "lifetime_days": "7", "api_version": OLDEST.name}
        assert (await browser.post(path, data=form)).status_code == 303
        await wait_until(lambda: answers(AS_SET), within_seconds=60, what="it to hold")
        assert f'value="{OLDEST.name}" selected' in (await browser.get(path)).text
        odd = await browser.post(path, data=form | {"version": "2", "api_version": "2020-01-01"})
        assert (odd.status_code, "Choose one of" in odd.text) == (422, True)
    back = await owner.post(f"/v1/tenants/{owner.tenant_id}/config/rollback", {"version": 1})
    assert (back["settings"]["api_version"], back["changed"]) == (None, ["api_version"])
    await wait_until(lambda: answers(NEW), within_seconds=60, what="the newest to hold again")
