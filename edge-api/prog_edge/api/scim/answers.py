"""Users and groups as SCIM writes them, and what a client may say about how it wants them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

import orjson
from pydantic import BaseModel, ValidationError
from scim2_models import (
    Context,
    ListResponse,
    Resource,
    ResponseParameters,
    SCIMException,
    SearchRequest,
)
from starlette.requests import Request
from starlette.responses import Response

from prog_contracts.errors import Invalid
from prog_contracts.scim import POLICY, FullUser, Group
from prog_edge import texts
from prog_edge.context import context_of
from prog_edge.problems import Refused
from prog_edge.scim_errors import MEDIA_TYPE, PREFIX
from prog_workers.tenants.queries.directory import EntryRow, Kind

M = TypeVar("M", bound=BaseModel)

ENDPOINTS: Final[Mapping[Kind, str]] = {"User": "Users", "Group": "Groups"}
PAGE_SIZE: Final = 100
PAGE_SIZE_MAX: Final = 200
_MODELS: Final[Mapping[Kind, Any]] = {"User": FullUser, "Group": Group}
_SEARCHES: Final[Mapping[Kind, Any]] = {"User": SearchRequest[FullUser], "Group": SearchRequest[Group]}
_PARTS: Final[Mapping[Kind, Any]] = {"User": ResponseParameters[FullUser], "Group": ResponseParameters[Group]}
_RELATED: Final[Mapping[Kind, str]] = {"User": "groups", "Group": "members"}
_PARAMETERS: Final = ("attributes", "excludedAttributes")
_SEARCH: Final = (*_PARAMETERS, "filter", "sortBy", "sortOrder", "startIndex", "count")
_BODIES: Final = ("application/json", MEDIA_TYPE)
_TAG: Final = re.compile(r'\s*(?:[Ww]/)?"([^"]*)"\s*(?:,|$)|\s*(\*)\s*$')
_CAPITAL: Final = re.compile(r"(?<!^)(?=[A-Z])")
_PARAMETER_LENGTH: Final = 4096
_INDEX_MAX: Final = 2**31 - 1
_OF_A_USER: Final = {"type": "User"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a client wants to see of an entry."""

    kind: Kind
    parameters: ResponseParameters[Any]

    @property
    def related(self) -> bool:
        """Whether the groups of a user, or the members of a group, are to be read at all."""
        name = _RELATED[self.kind]
        only = [str(path).lower() for path in self.parameters.attributes or ()]
        never = [str(path).lower() for path in self.parameters.excluded_attributes or ()]
        named = any(name in path for path in only) if only else True
        return named and not any(path.rpartition(":")[2] == name for path in never)


def base_of(request: Request) -> str:
    return context_of(request.scope).public_url + PREFIX


def wanted_of(request: Request, kind: Kind) -> Wanted:
    """Which attributes a request asks for. Raises Invalid."""
    asked = {name: request.query_params[name] for name in _PARAMETERS if name in request.query_params}
    return Wanted(kind, checked(lambda: _PARTS[kind].model_validate(_short(asked))))


def search_in_query(request: Request, kind: Kind) -> SearchRequest[Any]:
    """The search of a GET. Raises Invalid."""
    asked = {name: request.query_params[name] for name in _SEARCH if name in request.query_params}
    return search_in(kind, _short(asked))


def search_in(kind: Kind, asked: Mapping[str, Any]) -> SearchRequest[Any]:
    """The search that these parameters, or the body of a `.search`, ask for. Raises Invalid."""

    search: SearchRequest[Any] = checked(lambda: _SEARCHES[kind].model_validate(asked, scim_ctx=Context.SEARCH_REQUEST))
    if (search.start_index or 1) > _INDEX_MAX:
        raise Invalid("startIndex: nothing has so many entries.", code="invalid_value")
    return search


async def body_of(request: Request) -> dict[str, Any]:
    """The JSON object of a request. Raises Refused for what is none, Invalid for one that nothing can store."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type and media_type not in _BODIES:
        detail = f"SCIM takes {MEDIA_TYPE} and application/json, not {media_type[:100]}."
        raise Refused(415, "unsupported_media_type", detail)
    try:
        body = orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise Refused(400, "malformed_json", f"The body is not JSON: {error.msg[:100]}.") from None
    if not isinstance(body, dict):
        raise Refused(400, "malformed_json", "The body is one JSON object.")
    texts.check(body)
    return body


def versions_in(header: str | None) -> tuple[str, ...] | None:
    """The versions that `If-Match` or `If-None-Match` list; SCIM compares weak ones, too. None for no header."""
    if header is None:
        return None
    return tuple(tag or star for tag, star in _TAG.findall(header))


def shown(request: Request, kind: Kind, row: EntryRow, wanted: Wanted, status: int = 200) -> Response:
    """An entry as the answer."""
    headers = {"ETag": tag_of(row), "Location": location_of(request, kind, row.id)}
    body = _written(request, kind, row).model_dump(
        scim_ctx=Context.RESOURCE_QUERY_RESPONSE, response_parameters=wanted.parameters
    )
    return Response(orjson.dumps(body), status, headers, media_type=MEDIA_TYPE)


def listed(request: Request, kind: Kind, total: int, rows: list[EntryRow], search: SearchRequest[Any]) -> Response:
    """One page of entries as the answer."""
    resources = [
        _written(request, kind, row).model_dump(scim_ctx=Context.RESOURCE_QUERY_RESPONSE, response_parameters=search)
        for row in rows
    ]
    return plain(list_of(resources, total, search.start_index or 1))


def list_of(resources: list[dict[str, Any]], total: int, start_index: int = 1) -> dict[str, Any]:
    return {
        "schemas": [str(ListResponse.__schema__)],
        "totalResults": total,
        "startIndex": start_index,
        "itemsPerPage": len(resources),
        "Resources": resources,
    }


def plain(body: Mapping[str, Any]) -> Response:
    return Response(orjson.dumps(body), media_type=MEDIA_TYPE)


def tag_of(row: EntryRow) -> str:
    return f'W/"{row.version}"'


def location_of(request: Request, kind: Kind, entry_id: str) -> str:
    return f"{base_of(request)}/{ENDPOINTS[kind]}/{entry_id}"


def checked(read: Any) -> Any:
    """What `read` makes of a request. Raises Invalid in the words of SCIM's error types."""
    try:
        with POLICY:
            return read()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        scim_type = str((first.get("ctx") or {}).get("scim_type") or "invalidValue")
        place = ".".join(str(part) for part in first["loc"])[:100]
        raise Invalid(f"{place}: {first['msg']}"[:300], code=_slug(scim_type)) from error
    except SCIMException as error:
        raise Invalid(error.detail[:300], code=_slug(error.scim_type)) from error


def _written(request: Request, kind: Kind, row: EntryRow) -> Resource[Any]:
    meta = {
        "resourceType": kind,
        "created": row.created_at,
        "lastModified": row.updated_at,
        "version": tag_of(row),
        "location": location_of(request, kind, row.id),
    }
    other: Kind = "Group" if kind == "User" else "User"
    related = [
        {"value": value, "$ref": location_of(request, other, value), **({"display": name} if name else _OF_A_USER)}
        for value, name in row.related
    ]
    body = {**row.resource, "id": row.id, "meta": meta, _RELATED[kind]: related or None}
    return cast("Resource[Any]", _MODELS[kind].model_validate(body))


def _short(asked: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in asked.items():
        if len(value) > _PARAMETER_LENGTH:
            raise Invalid(f"{name} has at most {_PARAMETER_LENGTH} characters.", code="too_many")
        if not texts.is_clean(value):
            raise Invalid(f"{name} holds a character that nothing stored can have.", code="invalid_value")
    return asked


def _slug(scim_type: str) -> str:
    return _CAPITAL.sub("_", scim_type).lower() or "invalid_value"
