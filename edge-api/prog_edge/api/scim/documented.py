"""What the API's contract says of SCIM's bodies and parameters, which FastAPI does not read for us.

The published schemas (`/scim/v2/Schemas`) say all of it; here is what every client sends, so that one can see it beside
the rest of the API.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from prog_contracts.scim import OPERATIONS_MAX, TEXT_MAX_LENGTH
from prog_edge.scim_errors import MEDIA_TYPE

_TEXT: Final = {"type": "string", "minLength": 1, "maxLength": TEXT_MAX_LENGTH}
_USER: Final = "urn:ietf:params:scim:schemas:core:2.0:User"
_GROUP: Final = "urn:ietf:params:scim:schemas:core:2.0:Group"
_PATCH: Final = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
_SEARCH: Final = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"


def _taken(schema_id: str, properties: Mapping[str, Any], required: list[str], example: Mapping[str, Any]) -> Any:
    schemas = {"type": "array", "items": {"const": schema_id}, "minItems": 1, "maxItems": 1}
    schema = {
        "type": "object",
        "properties": {"schemas": schemas, **properties},
        "required": ["schemas", *required],
        "example": {"schemas": [schema_id], **example},
    }
    return {"required": True, "content": {MEDIA_TYPE: {"schema": schema}}}


def _query(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": {"type": "string", **schema},
    }


_ATTRIBUTES: Final = [
    _query("attributes", "The only attributes to answer with.", example="userName,active"),
    _query("excludedAttributes", "Attributes to leave out.", example="members"),
]
_MATCH: Final = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "Only if the entry still has this version.",
    "schema": {"type": "string"},
    "example": 'W/"3"',
}

READ: Final[dict[str, Any]] = {"parameters": _ATTRIBUTES}
LIST: Final[dict[str, Any]] = {
    "parameters": [
        _query("filter", "A filter of RFC 7644, section 3.4.2.2.", example='userName eq "ada@example.com"'),
        _query("sortBy", "An attribute.", example="userName"),
        _query("sortOrder", "How.", enum=["ascending", "descending"]),
        _query("startIndex", "The first of the page, from 1.", type="integer"),
        _query("count", "How many, at most 200.", type="integer"),
        *_ATTRIBUTES,
    ]
}
SEARCH: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            MEDIA_TYPE: {
                "schema": {
                    "type": "object",
                    "example": {"schemas": [_SEARCH], "filter": 'userName eq "ada@example.com"', "count": 10},
                }
            }
        },
    }
}
NEW_USER: Final[dict[str, Any]] = {
    "parameters": _ATTRIBUTES,
    "requestBody": _taken(
        _USER,
        {"userName": _TEXT},
        ["userName"],
        {
            "userName": "ada@example.com",
            "externalId": "00u1a2b3c4",
            "active": True,
            "name": {"givenName": "Ada", "familyName": "Lovelace"},
            "emails": [{"value": "ada@example.com", "type": "work", "primary": True}],
        },
    ),
}
NEW_GROUP: Final[dict[str, Any]] = {
    "parameters": _ATTRIBUTES,
    "requestBody": _taken(
        _GROUP,
        {"displayName": _TEXT},
        ["displayName"],
        {"displayName": "Engineering", "members": [{"value": "diruser_01jd7z4c8nf3ktv9q2m6x0r5we"}]},
    ),
}
PUT_USER: Final[dict[str, Any]] = NEW_USER | {"parameters": [_MATCH, *_ATTRIBUTES]}
PUT_GROUP: Final[dict[str, Any]] = NEW_GROUP | {"parameters": [_MATCH, *_ATTRIBUTES]}
DELETE: Final[dict[str, Any]] = {"parameters": [_MATCH]}
PATCH: Final[dict[str, Any]] = {
    "requestBody": _taken(
        _PATCH,
        {
            "Operations": {
                "type": "array",
                "minItems": 1,
                "maxItems": OPERATIONS_MAX,
                "items": {
                    "type": "object",
                    "properties": {
                        "op": {"enum": ["add", "replace"]},
                        "path": {"enum": ["externalId"]},
                        "value": _TEXT,
                    },
                    "required": ["op", "path", "value"],
                },
            }
        },
        ["Operations"],
        {"Operations": [{"op": "replace", "path": "externalId", "value": "00u1a2b3c4"}]},
    ),
}
