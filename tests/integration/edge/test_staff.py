"""What the platform's operators see, and that nobody else does."""

from __future__ import annotations

from uuid import uuid4

import pytest
import pytest_asyncio

from prog_contracts.ids import new_id
from prog_contracts.topics import TOPICS
from prog_edge.access import Needs, Staff
from prog_edge.api import ROUTERS
from prog_edge.api.contract import api_routes, declaration_of
from tests.integration.edge.stage import Person, Stage
from tests.integration.edge.test_isolation import STREAMS
from tests.integration.edge.test_lifecycle import Ids
from tests.integration.edge.test_roles import change
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(stage: Stage) -> Person:
    return await stage.operator()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def customer(stage: Stage) -> Person:
    person = await stage.person("customer@staff.example")
    await stage.tenant_of(person, "Customer Ltd")
    return person


async def test_the_operator_sees_everybody_and_every_tenant(operator: Person, customer: Person) -> None:
    users = (await operator.get("/v1/users"))["data"]
    assert {user["email"] for user in users} >= {operator.email, customer.email}
    found = (await operator.get("/v1/users", params={"search": customer.email}))["data"]
    assert [user["id"] for user in found] == [customer.user_id]
    assert (await operator.get(f"/v1/users/{customer.user_id}"))["email"] == customer.email
    names = [tenant["name"] for tenant in (await operator.get("/v1/tenants"))["data"]]
    assert "Customer Ltd" in names
    tenants = {event["tenantid"] for event in (await operator.get("/v1/events", params={"limit": 200}))["data"]}
    assert customer.tenant_id in tenants
    assert len(tenants) > 1


async def test_the_operator_looks_into_one_tenant(operator: Person, customer: Person) -> None:
    headers = {"Prog-Tenant": str(customer.tenant_id)}
    events = (await operator.get("/v1/events", headers=headers))["data"]
    assert {event["tenantid"] for event in events} == {customer.tenant_id}
    assert (await operator.get(f"/v1/tenants/{customer.tenant_id}"))["role"] is None


@pytest.mark.parametrize(
    "path",
    [
        "/v1/users",
        "/v1/dead-letters",
        "/v1/health/services",
        "/v1/metrics/consumers",
        "/v1/topics",
        "/v1/topics/prog.users.events",
    ],
)
async def test_what_is_for_staff_is_denied_to_others(stage: Stage, customer: Person, path: str) -> None:
    assert (await customer.request("GET", path)).status_code == 403
    assert (await stage.http.get(path)).status_code == 401


async def test_support_looks_at_everything_and_changes_nothing(stage: Stage, customer: Person) -> None:
    """By the declaration of every route; what a request would change is never reached."""
    email = "support@staff.example"
    person = await stage.person(email)
    await change(stage, "UPDATE users.users SET platform_role = 'support' WHERE user_id = $1", person.user_id)
    support = await stage.sign_in(email)
    support.tenant_id = customer.tenant_id
    ids = Ids(tenant_id=str(customer.tenant_id), user_id=customer.user_id)
    tried = {True: 0, False: 0}
    for route in api_routes(ROUTERS):
        declared = declaration_of(route)
        if not isinstance(declared, Needs | Staff) or route.path in STREAMS:
            continue
        looks = declared.permission.endswith(".read")
        for method in sorted((route.methods or set()) - {"HEAD"}):
            path = route.path_format.format_map(ids)
            body: dict[str, str] | None = None if method == "GET" else {}
            answer = await support.request(method, path, json=body, headers={"Idempotency-Key": new_id("key")})
            told = f"{method} {route.path}: {answer.status_code} {answer.text[:300]}"
            assert answer.status_code not in (401, 403) if looks else answer.status_code in (403, 404), told
            tried[looks] += 1
    assert min(tried.values()) > 20


async def test_services_and_consumers_are_told(operator: Person) -> None:
    services = {item["name"]: item["status"] for item in (await operator.get("/v1/health/services"))["data"]}
    assert services["PostgreSQL"] == services["Valkey"] == services["Worker users"] == "ok"

    async def counted() -> bool:
        consumers = (await operator.get("/v1/metrics/consumers"))["data"]
        assert {item["group"] for item in consumers} >= {"users", "tenants", "payments", "email", "events"}
        return any(item["handled"] > 0 for item in consumers)

    await wait_until(counted, within_seconds=30, what="a window to be counted")


async def test_topics_say_what_waits_and_which_process_reads(operator: Person) -> None:
    topics = {item["name"]: item for item in (await operator.get("/v1/topics"))["data"]}
    assert list(topics) == list(TOPICS)
    assert [item["group"] for item in topics["prog.users.commands"]["consumers"]] == ["users"]

    async def measured() -> bool:
        shards = (await operator.get("/v1/topics/prog.users.commands"))["shards"]
        assert [(item["group"], item["partition"]) for item in shards] == [("users", n) for n in range(4)]
        return all(item["owner"] and item["leased_until"] and item["lag"] is not None for item in shards)

    await wait_until(measured, within_seconds=60, what="every shard to be measured and read")
    assert (await operator.request("GET", "/v1/topics/prog.nowhere.events")).status_code == 404


async def test_dead_letters_are_listed(operator: Person) -> None:
    assert (await operator.get("/v1/dead-letters"))["data"] == []
    assert (await operator.request("GET", f"/v1/dead-letters/{uuid4()}")).status_code == 404
    assert (await operator.request("GET", "/v1/dead-letters/nonsense")).status_code == 422


async def test_an_operation_that_nobody_knows_is_unknown_to_staff_too(operator: Person) -> None:
    answer = await operator.request("GET", f"/v1/operations/{new_id('operation')}")
    assert answer.status_code == 404
