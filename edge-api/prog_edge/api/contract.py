"""The API's contract as OpenAPI 3.1: what FastAPI derives from routes and models, and what it cannot know.

Added here: the credentials and the permission of each operation, the headers of writes and of tenant scope, the 202 of
deferrable writes, problem documents under their own media type, and an answer for every error that any route may give.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel

from prog_contracts.permissions import SCOPES
from prog_edge.access import TENANT_HEADER, Declaration, Needs, Public, SignedIn, Staff
from prog_edge.api.examples import add_examples, scim_example
from prog_edge.api.shapes import PROBLEM_CONTENT, problems
from prog_edge.oauth.metadata import TOKEN
from prog_edge.problems import Problem
from prog_edge.scim_errors import MEDIA_TYPE as SCIM_TYPE
from prog_edge.scim_errors import PREFIX as SCIM_PREFIX
from prog_edge.scim_errors import ScimError
from prog_edge.versions.table import HEADER, NEWEST
from prog_edge.writes import MOVES_MONEY, UNAWAITED, UNDEFERRABLE

_DESCRIPTION: Final = """\
Everything that the web clients do goes through this API.

**Credentials.** Sign in at `POST /v1/auth/login` and send the access token as `Authorization: Bearer …`. Where you
belong to more than one tenant, `Prog-Tenant: tenant_…` says which one is meant.

Programs have an API key of their tenant (`POST /v1/api-keys`), which is sent in the same way. It works on every
operation whose permission is among its scopes and within the role of whoever made it, and on no other. So does an
access token that an OAuth client of the tenant (`POST /v1/oauth-clients`) gets for itself at `POST /oauth2/token`.

**Support.** An operator of the platform may act in somebody's name for some minutes, with an access token whose `act`
claim (RFC 8693) says who that is. `x-impersonation` says of each operation whether such a token may, or is `refused`
(`not_while_impersonating`): what is the person's alone, gives anybody access, or moves money.

**Writes** are commands. The answer waits up to five seconds (`Prefer: wait=N`); a write that takes longer, or one sent
with `Prefer: respond-async`, is answered with 202 and the address of its operation.

**Retries.** Send an `Idempotency-Key` with a POST: the same key and body are done once and answered alike for 24 hours.
An answer that holds what is shown once is told again for ten minutes, and a file of exported data not at all: from then
on it is 409 (`idempotency_answer_gone`).

**Too much.** Each client has a quota for each kind of endpoint: `RateLimit-Policy` tells it, `RateLimit` what is left;
beyond it the answer is 429. Writes are also answered with 429 while the platform, or the tenant, has too many of them
at work. Nothing was done; come back after `Retry-After` seconds.

**Versions** are dates: `Prog-Version: DATE` pins what answers look like. Without it, the version that the tenant has
set (`api_version` of its configuration) holds; or else people have the newest, and an API key goes on with the one that
was the newest when it was made. Answers in a version that has a successor carry `Deprecation` and `Sunset`. The page
`/docs/versions` lists the versions and what has changed.

**Errors** are problem documents (RFC 9457) with a stable `code`, and `errors` that name the fields.
"""

_SCHEMES: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "An access token."},
    "api_key": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "prog_live_…",
        "description": "A key of a tenant's program: `prog_live_…` in production, `prog_test_…` elsewhere. Its scopes"
        " must hold the operation's permission.",
    },
    "client": {
        "type": "oauth2",
        "description": "The token of an OAuth client's own, which works as an API key does: its scopes must hold the"
        " operation's permission.",
        "flows": {"clientCredentials": {"tokenUrl": TOKEN, "scopes": {scope: scope for scope in SCOPES}}},
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "prog_session",
        "description": "A browser's session. Writes also need the page's `X-CSRF-Token`.",
    },
}
_TAGS: Final = [
    {"name": "Sign-in", "description": "Accounts and sessions."},
    {"name": "People", "description": "The caller, and for the platform's staff everybody."},
    {"name": "Tenants", "description": "Customers of the platform, their members and their clock."},
    {"name": "Configuration", "description": "What a tenant sets: looks, addresses, every version, and the way back."},
    {"name": "API keys", "description": "Credentials of a tenant's programs."},
    {
        "name": "OpenID provider",
        "description": "Sign-in to programs outside: clients of tenants, and where they ask for tokens.",
    },
    {
        "name": "SCIM",
        "description": "An identity provider keeps a tenant's users and groups (RFC 7643, RFC 7644). Bodies and errors"
        " are those of the standard.",
    },
    {"name": "Billing", "description": "Plans, cards, subscriptions, invoices and payments."},
    {"name": "Events", "description": "The log of everything that happened, as lists and live."},
    {"name": "Stories", "description": "What led to anything, and what came from it."},
    {"name": "Audit", "description": "Who did what, with which outcome."},
    {"name": "Analytics", "description": "Figures across tenants, of which none tells about one."},
    {"name": "Mail", "description": "Mails and what became of them."},
    {"name": "Operations", "description": "Writes on their way, dead letters, and how the platform is doing."},
    {"name": "Site", "description": "What the marketing site needs."},
    {"name": "Health", "description": "Probes and metrics."},
]
_PREFER: Final = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "description": "How long to wait: `wait=N` seconds, or `respond-async` for 202 at once.",
    "schema": {"type": "string"},
    "example": "wait=10",
}
_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Makes a retry safe: same key and body, same answer, for 24 hours.",
    "schema": {"type": "string", "pattern": "^[ -~]{1,255}$", "minLength": 1, "maxLength": 255},
    "example": "8e03978e-40d5-43dd-bc93-6894a57f9324",
}
_TENANT: Final = {
    "name": TENANT_HEADER,
    "in": "header",
    "required": False,
    "description": "Which of the caller's tenants is meant. Staff may leave it out to look across all.",
    "schema": {"type": "string", "pattern": "^tenant_[0-7][0-9a-hjkmnp-tv-z]{25}$"},
}
_PARAMETERS: Final = {
    "group": "A consumer group, which is a domain.",
    "name": "The topic's name, such as `prog.email.commands`.",
    "outcome": "Success, failure or denial.",
    "owner": "Whose they are: the platform's or the tenant's own.",
    "role": "Those who hold this office on the platform's staff.",
    "state": "How it stands.",
    "status": "Those that stand so.",
    "subscription_id": "A subscription.",
    "to": "The address that it went to.",
    "type": "A type of events.",
    "type_name": "The type's whole name.",
    "verified": "Whether the address is verified.",
}
"""Parameters that routes leave without words. Of those of a path that are an id, the name is enough."""
_SENTENCE: Final = re.compile(r"(?<=[.:])\s|\n")
"""Where the first sentence of a description ends."""
_VERSION: Final = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "Pins what the answer looks like to that of a day. This contract describes the newest version;"
    " /docs/versions tells how older ones differ.",
    "schema": {"type": "string", "enum": [NEWEST.name]},
    "example": NEWEST.name,
}
_VERSION_SHOWN: Final = {"description": "The version of the answer.", "schema": {"type": "string", "format": "date"}}
_PERMISSION: Final = {
    "public": "Anybody.",
    "signed_in": "Anybody who is signed in.",
    "platform.read": "The platform's operators and support.",
    "platform.manage": "The platform's operators.",
}
_DECISIONS: Final = ("/v1/dead-letters", "/v1/replays")
"""Writes that are no commands: they are answered at once, and never with 202."""
_OAUTH: Final = "/oauth2/"
"""Endpoints with forms and answers of OAuth's own."""
_RETRY_AFTER: Final = {"description": "Seconds until it is worth another try.", "schema": {"type": "integer"}}
_SUCCESS: Final = {"200": "OK", "201": "Created", "202": "Accepted", "204": "Done; there is no body"}


def describe(app: FastAPI, routers: list[APIRouter], public_url: str) -> None:
    """Makes `app.openapi()` the complete contract. It is built when it is first asked for."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _build(app, routers, public_url)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the document


def api_routes(routers: list[APIRouter]) -> Iterator[APIRoute]:
    """Every route of the API."""
    for router in routers:
        for route in router.routes:
            if isinstance(route, APIRoute):
                yield route


def declaration_of(route: APIRoute) -> Declaration | None:
    """What the route asks of its caller; None for a route that declares nothing."""
    waiting = list(route.dependant.dependencies)
    while waiting:
        dependant = waiting.pop()
        if isinstance(dependant.call, Public | SignedIn | Staff | Needs):
            return dependant.call
        waiting.extend(dependant.dependencies)
    return None


def open_paths(routers: list[APIRouter]) -> frozenset[str]:
    """What pages of all sites may read: the contract itself, and the routes that say so."""
    declared = ((route.path, declaration_of(route)) for route in api_routes(routers))
    return frozenset({"/openapi.json"} | {path for path, by in declared if isinstance(by, Public) and by.any_origin})


def _build(app: FastAPI, routers: list[APIRouter], public_url: str) -> dict[str, Any]:
    document = get_openapi(
        title="ProgNetwork",
        version=app.version,
        description=_DESCRIPTION,
        routes=[route for router in routers for route in router.routes],
        tags=_TAGS,
        servers=[{"url": public_url.rstrip("/")}],
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    document["components"]["securitySchemes"] = _SCHEMES
    _add_schema(document["components"]["schemas"], "Problem", Problem)
    _add_schema(document["components"]["schemas"], "ScimError", ScimError)
    for route in api_routes(routers):
        for method in route.methods or ():
            operation = document["paths"].get(route.path_format, {}).get(method.lower())
            if operation is not None:
                _complete(operation, route, method)
    _drop_default_errors(document)
    add_examples(document)
    return document


def _complete(operation: dict[str, Any], route: APIRoute, method: str) -> None:
    declared = declaration_of(route)
    permission = declared.permission if declared is not None else "public"
    operation["operationId"] = route.name
    operation["summary"] = _SENTENCE.split(operation["description"], maxsplit=1)[0].rstrip(".:")
    for status, response in operation["responses"].items():
        if response["description"] == "Successful Response":
            response["description"] = _SUCCESS.get(status, "Done")
    operation["security"] = _security(declared)
    operation["x-permission"] = permission
    operation["x-impersonation"] = "allowed" if declared is None or declared.impersonated else "refused"
    operation["x-permission-text"] = _PERMISSION.get(permission) or f"Members whose role allows `{permission}`."
    parameters = operation.setdefault("parameters", [])
    for parameter in parameters:
        if "description" not in parameter:
            parameter["description"] = _PARAMETERS.get(parameter["name"]) or _id_of(parameter["name"])
    if isinstance(declared, Staff | Needs) and declared.place == "header":
        parameters.append(_TENANT)
    scim = route.path_format.startswith(SCIM_PREFIX)
    writes = method in ("POST", "PATCH", "PUT", "DELETE")
    if writes and not scim and not route.path_format.startswith(_OAUTH):
        _complete_write(operation, (method, route.path_format), parameters)
    _complete_problems(operation, permission)
    if scim:
        _speak_scim(operation)
    if route.path_format.startswith("/v1/"):
        parameters.append(_VERSION)
        operation["responses"].setdefault("400", _problem_responses(400)["400"])
        for response in operation["responses"].values():
            response["headers"] = {**response.get("headers", {}), HEADER: _VERSION_SHOWN}


def _id_of(name: str) -> str:
    return f"The id of the {name.removesuffix('_id').replace('_', ' ')}."


def _security(declared: Declaration | None) -> list[dict[str, list[str]]]:
    """Which credentials an operation takes. With an API key, the scope that it must have."""
    if declared is None or isinstance(declared, Public):
        return []
    people: list[dict[str, list[str]]] = [{"bearer": []}, {"session": []}]
    if not (isinstance(declared, Needs) and declared.keys):
        return people
    return [*people, {"api_key": [declared.action]}, {"client": [declared.action]}]


def _complete_write(operation: dict[str, Any], identity: tuple[str, str], parameters: list[Any]) -> None:
    if identity not in UNAWAITED:
        parameters.append(_PREFER)
    if identity[0] == "POST":
        parameters.append({**_KEY, "required": identity in MOVES_MONEY})
        operation["responses"].update(_problem_responses(400, 409, 422))
    operation["responses"].update(_problem_responses(413, 415, 503))
    if identity not in UNDEFERRABLE | UNAWAITED and not identity[1].startswith(_DECISIONS):
        operation["responses"]["202"] = {
            "description": "Accepted: it goes on, and the operation tells when it is done",
            "headers": {"Location": {"description": "The operation's address.", "schema": {"type": "string"}}},
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/OperationResource"}}},
        }


def _complete_problems(operation: dict[str, Any], permission: str) -> None:
    if permission != "public":
        operation["responses"].update(_problem_responses(401))
    operation["responses"]["429"] = {**_problem_responses(429)["429"], "headers": {"Retry-After": _RETRY_AFTER}}
    operation["responses"]["default"] = {"description": "Any other problem", "content": PROBLEM_CONTENT}


def _problem_responses(*statuses: int) -> dict[str, Any]:
    return {str(status): described for status, described in problems(*statuses).items()}


def _add_schema(schemas: dict[str, Any], name: str, model: type[BaseModel]) -> None:
    """The model of all errors; routes only refer to it, for each mention would cost a validator at start."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs", {}))
    schemas[name] = schema


def _speak_scim(operation: dict[str, Any]) -> None:
    """What SCIM answers with has its media type, and errors have its form. What is wrong with a body is a 400."""
    operation["responses"].pop("422", None)
    operation["responses"].update(_problem_responses(400, 403, 404))
    for status, response in operation["responses"].items():
        if status == "default" or status >= "400":
            schema = {"$ref": "#/components/schemas/ScimError"}
            response["content"] = {SCIM_TYPE: {"schema": schema, "example": scim_example(status)}}
        elif status in ("200", "201"):
            response["content"] = {SCIM_TYPE: {"schema": {"type": "object"}, **response["content"].get(SCIM_TYPE, {})}}


def _drop_default_errors(document: dict[str, Any]) -> None:
    """FastAPI's own error model never leaves this server."""
    for path in document["paths"].values():
        for operation in path.values():
            for status, response in list(operation["responses"].items()):
                if "HTTPValidationError" in str(response):
                    operation["responses"][status] = _problem_responses(422)["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
