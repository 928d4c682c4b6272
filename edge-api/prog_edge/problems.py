"""Errors on the wire: RFC 9457 problem documents, and the one place that knows HTTP statuses.

The error tree in contracts has kinds; here a kind becomes a status. Refusals that only HTTP knows (a body that is too
large, a wrong content type, a key that is in use) are `Refused`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import orjson
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from prog_contracts.errors import FieldError, ProgError, Unavailable
from prog_edge.context import RequestContext
from prog_edge.scim_errors import scim_error

MEDIA_TYPE: Final = "application/problem+json"

STATUS_OF_KIND: Final = {"invalid": 422, "denied": 403, "not_found": 404, "conflict": 409, "unavailable": 503}
_STATUS_OF_CODE: Final = {
    # Denials that signing in (again) would mend.
    "unauthenticated": 401,
    "invalid_credentials": 401,
    "session_ended": 401,
    "invalid_code": 401,
    "invalid_passkey": 401,
    "passkey_challenge_over": 401,
    "sign_in_over": 401,
    # Not now, because of how much is asked for.
    "overloaded": 429,
    "too_many_in_flight": 429,
    "rate_limited": 429,
    "too_many_attempts": 429,
    # Somebody else was first.
    "version_mismatch": 412,
}
_TITLES: Final = {
    "invalid": "The request is not valid",
    "denied": "Not allowed",
    "unauthenticated": "Sign in first",
    "not_found": "Not found",
    "export_too_large": "More than a file may have here",
    "too_many_tenants": "As many tenants as one person may have",
    "conflict": "Not possible in the present state",
    "unavailable": "Not available right now",
    "overloaded": "Too much to do right now",
    "too_many_in_flight": "Too many requests at once",
    "rate_limited": "Too many requests",
    "too_many_attempts": "Too many attempts",
    "insufficient_scope": "Not among the scopes of this API key or client",
    "not_for_api_keys": "Not for API keys or clients",
    "not_while_impersonating": "Not in somebody else's name",
    "api_key_text_lost": "The API key was made, and its text was lost",
    "client_secret_lost": "The secret was made, and its text was lost",
    "version_mismatch": "Changed meanwhile",
    "precondition_required": "Say what it was made from",
    "internal": "Something broke on our side",
}


class Problem(BaseModel):
    """A problem document. `code` is a stable slug for programs, `detail` is for people."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "http://127.0.0.1:8000/docs/errors#invalid",
                    "title": "The request is not valid",
                    "status": 422,
                    "detail": "The field name is required.",
                    "code": "invalid",
                    "errors": [{"field": "name", "code": "required", "message": "This field is required."}],
                    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
                }
            ]
        }
    )

    type: str = Field(description="Address of the description of this kind of problem.")
    title: str = Field(description="What kind of problem it is, in a few words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened here, and the remedy where there is one.")
    code: str = Field(description="Stable slug for programs.")
    errors: list[FieldError] = Field(description="What is wrong with single fields of the input.")
    trace_id: str | None = Field(description="Finds the request in logs and traces.")


class Refused(Exception):
    """A refusal that only HTTP knows. `status` is the answer's; `headers` go along."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        fields: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.fields = tuple(fields)
        self.headers = dict(headers or {})


class TooMuch(Unavailable):
    """More is asked for than is taken at the moment; nothing was done. Answered with 429."""

    def __init__(self, message: str, *, code: str, retry_after_seconds: int) -> None:
        super().__init__(message, code=code)
        self.retry_after_seconds = retry_after_seconds


def status_of(error: ProgError) -> int:
    """The HTTP status that an error of the tree is answered with."""
    return _STATUS_OF_CODE.get(error.code, STATUS_OF_KIND[error.kind])


def title_of(code: str) -> str:
    """A few words for a code; a slug without words of its own is spelled out."""
    return _TITLES.get(code) or code.replace("_", " ").capitalize()


def problem(
    context: RequestContext,
    status: int,
    code: str,
    detail: str,
    *,
    fields: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The problem as a response; notes the code for the access log."""
    context.code = code
    if context.speaks_scim:
        return scim_error(status, code, detail, headers=_headers(status, headers))
    body: dict[str, Any] = {
        "type": f"{context.public_url}/docs/errors#{code}",
        "title": title_of(code),
        "status": status,
        "detail": detail,
        "code": code,
        "errors": [{"field": item.field, "code": item.code, "message": item.message} for item in fields],
        "trace_id": context.trace_id,
    }
    response = Response(orjson.dumps(body), status, media_type=MEDIA_TYPE)
    for name, value in _headers(status, headers).items():
        response.headers[name] = value
    return response


def problem_of(context: RequestContext, error: ProgError) -> Response:
    """The problem that stands for an error of the tree."""
    headers = {"Retry-After": str(error.retry_after_seconds)} if isinstance(error, TooMuch) else None
    return problem(context, status_of(error), error.code, error.message, fields=error.fields, headers=headers)


def default_code(status: int) -> str:
    """A slug for a bare status, such as `method_not_allowed`."""
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.SERVICE_UNAVAILABLE:
        return "internal"
    try:
        return HTTPStatus(status).phrase.lower().replace(" ", "_").replace("-", "_")
    except ValueError:
        return "error"


def _headers(status: int, headers: Mapping[str, str] | None) -> dict[str, str]:
    result = dict(headers or {})
    if status == HTTPStatus.UNAUTHORIZED:
        result.setdefault("WWW-Authenticate", 'Bearer realm="prognetwork"')
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        result.setdefault("Retry-After", "1")
    return result
