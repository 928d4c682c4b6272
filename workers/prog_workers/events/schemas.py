"""JSON Schemas of tenants' event types: which are taken, whether one may follow another, and whether an event fits.

Pure. A schema comes from outside, so it is held to the part of JSON Schema (draft 2020-12) whose changes can be judged
(`prog_contracts.compatibility`), refers to nothing outside of itself, and its patterns run in linear time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import jsonschema_rs
import orjson

from prog_contracts.compatibility import Schema, incompatibilities
from prog_contracts.errors import FieldError

MAX_DEPTH: Final = 32
MAX_VERSIONS: Final = 200
MAX_PROBLEMS: Final = 50
_REGEX_BYTES: Final = 1_000_000

_WORDS: Final = frozenset(
    {
        "$schema", "$id", "$defs", "$ref", "title", "description", "examples", "default", "deprecated",
        "type", "enum", "const", "properties", "required", "additionalProperties", "minProperties", "maxProperties",
        "items", "prefixItems", "minItems", "maxItems", "uniqueItems", "anyOf", "pattern", "format", "minLength",
        "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
    }
)  # fmt: skip
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_TYPES: Final = frozenset({"null", "boolean", "object", "array", "number", "string", "integer"})


def read(text: str) -> tuple[Schema | None, list[FieldError]]:
    """The schema in `text`, or what keeps it from being taken; `field` is a path below `schema`."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return None, [_problem("", "malformed_json", f"This is not JSON: {error}.")]
    if not isinstance(document, dict):
        return None, [_problem("", "wrong_type", "A schema is an object.")]
    found = list(_refused("", document, document.get("$defs", {}), 0))
    if not found:
        found = list(_endless(document))
    if not found:
        try:
            _validator(text)
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
            path = ".".join(map(str, getattr(error, "instance_path", ())))
            found = [_problem(path, "invalid_schema", str(error).partition("\n")[0])]
    return (None, found[:MAX_PROBLEMS]) if found else (document, [])


def may_follow(mode: str, versions: Sequence[Schema], new: Schema) -> list[FieldError]:
    """In what `new` is not compatible with `versions` (oldest first, the first is version 1) under `mode`."""
    return [
        _problem(problem.path, problem.rule, f"Against version {index + 1}: {problem.message}.")
        for index, problem in incompatibilities(mode, versions, new)[:MAX_PROBLEMS]
    ]


def breaches(text: str, data: Any) -> list[FieldError]:
    """In what `data` does not fit the schema in `text`; `field` is a path below `data`."""
    errors = _validator(text).iter_errors(data)
    return [
        FieldError(
            field=".".join(("data", *map(str, error.instance_path))),
            code=_code(error),
            message=str(error.message)[:300],
        )
        for error, _ in zip(errors, range(MAX_PROBLEMS), strict=False)
    ]


@lru_cache(maxsize=1000)
def _validator(text: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(
        orjson.loads(text),
        validate_formats=True,
        ignore_unknown_formats=True,
        mask="The value",  # it may be a secret
        pattern_options=jsonschema_rs.RegexOptions(size_limit=_REGEX_BYTES, dfa_size_limit=_REGEX_BYTES),
        retriever=_nothing_outside,
    )


def _nothing_outside(uri: str) -> Any:
    raise ValueError(f"a schema refers to nothing outside of itself, not to {uri[:100]}")


def _refused(path: str, schema: object, definitions: object, depth: int) -> Iterator[FieldError]:
    """What in a schema cannot be judged or followed."""
    if isinstance(schema, bool) and path:
        yield _problem(path, "not_supported", "Write a schema here, not true or false.")
        return
    if not isinstance(schema, Mapping):
        yield _problem(path, "wrong_type", "A schema is an object.")
        return
    if depth > MAX_DEPTH:
        yield _problem(path, "too_deep", f"Schemas may be {MAX_DEPTH} deep at most.")
        return
    for word in schema:
        if word not in _WORDS:
            yield _problem(_below(path, word), "not_supported", f"The keyword {word[:40]} is not supported.")
    if str(schema.get("$schema", _DIALECT)).rstrip("#") != _DIALECT:
        yield _problem(_below(path, "$schema"), "not_supported", f"The dialect is {_DIALECT}.")
    yield from _wrong_shapes(path, schema, definitions)
    for place, part in _parts(path, schema):
        yield from _refused(place, part, definitions, depth + 1)


def _wrong_shapes(path: str, schema: Mapping[str, Any], definitions: object) -> Iterator[FieldError]:
    kinds = schema.get("type", [])
    names = [kinds] if isinstance(kinds, str) else kinds
    if not isinstance(names, list) or not all(isinstance(name, str) and name in _TYPES for name in names):
        yield _problem(_below(path, "type"), "wrong_type", f"A type is one of {', '.join(sorted(_TYPES))}.")
    for word, kind in (("required", list), ("enum", list), ("anyOf", list), ("prefixItems", list),
                       ("properties", dict), ("$defs", dict)):  # fmt: skip
        if not isinstance(schema.get(word, kind()), kind):
            yield _problem(_below(path, word), "wrong_type", f"{word} has another type.")
    for word in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength",
                 "minItems", "maxItems", "minProperties", "maxProperties"):  # fmt: skip
        if isinstance(schema.get(word, 0), bool) or not isinstance(schema.get(word, 0), int | float):
            yield _problem(_below(path, word), "wrong_type", f"{word} is a number.")
    reference = schema.get("$ref")
    if reference is not None:
        known = definitions if isinstance(definitions, Mapping) else {}
        if not isinstance(reference, str) or reference.removeprefix("#/$defs/") not in known:
            yield _problem(_below(path, "$ref"), "unknown_reference", "A $ref is #/$defs/NAME of this schema.")


def _parts(path: str, schema: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for word in ("properties", "$defs"):
        if isinstance(schema.get(word), Mapping):
            yield from ((_below(path, f"{word}.{name}"), part) for name, part in schema[word].items())
    for word in ("anyOf", "prefixItems"):
        if isinstance(schema.get(word), list):
            yield from ((_below(path, f"{word}.{number}"), part) for number, part in enumerate(schema[word]))
    if "items" in schema:
        yield _below(path, "items"), schema["items"]
    extra = schema.get("additionalProperties")
    if extra is not None and not isinstance(extra, bool):
        yield _below(path, "additionalProperties"), extra


def _endless(document: Mapping[str, Any]) -> Iterator[FieldError]:
    """References that lead back to themselves without going into the value: nothing would ever fit or fail them."""
    definitions: Mapping[str, Mapping[str, Any]] = document.get("$defs", {})
    for name in definitions:
        waiting, seen = [name], set[str]()
        while waiting:
            ahead = set(_same_value(definitions[waiting.pop()])) - seen
            seen |= ahead
            waiting += ahead
        if name in seen:
            yield _problem(f"$defs.{name}", "endless_reference", "The reference leads back to itself.")


def _same_value(schema: Mapping[str, Any]) -> Iterator[str]:
    if "$ref" in schema:
        yield schema["$ref"].removeprefix("#/$defs/")
    for part in schema.get("anyOf", ()):
        yield from _same_value(part)


def _code(error: jsonschema_rs.ValidationError) -> str:
    """The keyword that was broken, as a slug: `required`, `type`, `pattern`, …"""
    name = type(error.kind).__name__.rpartition("_")[2]
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


def _problem(path: str, code: str, message: str) -> FieldError:
    return FieldError(field=_below("schema", path) if path else "schema", code=code, message=message)


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
