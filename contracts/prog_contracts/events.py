"""Messages of the events domain: what customers publish through the platform, and the schemas of it.

An event that a tenant publishes travels under its own type (`com.acme.order.placed`), which no model here describes:
the tenant registers its schema, or none does.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator
from pydantic_core import PydanticCustomError

from prog_contracts.messages import Command, Event, command, event

PLATFORM_PREFIX: Final = "prognetwork."
"""Types that only the platform's own domains publish."""

PLATFORM_SOURCE: Final = "/prognetwork"
"""The platform's own sources begin with it."""

MAX_EVENTS: Final = 500
"""Events in one request."""

MAX_EVENT_BYTES: Final = 64 * 1024
"""One event, as JSON: what every CloudEvents intermediary must forward (specification 1.0, "Size limits")."""

MAX_EXTENSIONS: Final = 20
MAX_EXTENSION_LENGTH: Final = 500

OF_TENANTS: Final = "(other)"
"""What figures call all types that are not the platform's: there may be any number of those."""

Compatibility = Literal[
    "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE", "NONE"
]

EVENT_TYPE: Final = r"^[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)+$"
URI_REFERENCE: Final = r"^[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+$"
_EXTENSION: Final = re.compile(r"[a-z0-9]{1,20}")

EventType = Annotated[str, StringConstraints(pattern=EVENT_TYPE, max_length=100)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]
ExpectedVersion = Annotated[int, Field(ge=0, le=2**53)] | Literal["none", "any"]


def counted_type(type_name: str) -> str:
    """The name under which figures count messages of a type: a tenant cannot make as many as it likes."""
    return type_name if type_name.startswith(PLATFORM_PREFIX) else OF_TENANTS


def _refused(code: str, message: str) -> PydanticCustomError:
    # As an argument, for a text with braces is a template.
    return PydanticCustomError(code, "{message}", {"message": message})


def _own(type_name: str) -> str:
    if type_name.lower().startswith(PLATFORM_PREFIX):
        raise _refused("reserved", f"Types that begin with {PLATFORM_PREFIX} are the platform's own.")
    return type_name


class NewEvent(BaseModel):
    """A CloudEvent that a tenant publishes. `source` and `id` name it: sent again it is stored once.

    `stream` is the stream that it is appended to, `subject` by default; without either it belongs to none.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: Text
    source: Annotated[str, StringConstraints(pattern=URI_REFERENCE, max_length=200)]
    type: EventType
    subject: Text | None = None
    time: datetime | None = None
    dataschema: Annotated[str, StringConstraints(pattern=URI_REFERENCE, max_length=500)] | None = None
    schemaversion: Annotated[int, Field(ge=1, le=32767)] | None = None
    stream: Text | None = None
    extensions: dict[str, bool | int | str] = Field(default_factory=dict, max_length=MAX_EXTENSIONS)
    data: Any = None

    @field_validator("type")
    @classmethod
    def _own_type(cls, name: str) -> str:
        return _own(name)

    @field_validator("source")
    @classmethod
    def _own_source(cls, source: str) -> str:
        if source.lower().startswith(PLATFORM_SOURCE):
            raise _refused("reserved", f"Sources that begin with {PLATFORM_SOURCE} are the platform's own.")
        return source

    @field_validator("time")
    @classmethod
    def _with_zone(cls, at: datetime | None) -> datetime | None:
        if at is not None and at.tzinfo is None:
            raise _refused("wrong_format", "The time needs a time zone, such as Z.")
        return at

    @field_validator("extensions")
    @classmethod
    def _named_well(cls, extensions: dict[str, bool | int | str]) -> dict[str, bool | int | str]:
        for name, value in extensions.items():
            if _EXTENSION.fullmatch(name) is None:
                message = f"{name[:40]!r}: names of attributes have 1 to 20 letters and digits (a-z, 0-9)."
                raise _refused("wrong_name", message)
            if isinstance(value, str) and len(value) > MAX_EXTENSION_LENGTH:
                raise _refused("too_long", f"{name}: {MAX_EXTENSION_LENGTH} characters at most.")
            if isinstance(value, int) and not -(2**31) <= value < 2**31:
                raise _refused("out_of_range", f"{name}: a whole number of 32 bits.")
        return extensions

    @property
    def appended_to(self) -> str | None:
        """The stream that it is appended to."""
        return self.stream or self.subject


@command("prognetwork.events.publish_event", key="name", subject="subject_id")
class PublishEvent(Command):
    """Append an event of a tenant's own making to its log, under one type for all. PublishEvents keeps its own."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_.]{2,99}$")
    subject_id: str | None = None
    payload: dict[str, Any] = Field(default_factory=dict)


@event("prognetwork.events.event_published", key="name", subject="subject_id")
class EventPublished(Event):
    name: str
    subject_id: str | None = None
    payload: dict[str, Any] = Field(default_factory=dict)


@command("prognetwork.events.publish_events")
class PublishEvents(Command):
    """Append CloudEvents of a tenant to its log: all of them, or none.

    With `expected_version` all must be of one stream whose last version is that one: 0 or `none` for a stream that is
    not there yet. The answer tells for each event where it is.
    """

    events: tuple[NewEvent, ...] = Field(min_length=1, max_length=MAX_EVENTS)
    expected_version: ExpectedVersion | None = None


@command("prognetwork.events.register_schema", key="event_type")
class RegisterSchema(Command):
    """Register the next version of the JSON Schema of a tenant's event type; the same schema again changes nothing.

    `json_schema` is its JSON. `compatibility` rules what may follow, and may be left as it is; BACKWARD at first. With
    `dry_run` nothing is stored: the answer tells what would be.
    """

    event_type: EventType
    json_schema: str = Field(max_length=MAX_EVENT_BYTES)
    compatibility: Compatibility | None = None
    dry_run: bool = False

    @field_validator("event_type")
    @classmethod
    def _own_type(cls, name: str) -> str:
        return _own(name)


@command("prognetwork.events.purge_streams")
class PurgeStreams(Command):
    """Delete the next streams and schemas of a tenant that was deleted."""


@event("prognetwork.events.schema_registered", key="event_type")
class SchemaRegistered(Event):
    event_type: str
    schema_version: int
    compatibility: Compatibility
