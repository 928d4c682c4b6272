"""The schema registry: the platform's own messages, and what tenants have registered for their event types."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from prog_contracts import schemas as contracts
from prog_contracts.catalogue import __all__ as _domains  # noqa: F401 - fills the registry
from prog_contracts.errors import FieldError, Invalid, NotFound
from prog_contracts.events import EVENT_TYPE, MAX_EVENT_BYTES, PLATFORM_PREFIX, Compatibility, RegisterSchema
from prog_contracts.messages import Command, all_messages, find
from prog_edge.access import Access, Needs
from prog_edge.api.shapes import Body, Listing, Resource, problems
from prog_edge.writes import Write, perform
from prog_workers.events import queries

router = APIRouter(prefix="/v1/schemas", tags=["Events"])

Reads = Annotated[Access, Depends(Needs("event.read"))]
Manages = Annotated[Access, Depends(Needs("config.update"))]
TypePath = Annotated[str, Path(max_length=100)]


class SchemaSummary(Resource):
    """One version of a type. The platform's own messages are fully compatible with every version before."""

    type: str
    version: int
    kind: Literal["event", "command"]
    owner: Literal["platform", "tenant"]
    tenant_id: str | None
    compatibility: Compatibility = Field(description="What may follow this version, if it is the newest.")
    registered_at: datetime | None
    registered_by: str | None


class SchemaResource(SchemaSummary):
    json_schema: dict[str, Any] = Field(alias="schema", description="JSON Schema, draft 2020-12.")


class Filters(BaseModel):
    model_config = ConfigDict(extra="forbid")

    owner: Literal["platform", "tenant"] | None = None
    type: str | None = Field(None, max_length=100)


class NewSchema(Body):
    type: str = Field(max_length=100, pattern=EVENT_TYPE, examples=["com.acme.order.placed"])
    json_schema: dict[str, Any] = Field(alias="schema", description="JSON Schema, draft 2020-12.")
    compatibility: Compatibility | None = Field(
        None, description="What may follow; as with the version before by default, and BACKWARD at first."
    )


class RegisteredSchema(Resource):
    type: str
    version: int
    compatibility: Compatibility


class SchemaCheck(RegisteredSchema):
    """What registering would do: `version` is the one that it would be, or is already if it is `known`."""

    compatible: bool
    known: bool
    problems: list[FieldError]


@router.get("", responses=problems(400, 401, 404, 422))
async def list_schemas(filters: Annotated[Filters, Query()], access: Reads) -> Listing[SchemaSummary]:
    """Every version of every schema, the platform's first."""
    found = [] if filters.owner == "tenant" else list(_platforms())
    if filters.owner != "platform":
        async with access.rows() as connection:
            found += [_of_tenant(row) for row in await queries.schemas(connection, type_name=filters.type)]
    wanted = [item for item in found if filters.type in (None, item.type)]
    return Listing(data=wanted, next_cursor=None)


@router.get("/{type_name}/{version}", response_model=SchemaResource, responses=problems(400, 401, 404, 422))
async def get_schema(
    type_name: TypePath,
    version: Annotated[Literal["latest"] | int, Path(description="A number, or latest.")],
    access: Reads,
) -> SchemaResource:
    """One version of a type's schema."""
    number = None if version == "latest" else int(version)
    if number is not None and not 0 < number < 2**15:
        raise NotFound("There is no such schema.")
    found = _platform(type_name, number)
    if found is None:
        async with access.rows() as connection:
            row = await queries.schema(connection, type_name, number)
        if row is None:
            raise NotFound("There is no such schema.")
        found = SchemaResource(**_of_tenant(row).model_dump(), schema=dict(row.schema))
    return found


@router.post("", status_code=201, response_model=RegisteredSchema, responses=problems(400, 401, 403, 404, 409, 422))
async def register_schema(body: NewSchema, request: Request, access: Manages) -> Response:
    """Register a schema of an event type of one's own, or its next version; events are held against it from then on.

    A schema that may not follow the versions before is refused, with each problem named. The same schema again is
    answered with its version.
    """

    def registered(result: Mapping[str, Any]) -> RegisteredSchema:
        return RegisteredSchema.model_validate(result)

    return await perform(
        request,
        access,
        Write(_command(body), access.tenant, registered, status=201, location=_address),
    )


@router.post("/check", response_model=SchemaCheck, responses=problems(400, 401, 403, 404, 422))
async def check_schema(body: NewSchema, request: Request, access: Manages) -> Response:
    """Tell what registering this schema would do, without registering it."""
    command = _command(body, dry_run=True)
    return await perform(request, access, Write(command, access.tenant, SchemaCheck.model_validate))


def _command(body: NewSchema, *, dry_run: bool = False) -> RegisterSchema:
    if body.type.lower().startswith(PLATFORM_PREFIX):
        raise Invalid.field("type", "reserved", f"Types that begin with {PLATFORM_PREFIX} are the platform's own.")
    text = orjson.dumps(body.json_schema).decode()
    if len(text) > MAX_EVENT_BYTES:
        raise Invalid.field("schema", "too_large", f"A schema has {MAX_EVENT_BYTES} bytes at most.")
    return RegisterSchema(event_type=body.type, json_schema=text, compatibility=body.compatibility, dry_run=dry_run)


def _address(body: BaseModel) -> str:
    assert isinstance(body, RegisteredSchema)
    return f"/v1/schemas/{body.type}/{body.version}"


@cache
def _platforms() -> tuple[SchemaSummary, ...]:
    return tuple(
        SchemaSummary(
            type=model.TYPE,
            version=model.VERSION,
            kind="command" if issubclass(model, Command) else "event",
            owner="platform",
            tenant_id=None,
            compatibility="FULL_TRANSITIVE",
            registered_at=None,
            registered_by=None,
        )
        for model in all_messages()
    )


def _platform(type_name: str, version: int | None) -> SchemaResource | None:
    versions = [item for item in _platforms() if item.type == type_name and version in (None, item.version)]
    if not versions:
        return None
    model = find(type_name, versions[-1].version)
    assert model is not None
    return SchemaResource(**versions[-1].model_dump(), schema=contracts.schema(model))


def _of_tenant(row: queries.SchemaRow) -> SchemaSummary:
    return SchemaSummary.model_validate(
        {
            "type": row.type,
            "version": row.version,
            "kind": "event",
            "owner": "tenant",
            "tenant_id": row.tenant_id,
            "compatibility": row.compatibility,
            "registered_at": row.registered_at,
            "registered_by": row.registered_by,
        }
    )
