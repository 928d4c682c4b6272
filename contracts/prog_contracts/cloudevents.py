"""CloudEvents 1.0 in structured mode, one or a batch, as tenants send them: read strictly, with every problem named.

The attributes that the specification names are checked by its rules; all else becomes an extension attribute. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson
from pydantic import ValidationError

from prog_contracts.errors import FieldError, Invalid
from prog_contracts.events import MAX_EVENT_BYTES, MAX_EVENTS, NewEvent

MEDIA_TYPE: Final = "application/cloudevents+json"
BATCH_MEDIA_TYPE: Final = "application/cloudevents-batch+json"

MAX_DEPTH: Final = 64
"""How deep `data` may go."""
MAX_PROBLEMS: Final = 50

_ATTRIBUTES: Final = frozenset(
    {"id", "source", "type", "subject", "time", "dataschema", "schemaversion", "stream", "data"}
)
_READ_HERE: Final = frozenset({"specversion", "datacontenttype", "data_base64"})
_TIMESTAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.IGNORECASE | re.ASCII)
_OURS: Final = frozenset(
    {
        "tenantid", "correlationid", "causationid", "actor", "partitionkey", "replyto", "position", "recordedat",
        "messageid", "streamversion", "extensions", "traceparent", "tracestate",
    }
)  # fmt: skip
"""What the platform says about an event; a sender cannot."""


def read(body: object, *, stream: str | None = None) -> tuple[NewEvent, ...]:
    """The events in a request's body: one object, or an array of 1 to MAX_EVENTS.

    `stream` is the stream of those that name none. Raises Invalid whose fields are those of the one event, or begin
    with the index of an event of a batch.
    """
    if isinstance(body, list):
        if not 0 < len(body) <= MAX_EVENTS:
            raise Invalid.field("body", "wrong_count", f"A batch has 1 to {MAX_EVENTS} events.")
        return _all(body, stream, [f"{index}." for index in range(len(body))])
    return _all([body], stream, [""])


def _all(items: Sequence[object], stream: str | None, prefixes: Sequence[str]) -> tuple[NewEvent, ...]:
    events: list[NewEvent] = []
    problems: list[FieldError] = []
    seen: set[tuple[str, str]] = set()
    for item, prefix in zip(items, prefixes, strict=True):
        found = list(_wrong(item, prefix))
        if isinstance(item, dict):
            event, broken = _event(item, stream, prefix)
            named = {problem.field for problem in found}
            found += [problem for problem in broken if problem.field not in named]
            if event is not None and not found:
                if (event.source, event.id) in seen:
                    message = "An earlier event of this request has the same source and id."
                    found = [FieldError(field=f"{prefix}id", code="twice", message=message)]
                seen.add((event.source, event.id))
                events.append(event)
        problems += found
        if len(problems) >= MAX_PROBLEMS:
            break
    if problems:
        first = problems[0]
        more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
        message = f"{first.field}: {first.message}{more}"
        raise Invalid(message, code="invalid_event", fields=problems[:MAX_PROBLEMS])
    return tuple(events)


def _wrong(item: object, prefix: str) -> Iterator[FieldError]:
    """What the model cannot say as well."""
    if not isinstance(item, dict):
        yield FieldError(field=prefix.rstrip(".") or "body", code="wrong_type", message="An event is an object.")
        return
    if item.get("specversion") != "1.0":
        code = "wrong_version" if "specversion" in item else "required"
        yield FieldError(field=f"{prefix}specversion", code=code, message='The specversion is "1.0".')
    if "data_base64" in item:
        message = "Data is JSON here; put binary data into a field of it."
        yield FieldError(field=f"{prefix}data_base64", code="not_supported", message=message)
    content_type = item.get("datacontenttype", "application/json")
    if not isinstance(content_type, str) or not _is_json(content_type):
        message = "The datacontenttype is application/json."
        yield FieldError(field=f"{prefix}datacontenttype", code="not_supported", message=message)
    at = item.get("time")
    if at is not None and not (isinstance(at, str) and _TIMESTAMP.fullmatch(at)):
        message = "A time has the form 2026-11-26T09:30:00Z (RFC 3339)."
        yield FieldError(field=f"{prefix}time", code="wrong_format", message=message)
    for name, value in item.items():
        if name in _OURS:
            yield FieldError(field=f"{prefix}{name}", code="reserved", message="The platform sets this attribute.")
        elif name not in _ATTRIBUTES | _READ_HERE and not isinstance(value, bool | int | str | None):
            message = "An extension attribute is a text, a whole number or a truth value."
            yield FieldError(field=f"{prefix}{name}", code="wrong_type", message=message)
    if _depth(item.get("data")) > MAX_DEPTH:
        yield FieldError(field=f"{prefix}data", code="too_deep", message=f"Data may be {MAX_DEPTH} deep at most.")
    elif len(orjson.dumps(item)) > MAX_EVENT_BYTES:
        message = f"An event has {MAX_EVENT_BYTES} bytes at most."
        yield FieldError(field=prefix.rstrip(".") or "body", code="too_large", message=message)


def _event(item: Mapping[str, Any], stream: str | None, prefix: str) -> tuple[NewEvent | None, list[FieldError]]:
    known = {name: value for name, value in item.items() if name in _ATTRIBUTES}
    more = {
        name: value
        for name, value in item.items()
        if name not in _ATTRIBUTES | _OURS | _READ_HERE and isinstance(value, bool | int | str)
    }
    if known.get("stream") is None:
        known["stream"] = stream
    try:
        return NewEvent.model_validate({**known, "extensions": more}), []
    except ValidationError as error:
        return None, [_told(problem, prefix) for problem in error.errors(include_input=False, include_url=False)]


_CODES: Final = {
    "missing": "required",
    "string_too_short": "too_short",
    "string_too_long": "too_long",
    "string_pattern_mismatch": "wrong_format",
    "too_long": "too_many",
}
_MESSAGES: Final = {
    "missing": "This attribute is required.",
    "string_pattern_mismatch": "This does not have the right form.",
}


def _told(problem: Any, prefix: str) -> FieldError:
    kind = problem["type"]
    location = [str(part) for part in problem["loc"] if part != "extensions" and part not in ("bool", "int", "str")]
    message = _MESSAGES.get(kind) or str(problem["msg"]).removeprefix("Value error, ")
    return FieldError(
        field=f"{prefix}{'.'.join(location) or 'extensions'}", code=_CODES.get(kind, kind), message=message
    )


def _is_json(media_type: str) -> bool:
    essence = media_type.partition(";")[0].strip().lower()
    return essence == "application/json" or essence.endswith("+json")


def _depth(value: object) -> int:
    deepest = 0
    waiting: list[tuple[object, int]] = [(value, 1)]
    while waiting:
        inner, depth = waiting.pop()
        deepest = max(deepest, depth)
        if deepest > MAX_DEPTH:
            return deepest
        if isinstance(inner, dict):
            waiting += ((part, depth + 1) for part in inner.values() if isinstance(part, dict | list))
        elif isinstance(inner, list):
            waiting += ((part, depth + 1) for part in inner if isinstance(part, dict | list))
    return deepest
