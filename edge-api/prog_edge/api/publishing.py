"""Publishing events: one CloudEvent or a batch, all of it or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from prog_contracts import cloudevents
from prog_contracts.envelope import MAX_BODY_BYTES
from prog_contracts.errors import Invalid
from prog_contracts.events import (
    EVENT_TYPE,
    MAX_EVENT_BYTES,
    MAX_EVENTS,
    MAX_EXTENSION_LENGTH,
    URI_REFERENCE,
    PublishEvents,
)
from prog_edge import texts
from prog_edge.access import Access, Needs
from prog_edge.api.shapes import Resource, problems
from prog_edge.problems import Refused
from prog_edge.writes import Write, perform

router = APIRouter(prefix="/v1/events", tags=["Events"])

_ENVELOPE_BYTES: Final = 4096
"""What a command needs beside its events."""


class PublishOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")

    stream: str | None = Field(
        None, min_length=1, max_length=200, description="The stream of events that name none; their subject by default."
    )
    expected_version: Annotated[int, Field(ge=0, le=2**53)] | Literal["none", "any"] | None = Field(
        None,
        description="Append only when the stream's last version is this one; `none` when it must not be there yet."
        " All events must then be of one stream.",
    )


class PublishedEvent(Resource):
    """Where an event is. `duplicate`: it was stored before, by an earlier request."""

    id: str
    source: str
    type: str
    message_id: UUID
    position: int
    stream: str | None
    version: int | None = Field(description="Its number in the stream: 1, 2, 3 …")
    duplicate: bool


class PublishedEvents(Resource):
    """In the order in which they were sent."""

    data: list[PublishedEvent]


_JSON_TYPE: Final = r"^(application/json|[^;\s]+\+json)(;.*)?$"
_EVENT: Final[dict[str, Any]] = {
    "type": "object",
    "description": "CloudEvents 1.0 in structured mode; further attributes are extensions.",
    "required": ["specversion", "id", "source", "type"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {
            "type": "string",
            "minLength": 1,
            "maxLength": 200,
            "description": "With the source the name of the event: stored once.",
        },
        "source": {"type": "string", "pattern": URI_REFERENCE, "maxLength": 200, "examples": ["/shop/berlin"]},
        "type": {"type": "string", "pattern": EVENT_TYPE, "maxLength": 100, "examples": ["com.acme.order.placed"]},
        "subject": {"type": "string", "minLength": 1, "maxLength": 200, "examples": ["order-1042"]},
        "time": {"type": "string", "format": "date-time"},
        "datacontenttype": {"type": "string", "pattern": _JSON_TYPE, "examples": ["application/json"]},
        "dataschema": {"type": "string", "pattern": URI_REFERENCE, "maxLength": 500},
        "schemaversion": {
            "type": "integer",
            "minimum": 1,
            "maximum": 32767,
            "description": "Which version of the type's schema; the newest by default.",
        },
        "stream": {"type": "string", "minLength": 1, "maxLength": 200},
        "data": {"description": "Any JSON."},
    },
    "propertyNames": {"pattern": "^[a-z0-9]{1,20}$"},
    "additionalProperties": {
        "type": ["string", "integer", "boolean"],
        "maxLength": MAX_EXTENSION_LENGTH,
        "minimum": -(2**31),
        "maximum": 2**31 - 1,
    },
}
_BATCH: Final[dict[str, Any]] = {"type": "array", "minItems": 1, "maxItems": MAX_EVENTS, "items": _EVENT}
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"oneOf": [_EVENT, _BATCH]}},
            cloudevents.MEDIA_TYPE: {"schema": _EVENT},
            cloudevents.BATCH_MEDIA_TYPE: {"schema": _BATCH},
        },
    }
}


@router.post(
    "",
    status_code=201,
    response_model=PublishedEvents,
    responses=problems(400, 401, 403, 404, 409, 413, 415, 422),
    openapi_extra=_BODY,
    description=(
        f"Publish one CloudEvent or a batch of up to {MAX_EVENTS}, {MAX_EVENT_BYTES // 1024} KiB each and"
        f" {(MAX_BODY_BYTES - _ENVELOPE_BYTES) // 1024} KiB together: all of them, or none.\n\n"
        "An event with a source and id that were stored in the last 30 days is not stored again; the answer tells"
        " where it is."
    ),
)
async def publish_events(
    options: Annotated[PublishOptions, Query()],
    request: Request,
    access: Annotated[Access, Depends(Needs("event.publish"))],
) -> Response:
    events = cloudevents.read(_checked(request, await request.body()), stream=options.stream)
    command = PublishEvents(events=events, expected_version=options.expected_version)
    if len(command.model_dump_json(exclude_none=True)) > MAX_BODY_BYTES - _ENVELOPE_BYTES:
        limit = (MAX_BODY_BYTES - _ENVELOPE_BYTES) // 1024
        raise Refused(413, "body_too_large", f"The events of a request have {limit} KiB at most; send them in parts.")
    most = await access.platform.limit(access.tenant, "events_per_month")
    await access.platform.quotas.admit_events(access.tenant, most, len(events))
    return await perform(request, access, Write(command, access.tenant, _published, status=201, location=_place))


def _checked(request: Request, body: bytes) -> object:
    """The body's JSON, of the shape that its content type says."""
    try:
        document: object = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(400, "malformed_json", f"The body is not JSON: {error}.") from None
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    wanted = {cloudevents.MEDIA_TYPE: dict, cloudevents.BATCH_MEDIA_TYPE: list}.get(media_type)
    if wanted is not None and not isinstance(document, wanted):
        raise Invalid.field(
            "body", "wrong_type", f"A body of type {media_type} is {'one event' if wanted is dict else 'an array'}."
        )
    texts.check(document)
    return document


def _published(result: Mapping[str, Any]) -> PublishedEvents:
    return PublishedEvents(data=[PublishedEvent.model_validate(event) for event in result.get("events", ())])


def _place(body: BaseModel) -> str:
    assert isinstance(body, PublishedEvents)
    return f"/v1/events/{body.data[0].message_id}" if len(body.data) == 1 else "/v1/events"
