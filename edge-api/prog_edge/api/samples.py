"""Samples and field tables of JSON schemas, for the reference."""

from __future__ import annotations

from typing import Any, Final

_MAX_DEPTH: Final = 6
_BY_FORMAT: Final = {
    "date-time": "2027-01-31T09:00:00Z",
    "uuid": "01932b4e-8f00-7c3a-9d2e-5a1b2c3d4e5f",
    "password": "correct horse battery staple",
}
_BY_TYPE: Final[dict[str, Any]] = {"string": "…", "integer": 1, "number": 1.0, "boolean": True, "null": None}
_OBJECT_ID: Final = "01jd7z4c8nf3ktv9q2m6x0r5we"


def sample(schema: dict[str, Any], schemas: dict[str, Any], name: str = "", depth: int = 0) -> Any:
    """A value that fits the schema, from its examples where it has any."""
    schema = _resolved(schema, schemas)
    for key in ("example", "const", "default"):
        if schema.get(key) is not None:
            return schema[key]
    if schema.get("examples"):
        return schema["examples"][0]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return sample(schema[key][0], schemas, name, depth)
    kind = schema.get("type")
    if depth > _MAX_DEPTH:
        return None
    if kind == "object" or "properties" in schema:
        return {key: sample(part, schemas, key, depth + 1) for key, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [sample(schema.get("items", {}), schemas, name, depth + 1)]
    if kind == "string":
        return _text(schema, name)
    return _BY_TYPE.get(str(kind))


def shape(schema: dict[str, Any], schemas: dict[str, Any]) -> list[dict[str, Any]]:
    """The fields of a body: name, type, whether it is required, and what it means."""
    schema = _resolved(schema, schemas)
    required = set(schema.get("required", ()))
    return [
        {
            "name": name,
            "type": _type(part, schemas),
            "required": name in required,
            "text": part.get("description", ""),
        }
        for name, part in schema.get("properties", {}).items()
    ]


def _resolved(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    return schemas[reference.rpartition("/")[2]] if reference else schema


def _type(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    schema = _resolved(schema, schemas)
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_type(part, schemas) for part in schema["anyOf"])
    return str(schema.get("format") or schema.get("type", "object"))


def _text(schema: dict[str, Any], name: str) -> str:
    if schema.get("format") in _BY_FORMAT:
        return _BY_FORMAT[schema["format"]]
    if name.endswith("_id"):
        return f"{name.removesuffix('_id')}_{_OBJECT_ID}"
    return str(_BY_TYPE["string"])
