"""What the API's contract says of SCIM's bodies and parameters, which FastAPI does not read for us.

The published schemas (`/scim/v2/Schemas`) say all of it; here is what every client sends, so that one can see it beside
the rest of the API.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from prog_contracts.scim import OPERATIONS_MAX, TEXT_MAX_LENGTH
from prog_edge.scim_errors import MEDIA_TYPE, PREFIX

_TEXT: Final = {"type": "string", "minLength": 1, "maxLength": TEXT_MAX_LENGTH}
_USER: Final = "urn:ietf:params:scim:schemas:core:2.0:User"
_GROUP: Final = "urn:ietf:params:scim:schemas:core:2.0:Group"
_PATCH: Final = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
_LIST: Final = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
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

_BASE: Final = f"https://app.example.com{PREFIX}"
_USER_ID: Final = "diruser_01jd7z4c8nf3ktv9q2m6x0r5we"
_GROUP_ID: Final = "dirgroup_01jd7z4c8nf3ktv9q2m6x0r5we"


def _described(kind: str, place: str) -> dict[str, str]:
    return {"resourceType": kind, "location": f"{_BASE}/{place}"}


def _meta(kind: str, place: str) -> dict[str, str]:
    times = {"created": "2027-01-31T09:00:00Z", "lastModified": "2027-01-31T09:00:00Z"}
    return {**_described(kind, place), **times, "version": 'W/"1"'}


_USER_SENT: Final = {
    "userName": "ada@example.com",
    "externalId": "00u1a2b3c4",
    "active": True,
    "name": {"givenName": "Ada", "familyName": "Lovelace"},
    "emails": [{"value": "ada@example.com", "type": "work", "primary": True}],
}
_GROUP_SENT: Final = {"displayName": "Engineering", "members": [{"value": _USER_ID}]}
_USER_SHOWN: Final = {"schemas": [_USER], "id": _USER_ID, **_USER_SENT, "meta": _meta("User", f"Users/{_USER_ID}")}
_GROUP_SHOWN: Final = {
    "schemas": [_GROUP],
    "id": _GROUP_ID,
    "displayName": "Engineering",
    # Without the `$ref` that answers have as well: tools would look for it in the contract.
    "members": [{"value": _USER_ID, "type": "User"}],
    "meta": _meta("Group", f"Groups/{_GROUP_ID}"),
}


def answered(example: Mapping[str, Any], status: int = 200) -> dict[str, Any]:
    """What an answer looks like."""
    return {"responses": {str(status): {"content": {MEDIA_TYPE: {"example": example}}}}}


def answered_with_list(example: Mapping[str, Any]) -> dict[str, Any]:
    """What a list looks like that has this one entry."""
    page = {"schemas": [_LIST], "totalResults": 1, "startIndex": 1, "itemsPerPage": 1, "Resources": [example]}
    return answered(page)


_LISTING: Final[dict[str, Any]] = {
    "parameters": [
        _query(
            "filter",
            "A filter of RFC 7644, section 3.4.2.2. What would read all of a large directory is answered with tooMany.",
            example='userName eq "ada@example.com"',
        ),
        _query("sortBy", "The attribute to sort by.", example="userName"),
        _query("sortOrder", "Which way to sort; ascending by default.", enum=["ascending", "descending"]),
        _query("startIndex", "The first of the page, from 1.", type="integer"),
        _query("count", "How many, at most 200.", type="integer"),
        *_ATTRIBUTES,
    ]
}
_SEARCHING: Final[dict[str, Any]] = {
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
_USER_TAKEN: Final[dict[str, Any]] = {
    "parameters": _ATTRIBUTES,
    "requestBody": _taken(
        _USER,
        {"userName": _TEXT},
        ["userName"],
        _USER_SENT,
    ),
}
_GROUP_TAKEN: Final[dict[str, Any]] = {
    "parameters": _ATTRIBUTES,
    "requestBody": _taken(
        _GROUP,
        {"displayName": _TEXT},
        ["displayName"],
        _GROUP_SENT,
    ),
}
DELETE: Final[dict[str, Any]] = {"parameters": [_MATCH]}
_CHANGING: Final[dict[str, Any]] = {
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

LIST_USERS: Final = _LISTING | answered_with_list(_USER_SHOWN)
LIST_GROUPS: Final = _LISTING | answered_with_list(_GROUP_SHOWN)
SEARCH_USERS: Final = _SEARCHING | answered_with_list(_USER_SHOWN)
SEARCH_GROUPS: Final = _SEARCHING | answered_with_list(_GROUP_SHOWN)
READ_USER: Final = {"parameters": _ATTRIBUTES} | answered(_USER_SHOWN)
READ_GROUP: Final = {"parameters": _ATTRIBUTES} | answered(_GROUP_SHOWN)
NEW_USER: Final = _USER_TAKEN | answered(_USER_SHOWN, 201)
NEW_GROUP: Final = _GROUP_TAKEN | answered(_GROUP_SHOWN, 201)
PUT_USER: Final = _USER_TAKEN | {"parameters": [_MATCH, *_ATTRIBUTES]} | answered(_USER_SHOWN)
PUT_GROUP: Final = _GROUP_TAKEN | {"parameters": [_MATCH, *_ATTRIBUTES]} | answered(_GROUP_SHOWN)
PATCH_USER: Final = _CHANGING | answered(_USER_SHOWN)
PATCH_GROUP: Final = _CHANGING | answered(_GROUP_SHOWN)

CONFIGURATION: Final = {
    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
    "patch": {"supported": True},
    "bulk": {"supported": False, "maxOperations": 0, "maxPayloadSize": 0},
    "filter": {"supported": True, "maxResults": 200},
    "changePassword": {"supported": False},
    "sort": {"supported": True},
    "etag": {"supported": True},
    "authenticationSchemes": [
        {
            "type": "oauthbearertoken",
            "name": "API key",
            "description": "An API key of the tenant with the scope scim.manage, sent as a bearer token.",
            "primary": True,
        }
    ],
    "meta": _described("ServiceProviderConfig", "ServiceProviderConfig"),
}
RESOURCE_TYPE: Final = {
    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
    "id": "Group",
    "name": "Group",
    "description": "Group",
    "endpoint": "/Groups",
    "schema": _GROUP,
    "meta": _described("ResourceType", "ResourceTypes/Group"),
}
SCHEMA: Final = {
    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
    "id": _GROUP,
    "name": "Group",
    "description": "Group",
    "attributes": [
        {
            "name": "displayName",
            "type": "string",
            "multiValued": False,
            "required": True,
            "caseExact": False,
            "mutability": "readWrite",
            "returned": "default",
            "uniqueness": "none",
        }
    ],
    "meta": _described("Schema", f"Schemas/{_GROUP}"),
}
