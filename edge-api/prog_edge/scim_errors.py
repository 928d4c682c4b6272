"""Errors in SCIM's form (RFC 7644, section 3.12), below the one prefix where the edge speaks SCIM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
from pydantic import BaseModel, Field
from starlette.responses import Response

PREFIX: Final = "/scim/v2"
MEDIA_TYPE: Final = "application/scim+json"
SCHEMA: Final = "urn:ietf:params:scim:api:messages:2.0:Error"

TYPES: Final[Mapping[str, str]] = {
    "invalid": "invalidValue",
    "invalid_filter": "invalidFilter",
    "invalid_path": "invalidPath",
    "invalid_syntax": "invalidSyntax",
    "invalid_value": "invalidValue",
    "malformed_json": "invalidSyntax",
    "mutability": "mutability",
    "no_target": "noTarget",
    "too_many": "tooMany",
    "uniqueness": "uniqueness",
}
_STATUSES: Final[Mapping[str, int]] = {
    "uniqueness": 409,
    "idempotency_key_in_use": 409,
    "version_mismatch": 412,
    "too_large": 413,
}


class ScimError(BaseModel):
    """An error of SCIM (RFC 7644, section 3.12)."""

    schemas: list[str] = Field(examples=[[SCHEMA]])
    status: str = Field(description="The HTTP status, as a text.", examples=["409"])
    scim_type: str | None = Field(
        None, alias="scimType", description="The standard's word for it.", examples=["uniqueness"]
    )
    detail: str = Field(description="What is wrong, for people.")


def scim_error(status: int, code: str, detail: str, *, headers: Mapping[str, str]) -> Response:
    """An error of the platform as a SCIM client knows it.

    409 is what a client takes for an entry that is there already, so what the tenant's state does not allow (no seat
    left, the last owner) is 403.
    """
    if status == 422:
        status = 400
    if status == 409:
        status = 403
    status = _STATUSES.get(code, status)
    body = error_body(status, code, detail)
    return Response(orjson.dumps(body), status, headers=dict(headers), media_type=MEDIA_TYPE)


def error_body(status: int, code: str, detail: str) -> dict[str, Any]:
    """How an error with this status looks; `scimType` is there where the standard has a word for the code."""
    scim_type = {"scimType": TYPES[code]} if code in TYPES else {}
    return {"schemas": [SCHEMA], "status": str(status), **scim_type, "detail": detail}
