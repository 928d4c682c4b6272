"""Examples for the contract: a body for each request, and one for each answer, the problems among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from prog_edge.api.samples import sample
from prog_edge.problems import MEDIA_TYPE, title_of
from prog_edge.scim_errors import error_body

TRACE_ID: Final = "4bf92f3577b34da6a3ce929d0e0e4736"

PROBLEMS: Final[Mapping[int, tuple[tuple[str, str], ...]]] = {
    400: (
        ("malformed_json", "The body is no JSON."),
        ("version_unknown", "Prog-Version is one of the API's versions: 2026-09-01, 2026-11-26."),
    ),
    401: (("unauthenticated", "The access token has expired."),),
    403: (("denied", "The role viewer does not allow this (tenant.update)."),),
    404: (("not_found", "There is no such tenant."),),
    409: (("conflict", "The tenant is suspended: nothing can be changed in it."),),
    413: (("content_too_large", "The body may have 1048576 bytes at most."),),
    415: (("unsupported_media_type", "This API takes application/json, not text/plain."),),
    422: (("invalid", "The field name is required."),),
    429: (("rate_limited", "1200 requests in 60 seconds are the limit here; wait a little."),),
    503: (("unavailable", "The platform cannot take requests at the moment; try again."),),
}
"""What problems of a status look like, by code. Each code is described at /docs/errors."""

_SCIM_ERRORS: Final[Mapping[str, tuple[int, str, str]]] = {
    "400": (400, "invalid_filter", "The filter cannot be read."),
    "401": (401, "unauthenticated", "The API key is not good any more."),
    "403": (403, "denied", "The key's scopes do not allow this (scim.manage)."),
    "404": (404, "not_found", "There is no such user."),
    "429": (429, "rate_limited", "1200 requests in 60 seconds are the limit here; wait a little."),
    "default": (409, "uniqueness", "There is a user with this userName already."),
}
"""What errors of SCIM look like: status, code and words."""

_FIELD_ERROR: Final = {"field": "name", "code": "required", "message": "This field is required."}


_BY_MEDIA_TYPE: Final = {
    "application/pdf": "%PDF-1.7 …",
    "application/zip": "PK\x03\x04 …",
    "text/csv": "id,occurred_at\r\n01932b4e-8f00-7c3a-9d2e-5a1b2c3d4e5f,2027-01-31T09:00:00Z\r\n",
    "text/event-stream": "id: 01932b4e-8f00-7c3a-9d2e-5a1b2c3d4e5f\nevent: com.acme.order.placed\ndata: {…}\n\n",
    "text/plain": "prog_http_in_flight 1.0\n",
}


def add_examples(document: dict[str, Any]) -> None:
    """Adds to each content of the document that has none an example that fits its schema."""
    server = document["servers"][0]["url"]
    schemas = document["components"]["schemas"]
    for operation in _operations(document):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            _complete(content, schemas)
        for status, response in operation["responses"].items():
            content = response.get("content", {})
            if MEDIA_TYPE in content:
                response["content"] = {MEDIA_TYPE: {**content[MEDIA_TYPE], "examples": _problems(status, server)}}
                continue
            for media_type, described in content.items():
                if media_type in _BY_MEDIA_TYPE:
                    described["example"] = _BY_MEDIA_TYPE[media_type]
                _complete(described, schemas)


def scim_example(status: str) -> dict[str, Any]:
    """An error of a status in SCIM's form; `default` stands for those that have no status of their own here."""
    return error_body(*_SCIM_ERRORS[status])


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in document["paths"].values():
        yield from methods.values()


def _complete(content: dict[str, Any], schemas: dict[str, Any]) -> None:
    if "schema" in content and "example" not in content and "examples" not in content:
        content["example"] = sample(content["schema"], schemas)


def _problems(status: str, server: str) -> dict[str, Any]:
    """By the code of each; `default` stands for all that have no status of their own here."""
    number = 500 if status == "default" else int(status)
    known = PROBLEMS.get(number, (("internal", "The request failed for a reason that we did not expect."),))
    return {code: {"value": _problem(number, code, detail, server)} for code, detail in known}


def _problem(status: int, code: str, detail: str, server: str) -> dict[str, Any]:
    return {
        "type": f"{server}/docs/errors#{code}",
        "title": title_of(code),
        "status": status,
        "detail": detail,
        "code": code,
        "errors": [_FIELD_ERROR] if code == "invalid" else [],
        "trace_id": TRACE_ID,
    }
