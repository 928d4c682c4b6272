"""SCIM over HTTP, with the keys that tenants make: who gets in, what is found, what is refused and how it is told."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio

from prog_contracts.ids import new_id
from tests.component.tenants.provider import GROUP, listed, patch_body, user_body
from tests.integration.edge.stage import Person, Stage
from tests.integration.edge.test_roles import change, join, open_streams
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCIM = "application/scim+json"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
NO_LIMIT = "UPDATE tenants.limits SET value = NULL WHERE tenant_id = $1 AND name = 'members'"


@dataclass
class Okta:
    """A provider of a tenant, with a key of its owner's."""

    owner: Person
    key: str

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        sent = {"Authorization": f"Bearer {self.key}", "Content-Type": SCIM, **headers}
        return await self.owner.stage.http.request(method, f"/scim/v2{path}", json=body, headers=sent)

    async def made(self, path: str, body: Any) -> dict[str, Any]:
        answer = await self.send("POST", path, body)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def user(self, name: str, **attributes: Any) -> dict[str, Any]:
        return await self.made("/Users", user_body(name, **attributes))

    async def found(self, path: str, **query: Any) -> list[str]:
        answer = await self.owner.stage.http.get(
            f"/scim/v2{path}", params=query, headers={"Authorization": f"Bearer {self.key}"}
        )
        assert answer.status_code == 200, answer.text
        return [item["id"] for item in answer.json()["Resources"]]


async def provider_of(stage: Stage, name: str) -> Okta:
    owner = await stage.person(f"owner@{name}.example")
    await change(stage, NO_LIMIT, await stage.tenant_of(owner, name))
    key = await owner.post("/v1/api-keys", {"name": "Directory", "scopes": ["scim.manage"]})
    return Okta(owner, key["key"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def okta(stage: Stage) -> Okta:
    return await provider_of(stage, "scim-alpha")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def entra(stage: Stage) -> Okta:
    return await provider_of(stage, "scim-omega")


def told(answer: httpx.Response, status: int, scim_type: str | None = None) -> None:
    """It is an error in SCIM's form, and nothing else."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == SCIM
    body = answer.json()
    assert (body["schemas"], body["status"], body.get("scimType")) == ([ERROR], str(status), scim_type)
    assert body["detail"]
    assert set(body) <= {"schemas", "status", "scimType", "detail"}


async def test_a_person_s_way_from_the_provider_to_the_tenant_and_out(stage: Stage, okta: Okta) -> None:
    ada = await stage.person("ada@scim-alpha.example")
    made = await okta.send("POST", "/Users", user_body(ada.email, externalId="00u1"))
    user = made.json()
    assert (made.status_code, made.headers["content-type"]) == (201, SCIM)
    assert made.headers["location"] == user["meta"]["location"]
    assert made.headers["etag"] == user["meta"]["version"] == 'W/"1"'
    assert (await ada.request("GET", f"/v1/tenants/{okta.owner.tenant_id}")).status_code == 404, "invited is not in"

    await ada.post("/v1/invitations/accept", {"token": await stage.token_mailed_to(ada.email, "invite")})
    ada.tenant_id = okta.owner.tenant_id
    group = await okta.made("/Groups", {"schemas": [GROUP], "displayName": "Admins", "members": listed(user["id"])})
    shown = (await okta.send("GET", f"/Users/{user['id']}")).json()
    assert [item["value"] for item in shown["groups"]] == [group["id"]]
    await okta.owner.request("PATCH", f"/v1/directory/groups/{group['id']}", json={"role": "admin"})
    members = (await okta.owner.get(f"/v1/tenants/{okta.owner.tenant_id}/members"))["data"]
    assert {item["email"]: item["role"] for item in members}[ada.email] == "admin"

    gone = await okta.send("PATCH", f"/Users/{user['id']}", patch_body({"op": "replace", "value": {"active": False}}))
    assert (gone.status_code, gone.json()["active"]) == (200, False)

    async def shut_out() -> bool:
        return (await ada.request("GET", "/v1/events")).status_code == 404

    await wait_until(shut_out, within_seconds=60, what="the tenant to be closed to her")
    assert (await ada.request("GET", "/v1/me")).status_code == 200, "the account is hers, and goes on"


@pytest_asyncio.fixture(loop_scope="module")
async def quick(stage: Stage) -> AsyncIterator[Stage]:
    usual, stage.platform.heartbeat_seconds = stage.platform.heartbeat_seconds, 0.1
    yield stage
    stage.platform.heartbeat_seconds = usual


async def test_check_17_streams_and_keys_end_with_an_entry(quick: Stage, okta: Okta) -> None:
    stage = quick
    grace = await join(stage, okta.owner, "admin")
    key = await grace.post("/v1/api-keys", {"name": "Hers", "scopes": ["event.read"]})
    hers = {"Authorization": f"Bearer {key['key']}"}
    assert (await stage.http.get("/v1/events", headers=hers)).status_code == 200
    user = await okta.user(grace.email)
    [stream] = await open_streams(grace)
    assert (await okta.send("DELETE", f"/Users/{user['id']}")).status_code == 204
    await asyncio.wait_for(stream, 60)

    async def ended() -> bool:
        return (await stage.http.get("/v1/events", headers=hers)).status_code == 401

    await wait_until(ended, within_seconds=60, what="her key to end")


async def test_who_may_not_keep_the_directory_is_told_in_scim_s_form(stage: Stage, okta: Okta) -> None:
    other = await okta.owner.post("/v1/api-keys", {"name": "Other", "scopes": ["event.read", "member.manage"]})
    member = await join(stage, okta.owner, "member")
    for key, status in ((other["key"], 403), ("prog_test_nonsense", 401), (member.tokens["access_token"], 403)):
        told(await Okta(okta.owner, key).send("GET", "/Users"), status)
    told(await stage.http.get("/scim/v2/Users"), 401)
    told(await okta.send("GET", "/Users", **{"Prog-Tenant": new_id("tenant")}), 404)
    beyond = await okta.send("GET", "/../../v1/events")
    assert beyond.status_code in (403, 404), "the key is good for SCIM alone"
    assert (await stage.http.get("/v1/events", headers={"Authorization": f"Bearer {okta.key}"})).status_code == 403
    mapping = await stage.http.get("/v1/directory", headers={"Authorization": f"Bearer {okta.key}"})
    assert (mapping.status_code, mapping.headers["content-type"]) == (403, "application/problem+json")


async def test_check_21_a_directory_is_its_tenant_s_alone(okta: Okta, entra: Okta) -> None:
    mine = await okta.user("twin@example.com", externalId="same")
    twin = await entra.user("twin@example.com", externalId="same")
    group = await okta.made("/Groups", {"schemas": [GROUP], "displayName": "Mine", "members": listed(mine["id"])})
    for query in ('userName eq "twin@example.com"', 'externalId eq "same"', f'id eq "{mine["id"]}"'):
        assert mine["id"] not in await entra.found("/Users", filter=query)
    assert await entra.found("/Users", filter='userName eq "twin@example.com"') == [twin["id"]]
    for method, path, body in (
        ("GET", f"/Users/{mine['id']}", None),
        ("PUT", f"/Users/{mine['id']}", user_body("stolen")),
        ("PATCH", f"/Users/{mine['id']}", patch_body({"op": "replace", "value": {"active": False}})),
        ("DELETE", f"/Users/{mine['id']}", None),
        ("GET", f"/Groups/{group['id']}", None),
        ("PATCH", f"/Groups/{group['id']}", patch_body({"op": "remove", "path": "members"})),
        ("DELETE", f"/Groups/{group['id']}", None),
    ):
        told(await entra.send(method, path, body), 404)
    stolen = {"schemas": [GROUP], "displayName": "Stolen", "members": listed(mine["id"])}
    told(await entra.send("POST", "/Groups", stolen), 400, "invalidValue")
    assert (await okta.send("GET", f"/Users/{mine['id']}")).json()["meta"]["version"] == 'W/"1"'


async def test_the_same_user_twenty_times_at_once_is_one(okta: Okta) -> None:
    answers = await asyncio.gather(
        *(okta.send("POST", "/Users", user_body("race@example.com", externalId=str(n))) for n in range(20))
    )
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 19}
    told(next(answer for answer in answers if answer.status_code == 409), 409, "uniqueness")
    assert len(await okta.found("/Users", filter='userName eq "RACE@example.com"')) == 1


async def test_twenty_who_change_a_group_at_once_lose_nothing(okta: Okta) -> None:
    users = [(await okta.user(f"crowd-{number}"))["id"] for number in range(20)]
    group = (await okta.made("/Groups", {"schemas": [GROUP], "displayName": "Crowd"}))["id"]
    answers = await asyncio.gather(
        *(
            okta.send(
                "PATCH",
                f"/Groups/{group}",
                patch_body({"op": "Add", "path": "members", "value": listed(one)}),
            )
            for one in users
        )
    )
    assert {answer.status_code for answer in answers} == {204}
    shown = (await okta.send("GET", f"/Groups/{group}")).json()
    assert {item["value"] for item in shown["members"]} == set(users)
    slim = (await okta.send("GET", f"/Groups/{group}?excludedAttributes=members")).json()
    assert "members" not in slim


async def test_of_two_who_change_a_version_one_does(okta: Okta) -> None:
    user = await okta.user("versions@example.com")
    path, tag = f"/Users/{user['id']}", user["meta"]["version"]
    answers = await asyncio.gather(
        *(
            okta.send("PATCH", path, patch_body({"op": "add", "path": "title", "value": title}), **{"If-Match": tag})
            for title in ("one", "two")
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412]
    assert (await okta.send("GET", path, **{"If-None-Match": 'W/"2"'})).status_code == 304
    told(await okta.send("DELETE", path, **{"If-Match": tag}), 412)


async def test_pages_filters_and_orders(okta: Okta) -> None:
    users = [await okta.user(f"page-{number}", title="Pager") for number in (3, 1, 2)]
    query = {"filter": 'title eq "pager"', "sortBy": "userName", "count": 2}
    names = {user["id"]: user["userName"] for user in users}
    first = await okta.found("/Users", **query)
    second = await okta.found("/Users", **query, startIndex=3)
    assert [names[user] for user in (*first, *second)] == ["page-1", "page-2", "page-3"]
    body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], **query, "attributes": ["userName"]}
    searched = (await okta.send("POST", "/Users/.search", body)).json()
    assert (searched["totalResults"], searched["itemsPerPage"]) == (3, 2)
    assert all(set(item) == {"schemas", "id", "userName"} for item in searched["Resources"])


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "scim_type"),
    [
        ("GET", "/Users?filter=userName eq", None, 400, "invalidFilter"),
        ("GET", "/Users?filter=nothing eq 1", None, 400, "invalidFilter"),
        ("GET", f"/Users?filter={'(' * 400}", None, 400, "invalidFilter"),
        ("GET", f"/Users?filter={'not (' * 300}title pr{')' * 300}", None, 400, "invalidFilter"),
        ("GET", f'/Users?filter=title eq "{"x" * 5000}"', None, 400, "tooMany"),
        ("GET", '/Users?filter=title eq "%00"', None, 400, "invalidValue"),
        ("GET", "/Users?sortBy=name", None, 400, "invalidPath"),
        ("GET", "/Users?count=many", None, 400, "invalidValue"),
        ("GET", "/Users?startIndex=99999999999999999999999", None, 400, "invalidValue"),
        ("GET", "/Users/diruser_none", None, 404, None),
        ("GET", "/Users/%00", None, 404, None),
        ("GET", "/Nothing", None, 404, None),
        ("POST", "/ServiceProviderConfig", {}, 405, None),
        ("GET", '/Schemas?filter=name eq "User"', None, 403, None),
        ("POST", "/Bulk", {}, 501, None),
        ("GET", "/Me", None, 501, None),
        ("POST", "/.search", {}, 501, None),
        ("POST", "/Users", [], 400, "invalidSyntax"),
        ("POST", "/Users", {}, 400, "invalidValue"),
        ("POST", "/Users", user_body("nul\0"), 400, "invalidValue"),
        ("POST", "/Users", user_body("x", emails=[{"value": "nowhere"}]), 400, "invalidValue"),
        ("POST", "/Users", user_body("x" * 257), 400, "invalidValue"),
        ("POST", "/Groups", {"schemas": [GROUP], "displayName": "x", "members": [{"value": "?"}]}, 400, "invalidValue"),
        ("PATCH", "/Users/diruser_01jd7z4c8nf3ktv9q2m6x0r5we", {}, 404, None),
    ],
)
async def test_bad_input_is_told_and_breaks_nothing(
    okta: Okta, method: str, path: str, body: Any, status: int, scim_type: str | None
) -> None:
    told(await okta.send(method, path, body), status, scim_type)


async def test_bodies_that_are_none(stage: Stage, okta: Okta) -> None:
    async def raw(content: bytes, content_type: str = SCIM) -> httpx.Response:
        headers = {"Authorization": f"Bearer {okta.key}", "Content-Type": content_type}
        return await stage.http.post("/scim/v2/Users", content=content, headers=headers)

    told(await raw(b"{"), 400, "invalidSyntax")
    told(await raw(b"\xff"), 400, "invalidSyntax")
    told(await raw(b"<xml/>", "application/xml"), 415)
    told(await raw(b'{"a":' * 5000 + b"1" + b"}" * 5000), 400, "invalidSyntax")
    deep = b'{"userName": "x", "name": ' + b'{"a":' * 150 + b"1" + b"}" * 151
    told(await raw(deep), 400, "invalidValue")
    told(await raw(b" " * (1024 * 1024 + 1)), 413)


async def test_a_huge_patch_is_refused_and_a_large_one_is_done(okta: Okta) -> None:
    user = await okta.user("patched@example.com")
    operation = {"op": "add", "path": "title", "value": "x"}
    path = f"/Users/{user['id']}"
    told(await okta.send("PATCH", path, patch_body(*[operation] * 201)), 413)
    assert (await okta.send("PATCH", path, patch_body(*[operation] * 200))).status_code == 200
    deep = "not (" * 40 + "type pr" + ")" * 40
    nested = {"op": "replace", "path": f"emails[{deep}].value", "value": "deep@example.com"}
    told(await okta.send("PATCH", path, patch_body(nested)), 400, "invalidPath")


async def test_the_trail_tells_what_the_provider_did(okta: Okta) -> None:
    user = await okta.user("audited@example.com")
    await okta.send("POST", "/Users", user_body("audited@example.com"))

    path = "/v1/audit"
    done = {"action": "tenants.directory_user_created", "outcome": "success", "subject": user["id"]}
    refused = {"action": "tenants.create_directory_user", "outcome": "failure"}

    async def recorded() -> bool:
        found = [(await okta.owner.get(path, params=asked))["data"] for asked in (done, refused)]
        return all(entries and entries[0]["actor_kind"] == "api_key" for entries in found)

    await wait_until(recorded, within_seconds=60, what="both in the trail")
    assert "audited@example.com" not in (await okta.owner.request("GET", path, params={"limit": 200})).text


async def test_what_the_tenant_says_of_its_directory(stage: Stage, entra: Okta) -> None:
    group = (await entra.made("/Groups", {"schemas": [GROUP], "displayName": "Told"}))["id"]
    directory = await entra.owner.get("/v1/directory")
    assert directory["scim_url"] == f"{stage.settings.public_url}/scim/v2"
    changed = await entra.owner.request("PATCH", "/v1/directory", json={"default_role": "viewer"})
    assert changed.json()["default_role"] == "viewer"
    mapped = await entra.owner.request("PATCH", f"/v1/directory/groups/{group}", json={"role": "billing"})
    assert (mapped.json()["role"], mapped.json()["name"]) == ("billing", "Told")
    assert (await entra.owner.get(f"/v1/directory/groups/{group}"))["role"] == "billing"
    owner = await entra.owner.request("PATCH", f"/v1/directory/groups/{group}", json={"role": "owner"})
    assert owner.status_code == 422, "owners are made by owners"
