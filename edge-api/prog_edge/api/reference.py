"""`/openapi.json`, and the reference at `/docs`: a page made from it, under the strict policy and without a script."""

from __future__ import annotations

import json
import secrets
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson
from fastapi import APIRouter, FastAPI, Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from prog_edge.api.samples import sample, shape
from prog_edge.api.words import breakable, inline, paragraphs
from prog_edge.oauth.asking import MEDIA_TYPE
from prog_edge.problems import title_of
from prog_edge.versions.table import HEADER, NEWEST, VERSIONS

router = APIRouter(include_in_schema=False)

_TEMPLATES: Final = Path(__file__).parent / "templates"
_KNOWN_CODES: Final = (
    ("invalid", 422, "A field of the input is wrong. `errors` names each with a code of its own."),
    ("malformed_json", 400, "The body cannot be read as JSON."),
    ("unauthenticated", 401, "No credential was sent, or one that is not good any more. Sign in again."),
    ("invalid_credentials", 401, "The address or the password is wrong."),
    ("session_ended", 401, "The session is over. Sign in again."),
    ("email_unverified", 403, "The address has to be verified first, with the link in the mail."),
    ("fresh_sign_in_required", 403, "This needs a sign-in of the last ten minutes: sign in again, then repeat it."),
    ("denied", 403, "The caller's role does not allow this."),
    ("csrf", 403, "A session cookie needs the form token of its page in X-CSRF-Token."),
    ("tenant_required", 400, "The caller has several tenants, or none: Prog-Tenant says which one is meant."),
    ("tenant_invalid", 400, "Prog-Tenant is not the id of a tenant."),
    ("version_unknown", 400, "Prog-Version is not one of the API's versions; the page about versions lists them."),
    ("not_found", 404, "There is no such thing, or none that the caller may know of."),
    ("method_not_allowed", 405, "The address does not answer that method."),
    ("conflict", 409, "The present state of the thing does not allow this."),
    (
        "too_many_tenants",
        409,
        "The person has as many tenants as one may have. Delete one, hand one over, or ask whoever runs the platform.",
    ),
    ("export_too_large", 409, "There is more than an export may have. Ask whoever runs the platform to allow more."),
    ("idempotency_key_required", 400, "Requests that move money need an Idempotency-Key."),
    ("idempotency_key_invalid", 400, "A key has 1 to 255 printable ASCII characters."),
    ("idempotency_key_in_use", 409, "The first request with this key is still running. Retry after a moment."),
    ("idempotency_key_reused", 422, "The key was used with another body."),
    ("content_too_large", 413, "A body may have 1 MiB at most."),
    ("request_timeout", 408, "The body did not arrive in time: 30 seconds for all of it."),
    ("unsupported_media_type", 415, "The API takes application/json."),
    ("overloaded", 429, "So much waits that new writes are refused. Nothing was done; retry after Retry-After."),
    ("too_many_in_flight", 429, "The tenant has many requests at work. Wait for their answers, then go on."),
    ("rate_limited", 429, "The client asks more often than it may. Wait for the seconds of Retry-After."),
    ("too_many_attempts", 429, "Sign-in failed too often. Wait for the seconds of Retry-After, or set a new password."),
    ("unavailable", 503, "Something that is needed does not answer. Retry after the time in Retry-After."),
    (
        "answer_timeout",
        504,
        "The answer took longer than 65 seconds and was given up. What was asked for may be done yet.",
    ),
    ("internal", 500, "Our fault. The trace id finds it in our logs."),
)


@router.get("/openapi.json")
async def openapi_document(request: Request) -> Response:
    """The contract as OpenAPI 3.1."""
    return Response(orjson.dumps(request.app.openapi()), media_type="application/json")


@router.get("/docs")
async def reference(request: Request) -> Response:
    """The reference of the API."""
    return _page("reference.html", **_contents(request.app))


@router.get("/docs/errors")
async def errors(_: Request) -> Response:
    """The problems that the API answers with; their `type` points here."""
    rows = [
        {"code": code, "status": status, "title": title_of(code), "text": text} for code, status, text in _KNOWN_CODES
    ]
    return _page("errors.html", problems=rows)


@router.get("/docs/versions")
async def versions(_: Request) -> Response:
    """The versions of the API; the `Link` of answers in a deprecated one points here."""
    return _page("versions.html", header=HEADER, newest=NEWEST, versions=list(reversed(VERSIONS)))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(inline=inline, paragraphs=paragraphs, breakable=breakable)
    return environment


def _page(template: str, **values: Any) -> HTMLResponse:
    nonce = secrets.token_urlsafe(16)
    html = _environment().get_template(template).render(nonce=nonce, **values)
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return HTMLResponse(html, headers={"Content-Security-Policy": policy})


def _contents(app: FastAPI) -> dict[str, Any]:
    """What the template shows: the document's groups, each with its operations."""
    found = getattr(app.state, "reference", None)
    if found is None:
        document = app.openapi()
        groups = [{**tag, "operations": _operations(document, tag["name"])} for tag in document["tags"]]
        found = {"document": document, "groups": [group for group in groups if group["operations"]]}
        app.state.reference = found
    contents: dict[str, Any] = found
    return contents


def _operations(document: dict[str, Any], tag: str) -> list[dict[str, Any]]:
    return [
        _operation(document, method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if tag in operation.get("tags", ())
    ]


def _operation(document: dict[str, Any], method: str, path: str, operation: dict[str, Any]) -> dict[str, Any]:
    schemas = document["components"]["schemas"]
    body = _schema(operation.get("requestBody", {}))
    answers = [
        {
            "status": status,
            "description": response["description"],
            "sample": _json(sample(schema, schemas)) if (schema := _schema(response)) and status < "300" else None,
        }
        for status, response in sorted(operation["responses"].items())
        if status != "default"
    ]
    text = operation.get("description") or operation.get("summary", "")
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "text": text,
        "permission": operation["x-permission-text"],
        "parameters": [_parameter(item) for item in operation.get("parameters", ())],
        "fields": shape(body, schemas) if body else [],
        "curl": _curl(document["servers"][0]["url"], method, path, operation, body and sample(body, schemas)),
        "answers": answers,
    }


def _schema(part: dict[str, Any]) -> dict[str, Any] | None:
    for content in part.get("content", {}).values():
        schema: dict[str, Any] | None = content.get("schema")
        return schema
    return None


def _parameter(item: dict[str, Any]) -> dict[str, Any]:
    schema = item["schema"]
    return {
        "name": item["name"],
        "place": item["in"],
        "required": item.get("required", False),
        "text": item.get("description") or schema.get("description", ""),
    }


def _curl(server: str, method: str, path: str, operation: dict[str, Any], body: Any) -> str:
    lines = [f"curl {server}{path}" if method == "get" else f"curl -X {method.upper()} {server}{path}"]
    if operation["security"]:
        lines.append('-H "Authorization: Bearer $TOKEN"')
    if any(item["name"] == "Idempotency-Key" and item["required"] for item in operation.get("parameters", ())):
        lines.append('-H "Idempotency-Key: $(uuidgen)"')
    if MEDIA_TYPE in operation.get("requestBody", {}).get("content", {}):
        lines += ['-u "$CLIENT_ID:$CLIENT_SECRET"', *(f"-d {name}={value}" for name, value in body.items())]
    elif body is not None:
        lines += ['-H "Content-Type: application/json"', f"-d '{json.dumps(body, ensure_ascii=False)}'"]
    return " \\\n  ".join(lines)


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
