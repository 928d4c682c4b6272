"""An example of every message, made from its model: for the AsyncAPI document, and for people who write a first one.

Examples are the same at every run, valid against the schema, and plausible to a reader; they hold what is required.
"""

from __future__ import annotations

import re
from typing import Any, Final

from prog_contracts.messages import Command, Message

_SUFFIX: Final = "01jd7z4c8nf3ktv9q2m6x0r5we"
_TIME: Final = "2026-11-26T10:00:00Z"
_UUID: Final = "0193d1f2-6d8a-7c3e-9b1f-2a4c6e8d0f13"
_ID_PATTERN: Final = re.compile(r"^\^([a-z_]+)_\[0-7\]")
_DIGEST: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

_TEXTS: Final = {
    "name": "Ada Lovelace",
    "slug": "acme",
    "plan": "pro",
    "number": "2026-0001",
    "currency": "EUR",
    "reason": "asked for by the customer",
    "card_brand": "visa",
    "card_last4": "4242",
    "url": "https://example.com/",
}
_ENDINGS: Final = {
    "_email": "ada@example.com",
    "email": "ada@example.com",
    "_name": "Ada Lovelace",
    "_digest": _DIGEST,
    "_url": "https://example.com/",
    "_id": f"operation_{_SUFFIX}",
}


def payload(model: type[Message]) -> dict[str, Any]:
    """A body of `model` with its required fields."""
    schema = model.model_json_schema()
    body: dict[str, Any] = _object(schema, schema.get("$defs", {}))
    return body


def headers(model: type[Message], payload: dict[str, Any]) -> dict[str, Any]:
    """The attributes around this body of `model`."""
    body = model.model_validate(payload)
    tenant = f"tenant_{_SUFFIX}"
    attributes = {
        "specversion": "1.0",
        "id": _UUID,
        "source": "/shop",
        "type": model.TYPE,
        "time": _TIME,
        "datacontenttype": "application/json",
        "tenantid": tenant,
        "correlationid": _UUID,
        "partitionkey": body.partition_key or tenant,
        "schemaversion": model.VERSION,
    }
    if issubclass(model, Command):
        attributes |= {"producer": "shop", "signature": _DIGEST}
    return attributes


def _object(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties", {})
    return {name: _value(name, properties[name], definitions) for name in schema.get("required", ())}


def _value(name: str, schema: dict[str, Any], definitions: dict[str, Any]) -> Any:
    if "$ref" in schema:
        return _value(name, definitions[schema["$ref"].rpartition("/")[2]], definitions)
    for choices in ("anyOf", "oneOf"):
        if choices in schema:
            return _value(name, next(s for s in schema[choices] if s.get("type") != "null"), definitions)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "string":
        return _text(name, schema)
    if kind in ("integer", "number"):
        return max(schema.get("minimum", 1), schema.get("exclusiveMinimum", 0) + 1)
    if kind == "array":
        return _array(name, schema, definitions)
    return {"boolean": True, "object": _object(schema, definitions)}.get(str(kind), "anything")


def _array(name: str, schema: dict[str, Any], definitions: dict[str, Any]) -> list[Any]:
    if "prefixItems" in schema:
        return [_value(name, item, definitions) for item in schema["prefixItems"]]
    return [_value(name, schema.get("items", {}), definitions)]


def _text(name: str, schema: dict[str, Any]) -> str:
    if schema.get("format") in ("date-time", "uuid", "date"):
        return {"date-time": _TIME, "uuid": _UUID, "date": _TIME[:10]}[schema["format"]]
    pattern = schema.get("pattern", "")
    if found := _ID_PATTERN.match(pattern):
        return f"{found[1]}_{_SUFFIX}"
    candidates = [
        _TEXTS.get(name),
        *(text for ending, text in _ENDINGS.items() if name.endswith(ending)),
        "order.placed",
        "EUR",
        "abcdefgh",
    ]
    return next(text for text in candidates if text is not None and re.search(pattern, text))
