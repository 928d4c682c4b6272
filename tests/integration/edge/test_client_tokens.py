"""What OAuth clients do by themselves, and what their tokens are good for. `check_N` is the security review's check."""

from __future__ import annotations

from typing import Any

import httpx
import jwt
import pytest
import pytest_asyncio

from prog_contracts.credentials import client_access_token, person_access_token
from prog_contracts.ids import new_id
from prog_contracts.permissions import SCOPES
from prog_edge.access import Needs, Public
from prog_edge.api import ROUTERS
from prog_edge.api.contract import api_routes, declaration_of
from prog_edge.directory import FRESH_SECONDS
from tests.integration.edge.relying import Relying, register
from tests.integration.edge.stage import Person, Stage
from tests.integration.edge.test_roles import change, join
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

ITSELF: dict[str, Any] = {"redirect_uris": [], "grants": ["client_credentials"]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def owner(stage: Stage) -> Person:
    owner = await stage.person("owner@machines.example")
    await stage.tenant_of(owner, "Machines Ltd")
    await change(stage, "UPDATE tenants.limits SET value = NULL WHERE tenant_id = $1", owner.tenant_id)
    return owner


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(owner: Person) -> Relying:
    return await register(owner)


async def token_of(client: Relying, **form: str) -> str:
    answer = await client.token(grant_type="client_credentials", **form)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body.keys() == {"access_token", "token_type", "expires_in", "scope"}
    token: str = body["access_token"]
    return token


async def call(
    stage: Stage, token: str, method: str = "GET", path: str = "/v1/events", **options: Any
) -> httpx.Response:
    return await stage.http.request(method, path, headers={"Authorization": f"Bearer {token}"}, **options)


async def assert_kept_out(stage: Stage, token: str) -> None:
    async def kept_out() -> bool:
        return (await call(stage, token)).status_code == 401

    await wait_until(kept_out, within_seconds=FRESH_SECONDS + 5, what="the client's token to be refused")


async def test_a_client_calls_the_api_within_its_scopes_and_the_trail_tells(stage: Stage, owner: Person) -> None:
    client = await register(owner, name="Exporter", scopes=["event.read", "event.publish"], **ITSELF)
    token = await token_of(client)
    event = {"specversion": "1.0", "id": new_id("e"), "source": "/x", "type": "com.machines.done", "data": {}}
    assert (await call(stage, token, "POST", json=event)).is_success
    assert (await call(stage, token)).status_code == 200
    narrow = await token_of(client, scope="event.read")
    refused = await call(stage, narrow, "POST", json=event)
    assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")
    for scope in ("billing.read", "openid", "api_key.manage"):
        assert (await client.token(grant_type="client_credentials", scope=scope)).json()["error"] == "invalid_scope"

    async def told() -> bool:
        entries = (await owner.get("/v1/audit", params={"limit": 200}))["data"]
        mine = [entry for entry in entries if entry["actor_kind"] == "client" and client.id in (entry["actor"] or "")]
        return {"users.tokens_issued", "POST /v1/events"} <= {entry["action"] for entry in mine}

    await wait_until(told, within_seconds=30, what="what the client did, in the audit trail")


async def test_a_client_does_on_no_route_more_than_an_api_key(stage: Stage, owner: Person) -> None:
    token = await token_of(await register(owner, name="Everything", scopes=SCOPES, **ITSELF))
    for route in api_routes(ROUTERS):
        declared = declaration_of(route)
        if declared is None or isinstance(declared, Public) or (isinstance(declared, Needs) and declared.keys):
            continue
        path = route.path_format.replace("{tenant_id}", str(owner.tenant_id))
        for method in sorted(route.methods or ()):
            answer = await call(stage, token, method, path, json=None if method == "GET" else {})
            assert answer.status_code == 403, f"{method} {path}: {answer.status_code}"


async def test_check_17_a_client_shrinks_with_its_holder_and_its_own_scopes(stage: Stage, owner: Person) -> None:
    admin = await join(stage, owner, "admin")
    client = await register(admin, name="Of an admin", scopes=["event.read", "billing.read"], **ITSELF)
    token = await token_of(client)
    assert (await call(stage, token, path="/v1/invoices")).status_code == 200
    demoted = f"/v1/tenants/{owner.tenant_id}/members/{admin.user_id}"
    assert (await owner.request("PATCH", demoted, json={"role": "viewer"})).is_success

    async def shrunk() -> bool:
        return (await call(stage, token, path="/v1/invoices")).status_code == 403

    await wait_until(shrunk, within_seconds=FRESH_SECONDS + 5, what="the role to count")
    assert (await call(stage, token)).status_code == 200
    assert (await client.token(grant_type="client_credentials", scope="billing.read")).json()[
        "error"
    ] == "invalid_scope"
    assert (await owner.request("DELETE", demoted)).is_success
    await assert_kept_out(stage, token)
    gone = await client.token(grant_type="client_credentials")
    assert gone.json()["error"] == "unauthorized_client"
    rolled = await owner.post(f"/v1/oauth-clients/{client.id}/roll-secret", {"grace_seconds": 3600})
    assert rolled["held_by"] == owner.user_id

    async def taken_over() -> bool:
        mine = Relying(stage, rolled)
        return (await mine.token(grant_type="client_credentials")).status_code == 200

    await wait_until(taken_over, within_seconds=FRESH_SECONDS + 5, what="the client to be the owner's")
    still_gone = await client.token(grant_type="client_credentials")
    assert still_gone.json()["error"] == "unauthorized_client", "who has left has the secret before, and no more by it"
    await assert_kept_out(stage, token)
    ended = await owner.post(f"/v1/oauth-clients/{client.id}/roll-secret", {"grace_seconds": 0})

    async def ends() -> bool:
        return (await Relying(stage, rolled).token(grant_type="client_credentials")).status_code == 401

    await wait_until(ends, within_seconds=FRESH_SECONDS + 5, what="the secret before to end")
    assert (await Relying(stage, ended).token(grant_type="client_credentials")).status_code == 200


async def test_check_17_a_token_that_is_given_back_or_whose_client_is_gone(stage: Stage, owner: Person) -> None:
    client = await register(owner, name="Short", scopes=["event.read"], **ITSELF)
    given_back, kept = await token_of(client), await token_of(client)
    assert (await client.worth(kept))["scope"] == "event.read"
    assert (await client.post("/oauth2/revoke", client.proof | {"token": given_back})).status_code == 200
    await assert_kept_out(stage, given_back)
    assert (await call(stage, kept)).status_code == 200
    assert (await owner.request("DELETE", f"/v1/oauth-clients/{client.id}")).status_code == 204
    await assert_kept_out(stage, kept)


async def test_check_14_no_token_passes_for_one_of_another_kind(stage: Stage, owner: Person, shop: Relying) -> None:
    tokens = await shop.tokens_for(owner)
    machine = await token_of(await register(owner, name="Machine", scopes=["event.read"], **ITSELF))
    key = (await owner.post("/v1/api-keys", {"name": "Key", "scopes": ["event.read"]}))["key"]
    of_person = [tokens["access_token"], tokens["refresh_token"], tokens["id_token"]]
    of_session = [owner.tokens["access_token"], owner.tokens["refresh_token"]]
    secrets = [shop.made["client_secret"], shop.client_id]
    for token in (*of_person, owner.tokens["refresh_token"], *secrets):
        assert (await call(stage, token)).status_code == 401, token
        assert (await call(stage, token, path="/v1/me")).status_code == 401, token
    for token in (tokens["refresh_token"], tokens["id_token"], machine, key, *of_session, *secrets, "x"):
        answer = await shop.userinfo(token)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token"), token
        assert answer.headers["www-authenticate"].startswith("Bearer ")
    assert (await stage.http.get("/userinfo")).status_code == 401
    for token in (tokens["id_token"], key, *of_session, *secrets, "x"):
        assert await shop.worth(token) == {"active": False}, token
    for token in (tokens["access_token"], tokens["id_token"], machine, *of_session):
        assert (await shop.refresh(token)).json()["error"] == "invalid_grant"
        assert (await shop.exchange(token)).json()["error"] == "invalid_grant"
        refreshed = await stage.http.post("/v1/auth/refresh", json={"refresh_token": token})
        assert (refreshed.status_code == 200) is (token == of_session[1])
    assert (await stage.http.get("/oauth2/authorize", headers={"Cookie": f"prog_session={machine}"})).status_code == 422


async def test_check_14_made_up_and_changed_tokens_are_none(stage: Stage, owner: Person, shop: Relying) -> None:
    tokens = await shop.tokens_for(owner)
    token = tokens["access_token"]
    machine = await token_of(await register(owner, name="Machine 2", scopes=["event.read"], **ITSELF))
    tenant_id = owner.tenant_id
    assert tenant_id is not None
    for wrong in (token[:-1], token + "A", token.replace("_", "-", 1), person_access_token(new_id("user"), "a" * 43)):
        assert (await shop.userinfo(wrong)).status_code == 401
    for wrong in (
        machine[:-1],
        client_access_token(tenant_id, "a" * 43),
        client_access_token(new_id("tenant"), "a" * 43),
    ):
        assert (await call(stage, wrong)).status_code == 401


async def test_check_13_an_id_token_is_signed_by_a_key_of_its_own(stage: Stage, owner: Person, shop: Relying) -> None:
    token = (await shop.tokens_for(owner))["id_token"]
    keys = (await stage.http.get("/.well-known/jwks.json")).json()["keys"]
    assert {(key["kty"], key["alg"]) for key in keys} == {("OKP", "EdDSA"), ("RSA", "RS256")}
    header = jwt.get_unverified_header(token)
    [key] = [key for key in keys if key["kid"] == header["kid"]]
    assert (header["alg"], key["alg"]) == ("RS256", "RS256")
    claims = jwt.decode(token, jwt.PyJWK(key), algorithms=["RS256"], audience=shop.client_id)
    assert (claims["nonce"], claims["sub"], claims["iss"]) == ("a nonce", owner.user_id, stage.settings.public_url)
    assert claims["sid"] != "", "the session in which the person agreed"


async def test_tenants_learn_nothing_of_each_other_s_tokens(stage: Stage, owner: Person, shop: Relying) -> None:
    other = await stage.person("owner@elsewhere.example")
    await stage.tenant_of(other, "Elsewhere")
    theirs = await register(other)
    tokens = await shop.tokens_for(owner)
    machine = await token_of(await register(owner, name="Machine 3", scopes=["event.read"], **ITSELF))
    for token in (tokens["access_token"], tokens["refresh_token"], machine):
        assert await theirs.worth(token) == {"active": False}
        assert (await theirs.post("/oauth2/revoke", theirs.proof | {"token": token})).status_code == 200
        assert (await shop.worth(token))["active"] is True
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/roll-secret")):
        answer = await other.request(method, f"/v1/oauth-clients/{shop.id}{path}", json=None if method == "GET" else {})
        assert answer.status_code == 404, method
    seen = (await other.get("/v1/oauth-clients"))["data"]
    assert [client["id"] for client in seen] == [theirs.id]


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "invalid_request"),
        ({"grant_type": "password", "username": "ada", "password": "x"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "unauthorized_client"),
        ({"grant_type": "authorization_code"}, "invalid_request"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "prog_offline_x"}, "invalid_grant"),
        ({"grant_type": "authorization_code", "code": "x" * 5000}, "invalid_request"),
        ({"grant_type": "authorization_code", "code": "a\x00b"}, "invalid_request"),
    ],
)
async def test_forms_that_are_wrong_are_told_as_oauth_tells_it(shop: Relying, form: dict[str, str], error: str) -> None:
    answer = await shop.token(**form)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json().keys() == {"error", "error_description"}


async def test_a_client_proves_itself_in_one_place_and_gets_one_answer_for_all_that_is_wrong(
    stage: Stage, owner: Person, shop: Relying
) -> None:
    secret, form = shop.made["client_secret"], {"grant_type": "refresh_token", "refresh_token": "prog_offline_x"}
    good = await stage.http.post("/oauth2/token", data=form, auth=(shop.client_id, secret))
    assert good.json()["error"] == "invalid_grant", "it is the client"
    told = set()
    for name, wrong in (
        (shop.client_id, secret[:-1]), (shop.client_id, ""), ("nobody", secret), ("", ""), (shop.id, secret),
        ((await register(owner, name="Twin")).client_id, secret),
    ):  # fmt: skip
        answer = await stage.http.post("/oauth2/token", data=form, auth=(name, wrong))
        told.add((answer.status_code, answer.text, answer.headers["www-authenticate"].partition(" ")[0]))
    bare = await shop.post("/oauth2/token", form | {"client_id": shop.client_id})
    told.add((bare.status_code, bare.text, bare.headers["www-authenticate"].partition(" ")[0]))
    assert len(told) == 1
    assert told.pop()[0] == 401
    both = await stage.http.post("/oauth2/token", data=form | shop.proof, auth=(shop.client_id, secret))
    assert both.json()["error"] == "invalid_request"
    as_json = await stage.http.post("/oauth2/token", json=form | shop.proof)
    assert as_json.json()["error"] == "invalid_request"
    twice = await stage.http.post(
        "/oauth2/token",
        content="grant_type=refresh_token&grant_type=refresh_token",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        auth=(shop.client_id, secret),
    )
    assert twice.json()["error"] == "invalid_request"


async def test_who_registers_what(stage: Stage, owner: Person) -> None:
    member = await join(stage, owner, "member")
    wish = {"name": "X", "grants": ["client_credentials"], "scopes": ["event.read"]}
    assert (await member.request("POST", "/v1/oauth-clients", json=wish)).status_code == 403
    operator = await stage.operator()
    answer = await operator.request(
        "POST", "/v1/oauth-clients", json=wish, headers={"Prog-Tenant": str(owner.tenant_id)}
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "no_member")
    made = await register(owner, name="Seen", scopes=["event.read"], **ITSELF)
    shown = await owner.get(f"/v1/oauth-clients/{made.id}")
    assert made.made["client_secret"] not in str(shown)
    changed = await owner.request("PATCH", f"/v1/oauth-clients/{made.id}", json={"name": "Renamed"})
    assert (changed.json()["name"], changed.json()["scopes"]) == ("Renamed", ["event.read"])
    wrong = await owner.request("PATCH", f"/v1/oauth-clients/{made.id}", json={"scopes": ["openid"]})
    assert wrong.status_code == 422
