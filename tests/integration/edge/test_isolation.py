"""Two tenants, one pooled connection, every endpoint: nobody ever sees a row of the other.

The routes are taken from the application, so a new one is tested as soon as it exists; one with a path parameter that
this module cannot fill in fails until it can.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi.routing import APIRoute

from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_edge.access import Needs, Public, SignedIn, Staff
from prog_edge.api import ROUTERS
from prog_edge.api.contract import api_routes, declaration_of
from prog_edge.app import create_app
from tests.component.tenants.provider import GROUP, listed, user_body
from tests.integration.edge.stage import Person, Stage
from tests.integration.edge.test_roles import change
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

STREAMS = {"/v1/events/stream"}
"""Tested with a client that reads streams, in test_events."""


@dataclass
class Business:
    """A tenant with something of everything. `ids` fill in path parameters; `marks` are texts of its own."""

    owner: Person
    ids: dict[str, str] = field(default_factory=dict)
    marks: set[str] = field(default_factory=set)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def businesses(stage: Stage) -> tuple[Business, Business]:
    return await business(stage, "alpha"), await business(stage, "omega")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_connection(stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    """An edge that has one database connection for everybody."""
    app = create_app(stage.settings.model_copy(update={"database_pool_size": 1}))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=stage.settings.public_url) as client:
            yield client


async def business(stage: Stage, name: str) -> Business:
    owner = await stage.person(f"{name}@isolation.example", f"Owner of {name}")
    tenant_id = await stage.tenant_of(owner, f"{name} works")
    invitation = await owner.post(f"/v1/tenants/{tenant_id}/invitations", {"email": f"guest-{name}@isolation.example"})
    price = (await owner.get("/v1/prices"))["data"][0]
    subscription = await owner.post("/v1/subscriptions", {"price_id": price["id"], "payment_method": "pm_ok"})

    async def billed() -> bool:
        mails = (await owner.get("/v1/messages"))["data"]
        return any(mail["template"] == "receipt" and mail["status"] == "sent" for mail in mails)

    await wait_until(billed, within_seconds=20, what="the receipt")

    async def recorded() -> bool:
        return bool((await owner.get("/v1/audit"))["data"])

    await wait_until(recorded, within_seconds=20, what="an entry of the audit trail")
    await owner.post(f"/v1/tenants/{tenant_id}/clock", {"at": "2027-01-31T00:00:00Z"})
    settings = {"branding": {"name": f"{name} brand"}, "mail": {"reply_to": f"answers@{name}.example"}}
    configured = await owner.request(
        "PUT", f"/v1/tenants/{tenant_id}/config", json={"settings": settings}, headers={"If-Match": "*"}
    )
    assert configured.status_code == 200, configured.text
    events = (await owner.get("/v1/events"))["data"]
    accepted = await owner.request(
        "POST", "/v1/tenants", json={"name": f"{name} second"}, headers={"Prefer": "respond-async"}
    )
    kept = {"type": f"com.{name}.thing_happened", "schema": {"type": "object", "title": f"{name} schema"}}
    schema = await owner.post("/v1/schemas", kept)
    key = await owner.post("/v1/api-keys", {"name": f"{name} import", "scopes": ["event.read"]})
    client = {"name": f"{name} shop", "grants": ["client_credentials"], "scopes": ["event.read"]}
    await owner.post(f"/v1/tenants/{tenant_id}/domains", {"domain": f"{name}.example"})
    await owner.post(f"/v1/tenants/{tenant_id}/custom-domains", {"domain": f"{name}.example"})
    await change(
        stage,
        "INSERT INTO tenants.sign_on (tenant_id, issuer, client_id, sealed_client_secret, default_role, enforced,"
        " updated_at) VALUES ($1, $2, 'client', 'sealed', 'member', false, now())",
        tenant_id,
        f"https://id.{name}.example",
    )
    export = await owner.post(f"/v1/tenants/{tenant_id}/export")
    user = await owner.post("/scim/v2/Users", user_body(f"someone of {name}"))
    crowd = {"schemas": [GROUP], "displayName": f"{name} crowd", "members": listed(user["id"])}
    group = await owner.post("/scim/v2/Groups", crowd)
    found = Business(owner)
    found.ids = {
        "tenant_id": tenant_id,
        "invitation_id": invitation["id"],
        "subscription_id": subscription["id"],
        "invoice_id": (await owner.get("/v1/invoices"))["data"][0]["id"],
        "mail_id": (await owner.get("/v1/messages"))["data"][0]["id"],
        "event_id": events[0]["id"],
        "any_id": subscription["id"],
        "operation_id": accepted.json()["id"],
        "user_id": owner.user_id,
        "letter_id": new_id("letter"),
        "impersonation_id": new_id("impersonation"),
        "name": "prog.users.commands",
        "replay_id": "01932b4e-8f00-7c3a-9d2e-5a1b2c3d4e5f",
        "type_name": schema["type"],
        "version": schema["version"],
        "key_id": key["id"],
        "client_id": (await owner.post("/v1/oauth-clients", client))["id"],
        "domain": f"{name}.example",
        "export_id": export["id"],
        "directory_user_id": user["id"],
        "directory_group_id": group["id"],
        "resource_type": "User",
        "schema_id": user["schemas"][0],
    }
    found.marks = {
        owner.tokens["session_id"],
        tenant_id,
        owner.user_id,
        owner.email,
        f"{name} works",
        f"guest-{name}@",
        subscription["id"],
        f"{name} schema",
        f"{name} import",
        f"{name} shop",
        f"{name}.example",
        f"{name} brand",
        f"answers@{name}.example",
        f"someone of {name}",
        f"{name} crowd",
    }
    return found


def get_routes() -> list[APIRoute]:
    return [
        route
        for route in api_routes(ROUTERS)
        if "GET" in (route.methods or ()) and route.include_in_schema and route.path not in STREAMS
    ]


def address(route: APIRoute, ids: dict[str, str]) -> str:
    """The route with these ids in its path."""
    return route.path_format.format_map(ids)


def describes_the_server(route: APIRoute) -> bool:
    """What is the same for everybody."""
    return route.path.startswith(("/scim/v2/ResourceTypes", "/scim/v2/Schemas"))


def is_for_tenants(route: APIRoute) -> bool:
    return isinstance(declaration_of(route), Needs | SignedIn)


async def visit(client: httpx.AsyncClient, person: Person, path: str, tenant_id: str | None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {person.tokens['access_token']}"}
    if tenant_id is not None:
        headers["Prog-Tenant"] = tenant_id
    return await client.get(path, headers=headers)


def assert_free_of(marks: set[str], response: httpx.Response) -> None:
    shown = {mark for mark in marks if mark in response.text}
    assert not shown, f"{response.request.url} shows {shown}"


async def test_everybody_sees_their_own(
    one_connection: httpx.AsyncClient, businesses: tuple[Business, Business]
) -> None:
    """The other tests would pass on empty answers: here every endpoint has something to show."""
    for mine in businesses:
        for route in filter(is_for_tenants, get_routes()):
            response = await visit(one_connection, mine.owner, address(route, mine.ids), mine.ids["tenant_id"])
            assert response.status_code == 200, f"{route.path}: {response.status_code} {response.text}"
            if "{" not in route.path and route.path.count("/") == 2 and route.path not in ("/v1/me", "/v1/directory"):
                assert response.json()["data"], f"{route.path} has nothing to show"


async def test_check_21_nobody_sees_a_row_of_the_other(
    one_connection: httpx.AsyncClient, businesses: tuple[Business, Business]
) -> None:
    alpha, omega = businesses
    asked = [
        (theirs.marks, visit(one_connection, mine.owner, address(route, ids), tenant_id))
        for route in get_routes()
        for mine, theirs in ((alpha, omega), (omega, alpha))
        for ids, tenant_id in (
            (mine.ids, mine.ids["tenant_id"]),
            (theirs.ids, mine.ids["tenant_id"]),
            (theirs.ids, theirs.ids["tenant_id"]),
            (mine.ids, theirs.ids["tenant_id"]),
            (theirs.ids, PLATFORM_TENANT_ID),
            (theirs.ids, None),
        )
        if not isinstance(declaration_of(route), Public) or route.path == "/v1/operations/{operation_id}"
    ]
    answers = await asyncio.gather(*(request for _, request in asked))
    for (marks, _), response in zip(asked, answers, strict=True):
        echoed = {mark for mark in marks if mark in str(response.request.url)}
        assert_free_of(marks - echoed, response)
        if echoed:
            assert response.status_code >= 400 or not response.json().get("data", True), response.text


async def test_check_21_the_others_things_do_not_exist(
    one_connection: httpx.AsyncClient, businesses: tuple[Business, Business]
) -> None:
    alpha, omega = businesses
    for route in filter(is_for_tenants, get_routes()):
        if "{" in route.path and not describes_the_server(route):
            mine = alpha.ids["tenant_id"]
            response = await visit(one_connection, alpha.owner, address(route, omega.ids), mine)
            assert response.status_code == 404, f"{route.path}: {response.status_code} {response.text}"
        elif not isinstance(declaration_of(route), SignedIn):
            response = await visit(one_connection, alpha.owner, address(route, omega.ids), omega.ids["tenant_id"])
            assert response.status_code == 404, f"{route.path}: {response.status_code} {response.text}"


async def test_staff_routes_are_closed_to_tenants(
    one_connection: httpx.AsyncClient, businesses: tuple[Business, Business]
) -> None:
    alpha, omega = businesses
    letters: dict[str, Any] = {**omega.ids, "letter_id": "01932b4e-8f00-7c3a-9d2e-5a1b2c3d4e5f"}
    routes = [route for route in get_routes() if isinstance(declaration_of(route), Staff)]
    assert routes
    for route in routes:
        response = await visit(one_connection, alpha.owner, address(route, letters), None)
        assert response.status_code == 403, f"{route.path}: {response.status_code}"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/v1/tenants/{tenant_id}", {"name": "Stolen"}),
        ("POST", "/v1/tenants/{tenant_id}/invitations", {"email": "me@isolation.example", "role": "owner"}),
        ("PATCH", "/v1/tenants/{tenant_id}/members/{user_id}", {"role": "viewer"}),
        ("DELETE", "/v1/tenants/{tenant_id}/members/{user_id}", None),
        ("POST", "/v1/tenants/{tenant_id}/leave", {}),
        ("POST", "/v1/tenants/{tenant_id}/invitations/{invitation_id}/resend", {}),
        ("DELETE", "/v1/tenants/{tenant_id}/invitations/{invitation_id}", None),
        ("PUT", "/v1/tenants/{tenant_id}/config", {"settings": {"branding": {"name": "Stolen"}}}),
        ("POST", "/v1/tenants/{tenant_id}/config/rollback", {"version": 1}),
        ("POST", "/v1/tenants/{tenant_id}/logos", {"image": "aGVsbG8="}),
        ("POST", "/v1/tenants/{tenant_id}/clock", {"at": "2030-01-01T00:00:00Z"}),
        ("POST", "/v1/tenants/{tenant_id}/clock/advance", {"to": "2030-01-01T00:00:00Z"}),
        ("POST", "/v1/subscriptions/{subscription_id}/cancel", {}),
        ("POST", "/v1/invoices/{invoice_id}/pay", {}),
        ("POST", "/v1/api-keys/{key_id}/roll", {}),
        ("DELETE", "/v1/api-keys/{key_id}", None),
        ("PATCH", "/v1/oauth-clients/{client_id}", {"name": "Stolen"}),
        ("POST", "/v1/oauth-clients/{client_id}/roll-secret", {}),
        ("DELETE", "/v1/oauth-clients/{client_id}", None),
        ("PUT", "/v1/tenants/{tenant_id}/sign-on", {"issuer": "https://id.example", "client_id": "c"}),
        ("DELETE", "/v1/tenants/{tenant_id}/sign-on", None),
        ("POST", "/v1/tenants/{tenant_id}/export", {}),
        ("POST", "/v1/tenants/{tenant_id}/exports/{export_id}/file", {}),
        ("POST", "/v1/tenants/{tenant_id}/domains", {"domain": "stolen.example"}),
        ("POST", "/v1/tenants/{tenant_id}/domains/{domain}/check", {}),
        ("DELETE", "/v1/tenants/{tenant_id}/domains/{domain}", None),
        ("POST", "/v1/tenants/{tenant_id}/custom-domains", {"domain": "stolen.example"}),
        ("POST", "/v1/tenants/{tenant_id}/custom-domains/{domain}/check", {}),
        ("DELETE", "/v1/tenants/{tenant_id}/custom-domains/{domain}", None),
        ("PATCH", "/v1/directory/groups/{directory_group_id}", {"role": "viewer"}),
        ("DELETE", "/scim/v2/Users/{directory_user_id}", None),
        ("DELETE", "/scim/v2/Groups/{directory_group_id}", None),
    ],
)
async def test_check_21_nobody_changes_a_thing_of_the_other(
    businesses: tuple[Business, Business], method: str, path: str, body: dict[str, Any] | None
) -> None:
    alpha, omega = businesses
    headers = {"Idempotency-Key": new_id("key"), "If-Match": "*"}
    answer = await alpha.owner.request(method, path.format_map(omega.ids), json=body, headers=headers)
    assert answer.status_code == 404, answer.text
    tenant = await omega.owner.get(f"/v1/tenants/{omega.ids['tenant_id']}")
    assert (tenant["name"], tenant["clock"]["at"]) == ("omega works", "2027-01-31T00:00:00Z")
    [invitation] = (await omega.owner.get(f"/v1/tenants/{omega.ids['tenant_id']}/invitations"))["data"]
    assert (tenant["member_count"], invitation["id"]) == (1, omega.ids["invitation_id"])
    assert (await omega.owner.get(f"/v1/tenants/{omega.ids['tenant_id']}/sign-on"))[
        "issuer"
    ] == "https://id.omega.example"
    [domain] = (await omega.owner.get(f"/v1/tenants/{omega.ids['tenant_id']}/domains"))["data"]
    assert (domain["domain"], domain["status"]) == ("omega.example", "claimed")
    [host] = (await omega.owner.get(f"/v1/tenants/{omega.ids['tenant_id']}/custom-domains"))["data"]
    assert (host["domain"], host["status"]) == ("omega.example", "pending")
