"""What every write promises: Idempotency-Key, Prefer, operations, and problems that name what is wrong."""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio
from starlette.responses import Response

from prog_contracts.ids import new_id
from prog_edge.idempotency import Claimed, IdempotencyKeys, KeyScope
from prog_edge.problems import Refused
from prog_kit.secrets import Sealer
from tests.integration.edge.stage import Person, Stage
from tests.integration.edge.test_roles import change
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ada(stage: Stage) -> Person:
    return await stage.person("ada@writes.example")


async def test_check_23_the_same_key_and_body_are_done_once_and_answered_alike(ada: Person) -> None:
    headers = {"Idempotency-Key": new_id("key")}
    body = {"name": "Once"}
    first = await ada.request("POST", "/v1/tenants", json=body, headers=headers)
    again = await ada.request("POST", "/v1/tenants", json=body, headers=headers)
    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    assert first.headers["location"] == again.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    names = [tenant["name"] for tenant in (await ada.get("/v1/tenants"))["data"]]
    assert names.count("Once") == 1


async def test_check_23_the_same_key_with_another_body_is_refused(ada: Person) -> None:
    headers = {"Idempotency-Key": new_id("key")}
    assert (await ada.request("POST", "/v1/tenants", json={"name": "One"}, headers=headers)).status_code == 201
    other = await ada.request("POST", "/v1/tenants", json={"name": "Two"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_check_23_parallel_requests_with_one_key_make_one_tenant(ada: Person) -> None:
    headers = {"Idempotency-Key": new_id("key")}
    answers = await asyncio.gather(
        *(ada.request("POST", "/v1/tenants", json={"name": "Parallel"}, headers=headers) for _ in range(5))
    )
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert sum(answer.status_code == 201 for answer in answers) >= 1
    running = [answer for answer in answers if answer.status_code == 409]
    assert all(answer.json()["code"] == "idempotency_key_in_use" for answer in running)
    names = [tenant["name"] for tenant in (await ada.get("/v1/tenants"))["data"]]
    assert names.count("Parallel") == 1


async def test_check_23_keys_belong_to_their_actor(stage: Stage, ada: Person) -> None:
    grace = await stage.person("grace@writes.example")
    headers = {"Idempotency-Key": new_id("key")}
    first = await ada.request("POST", "/v1/invitations/accept", json={"token": "x"}, headers=headers)
    body = {"name": "Mine"}
    mine = await ada.request("POST", "/v1/tenants", json=body, headers=headers)
    hers = await grace.request("POST", "/v1/tenants", json=body, headers=headers)
    assert first.status_code == 404
    assert mine.json()["id"] != hers.json()["id"]


async def test_a_key_whose_process_died_is_taken_over_with_the_same_message(stage: Stage, ada: Person) -> None:
    keys = stage.platform.idempotency
    tenant_id = await stage.tenant_of(ada, "Taken over")
    scope = KeyScope(tenant_id, ada.user_id, "POST /v1/anything", new_id("key"))
    first = await keys.claim(scope, b"body")
    with pytest.raises(Exception, match="still running"):
        await keys.claim(scope, b"body")
    async with stage.platform.database.scope(tenant_id=tenant_id) as connection:
        await connection.execute(
            "UPDATE bus.idempotency_keys SET recorded_at = recorded_at - interval '1 minute' WHERE key = $1", scope.key
        )
    assert await keys.claim(scope, b"body") == first
    ada.tenant_id = None


async def test_a_rotation_of_the_secret_keys_lies_between_a_request_and_its_retry_unseen(
    stage: Stage, ada: Person
) -> None:
    database = stage.platform.database
    before, newest = "0123456789abcdef" * 4, "fedcba9876543210" * 4
    old, rotated, dropped = (
        IdempotencyKeys(database, Sealer(keys)) for keys in ((before,), (newest, before), (newest,))
    )
    tenant_id = await stage.tenant_of(ada, "Rotated")
    scope, waiting = (KeyScope(tenant_id, ada.user_id, "POST /v1/anything", new_id("key")) for _ in range(2))
    assert isinstance(await old.claim(scope, b"body"), Claimed)
    await old.keep(scope, Response("answer", 201))
    told = await rotated.claim(scope, b"body")
    assert isinstance(told, Response)
    assert (told.status_code, told.body) == (201, b"answer")
    with pytest.raises(Refused, match="another body"):
        await rotated.claim(scope, b"other")
    with pytest.raises(Refused, match="another body"):
        await dropped.claim(scope, b"body")
    first = await old.claim(waiting, b"body")
    await change(
        stage,
        "UPDATE bus.idempotency_keys SET recorded_at = recorded_at - interval '1 minute' WHERE key = $1",
        waiting.key,
    )
    assert await rotated.claim(waiting, b"body") == first, "taken over with the same message"
    ada.tenant_id = None


async def test_a_failure_is_answered_alike_too(ada: Person) -> None:
    tenant_id = (await ada.post("/v1/tenants", {"name": "Failing"}))["id"]
    headers = {"Idempotency-Key": new_id("key")}
    body = {"to": "2027-01-01T00:00:00Z"}
    path = f"/v1/tenants/{tenant_id}/clock/advance"
    first = await ada.request("POST", path, json=body, headers=headers)
    again = await ada.request("POST", path, json=body, headers=headers)
    assert first.status_code == again.status_code == 409
    assert first.content == again.content
    assert again.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/payment-methods", {"token": "pm_ok"}),
        ("/v1/subscriptions", {"price_id": "price_01m836mz1cee6vnez47h8wazmj"}),
    ],
)
async def test_check_23_where_money_moves_a_key_is_required(
    ada: Person, stage: Stage, path: str, body: dict[str, str]
) -> None:
    ada.tenant_id = await stage.tenant_of(ada, f"Money {new_id('x')}")
    missing = await ada.request("POST", path, json=body)
    assert (missing.status_code, missing.json()["code"]) == (400, "idempotency_key_required")
    ada.tenant_id = None


async def test_a_client_that_does_not_want_to_wait_gets_an_operation(ada: Person) -> None:
    headers = {"Prefer": "respond-async"}
    accepted = await ada.request("POST", "/v1/tenants", json={"name": "Later"}, headers=headers)
    assert accepted.status_code == 202
    assert accepted.headers["preference-applied"] == "respond-async"
    location = accepted.headers["location"]

    async def done() -> bool:
        return bool((await ada.get(location))["status"] == "succeeded")

    await wait_until(done, what="the operation to succeed")
    operation = await ada.get(location)
    assert operation["result"]["name"] == "Later"
    assert operation["error"] is None
    tenant = await ada.get(f"/v1/tenants/{operation['result']['tenant_id']}")
    assert tenant["name"] == "Later"


async def test_an_operation_that_failed_tells_why(ada: Person) -> None:
    tenant_id = (await ada.post("/v1/tenants", {"name": "Refusing"}))["id"]
    path = f"/v1/tenants/{tenant_id}/clock/advance"
    body = {"to": "2027-01-01T00:00:00Z"}
    accepted = await ada.request("POST", path, json=body, headers={"Prefer": "respond-async"})

    async def failed() -> bool:
        return bool((await ada.get(accepted.headers["location"]))["status"] == "failed")

    await wait_until(failed, what="the operation to fail")
    assert (await ada.get(accepted.headers["location"]))["error"]["code"] == "clock_missing"


async def test_credentials_are_never_put_off(stage: Stage, ada: Person) -> None:
    body = {"refresh_token": ada.tokens["refresh_token"]}
    answer = await stage.http.post("/v1/auth/refresh", json=body, headers={"Prefer": "respond-async"})
    assert answer.status_code == 200
    ada.tokens = answer.json()


async def test_a_refusal_of_the_domain_names_the_field(stage: Stage) -> None:
    body = {"email": "no address", "password": "short", "name": " "}
    answer = await stage.http.post("/v1/auth/register", json=body)
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["code"] == "invalid"
    assert {item["field"] for item in problem["errors"]} == {"email", "password", "name"}
    assert problem["trace_id"] in answer.headers["traceparent"]


async def test_an_operation_is_found_without_what_redis_remembers(stage: Stage, ada: Person) -> None:
    body = {"email": "later@writes.example", "password": "correct horse battery staple", "name": "Later"}
    anonymous = await stage.http.post("/v1/auth/register", json=body, headers={"Prefer": "respond-async"})
    own = await ada.request("POST", "/v1/tenants", json={"name": "Forgotten"}, headers={"Prefer": "respond-async"})
    places = anonymous.headers["location"], own.headers["location"]
    await stage.platform.redis.delete(*[key async for key in stage.platform.redis.scan_iter("prog:edge:operation:*")])

    async def done() -> bool:
        answers = await stage.http.get(places[0]), await ada.request("GET", places[1])
        return all(answer.status_code == 200 and answer.json()["status"] == "succeeded" for answer in answers)

    await wait_until(done, what="both to be found")
    stranger = await stage.person("stranger@writes.example")
    assert (await stranger.request("GET", places[0])).status_code == 200
    assert (await stranger.request("GET", places[1])).status_code == 404
    assert (await stage.http.get(places[1])).status_code == 404
