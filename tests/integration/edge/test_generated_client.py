"""A client that is made of `/openapi.json` while this runs: what the contract says is enough to work with the API."""

from typing import Any

import httpx2
import pytest
import pytest_asyncio
from aiopenapi3 import OpenAPI
from aiopenapi3.errors import HTTPClientError
from pydantic import ValidationError

from prog_contracts.ids import new_id
from tests.integration.edge.stage import PASSPHRASE, Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPERATIONS = frozenset(
    {
        "register", "verify_email", "login", "get_me", "change_me", "create_tenant", "get_tenant", "list_tenants",
        "change_tenant", "get_limits", "publish_events", "list_prices", "list_events", "create_api_key",
    }
)  # fmt: skip
"""A client of all hundred would take seconds to make."""


def part_of(document: dict[str, Any], wanted: frozenset[str]) -> dict[str, Any]:
    """The contract of some operations, with the schemas that these refer to."""
    paths = {
        path: {method: operation for method, operation in methods.items() if operation["operationId"] in wanted}
        for path, methods in document["paths"].items()
    }
    paths = {path: methods for path, methods in paths.items() if methods}
    schemas = document["components"]["schemas"]
    found: set[str] = set()
    waiting = references(paths)
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= references(schemas[name]) - found
    components = {**document["components"], "schemas": {name: schemas[name] for name in found}}
    return {**document, "paths": paths, "components": components}


def references(value: Any) -> set[str]:
    if isinstance(value, list):
        return {name for item in value for name in references(item)}
    if not isinstance(value, dict):
        return set()
    own = {value["$ref"].rpartition("/")[2]} if isinstance(value.get("$ref"), str) else set()
    return own | {name for item in value.values() for name in references(item)}


# The generator looks at what this returns, so annotations are no texts in this module.
def session(*arguments: Any, **options: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(*arguments, **{**options, "timeout": 60})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(stage: Stage) -> OpenAPI:
    document = (await stage.http.get("/openapi.json")).json()
    assert {
        operation["operationId"] for methods in document["paths"].values() for operation in methods.values()
    } >= OPERATIONS
    url = f"{stage.settings.public_url}/openapi.json"
    return OpenAPI(url, part_of(document, OPERATIONS), session_factory=session, use_operation_tags=False)


async def test_somebody_signs_up_and_works_with_nothing_but_the_contract(api: OpenAPI, stage: Stage) -> None:
    call, email = api._, "ada@generated.example"
    await call.register(data={"email": email, "password": PASSPHRASE, "name": "Ada Lovelace"})
    await call.verify_email(data={"token": await stage.token_mailed_to(email, "verify")})
    tokens = await call.login(data={"email": email, "password": PASSPHRASE})
    api.authenticate(bearer=tokens.access_token)

    me = await call.get_me()
    assert (me.email, me.email_verified, me.tenants) == (email, True, [])
    assert (await call.change_me(data={"name": "Ada King"})).name == "Ada King"

    key = {"Idempotency-Key": new_id("key")}
    tenant = await call.create_tenant(data={"name": "Analytical"}, parameters=key)
    again = await call.create_tenant(data={"name": "Analytical"}, parameters=key)
    assert (tenant.id, tenant.member_count, tenant.role) == (again.id, 1, "owner")
    listed = await call.list_tenants(parameters={"limit": 1})
    assert [item.id for item in listed.data] == [tenant.id]
    renamed = await call.change_tenant(data={"name": "Engines"}, parameters={"tenant_id": tenant.id})
    assert renamed.name == "Engines"
    limits = await call.get_limits(parameters={"tenant_id": tenant.id})
    assert limits.model_dump()["limits"]["members"] == 5
    assert (await call.list_prices()).data is not None


async def test_a_refusal_is_the_problem_that_the_contract_describes(api: OpenAPI, stage: Stage) -> None:
    ada = await stage.person("ada@refused.example")
    api.authenticate(bearer=ada.tokens["access_token"])
    for call, status, code in (
        (api._.create_tenant(data={"name": ""}), 422, "invalid"),
        (api._.get_tenant(parameters={"tenant_id": new_id("tenant")}), 404, "not_found"),
    ):
        with pytest.raises(HTTPClientError) as refused:
            await call
        problem: Any = refused.value.data
        told = problem.code if hasattr(problem, "code") else problem
        assert (refused.value.status_code, code in str(told)) == (status, True)


async def test_the_client_knows_what_the_contract_forbids(api: OpenAPI) -> None:
    with pytest.raises(ValidationError):
        await api._.get_tenant(parameters={"tenant_id": new_id("tenant"), "Prog-Version": "2020-01-01"})
    with pytest.raises(ValidationError):
        await api._.list_tenants(parameters={"limit": 100_000})
