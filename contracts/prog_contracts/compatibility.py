"""Whether a schema may change from one to another.

For the platform's own messages the rule is Confluent's FULL_TRANSITIVE: code of either side of the change reads what
the other side writes. Readers here ignore fields they do not know and writers leave out what is absent, so exactly one
kind of change is allowed: an optional field more. Titles, descriptions, examples and defaults are free. All else takes
a new version of the type.

For the types of tenants each change is told with whom it hurts, and a mode says who matters (Confluent Schema Registry,
"Schema Evolution and Compatibility"): BACKWARD, whoever reads with the new schema what was written with the old one;
FORWARD, whoever reads with the old one what is written with the new one; FULL, both. The plain forms look at the newest
version, the TRANSITIVE ones at all before it. NONE lets everything pass.

Pure: JSON Schemas in (as pydantic writes them, with `$defs`), problems out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

Schema: TypeAlias = Mapping[str, Any]

EXTENSION: Final = "x-prognetwork"
"""What a schema of ours says about the message beyond its body: type, version, kind, topic, key and subject."""

_FREE: Final = frozenset({"title", "description", "examples", "default", "deprecated", "$schema", "$id", "$defs"})
_STRUCTURE: Final = frozenset(
    {"$ref", "properties", "required", "items", "prefixItems", "anyOf", "enum", "const", "type", "additionalProperties"}
)
_FIXED_FACTS: Final = ("type", "version", "kind", "topic", "key")


Direction = Literal["backward", "forward"]
BACKWARD: Final[frozenset[Direction]] = frozenset({"backward"})
"""A reader with the new schema cannot read what was written with the old one."""
FORWARD: Final[frozenset[Direction]] = frozenset({"forward"})
"""A reader with the old schema cannot read what is written with the new one."""
BOTH: Final = BACKWARD | FORWARD
NOBODY: Final[frozenset[Direction]] = frozenset()

_DIRECTIONS: Final[Mapping[str, frozenset[Direction]]] = {
    "BACKWARD": BACKWARD, "FORWARD": FORWARD, "FULL": BOTH, "NONE": NOBODY
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Problem:
    """One change that somebody could not read. `path` is dotted, with `[]` for the elements of an array."""

    path: str
    rule: str
    message: str
    breaks: frozenset[Direction] = BOTH

    def __str__(self) -> str:
        return f"{self.path or '(body)'}: {self.message} [{self.rule}]"


def problems(old: Schema, new: Schema) -> list[Problem]:
    """Everything in which `new` is not fully compatible with `old`; nothing when it is."""
    return [*_facts(old.get(EXTENSION, {}), new.get(EXTENSION, {})), *_Comparison(old, new).compare("", old, new)]


def incompatibilities(mode: str, versions: Sequence[Schema], new: Schema) -> list[tuple[int, Problem]]:
    """In what `new` may not follow `versions` (oldest first) under a mode such as BACKWARD_TRANSITIVE.

    Each problem comes with the index of the version that it is with.
    """
    name, _, transitive = mode.partition("_")
    directions = _DIRECTIONS[name]
    first = 0 if transitive else max(0, len(versions) - 1)
    return [
        (index, problem)
        for index, old in enumerate(versions[first:], first)
        for problem in problems(old, new)
        if problem.breaks & directions
    ]


def _facts(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Problem]:
    for name in _FIXED_FACTS:
        if old.get(name) != new.get(name):
            yield Problem("", f"{name}_changed", f"{name} was {old.get(name)!r} and is {new.get(name)!r}")


class _Comparison:
    """Walks two documents side by side. Each keeps its own `$defs`."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self._old_definitions = old.get("$defs", {})
        self._new_definitions = new.get("$defs", {})
        self._entered: set[tuple[str, str]] = set()

    def compare(self, path: str, old: Schema, new: Schema) -> Iterator[Problem]:
        references = old.get("$ref"), new.get("$ref")
        if references[0] is not None and references[1] is not None:
            if (references[0], references[1]) in self._entered:
                return  # a recursive model: this pair is being compared further up
            self._entered.add((references[0], references[1]))
        old, new = _resolve(old, self._old_definitions), _resolve(new, self._new_definitions)
        if "anyOf" in old or "anyOf" in new:
            yield from self._alternatives(path, _alternatives(old), _alternatives(new))
            return
        yield from _types(path, old, new)
        yield from _values(path, old, new)
        yield from self._constraints(path, old, new)
        yield from self._fields(path, old, new)
        yield from self._elements(path, old, new)

    def _alternatives(self, path: str, old: Sequence[Schema], new: Sequence[Schema]) -> Iterator[Problem]:
        """`X | Y`: each alternative needs its equal on the other side, in any order."""
        rest = list(new)
        unmatched = []
        for alternative in old:
            match = next((other for other in rest if not self._differ(alternative, other)), None)
            if match is None:
                unmatched.append(alternative)
            else:
                rest.remove(match)
        if len(unmatched) == len(rest) == 1:
            yield from self.compare(path, unmatched[0], rest[0])
            return
        for alternative in unmatched:
            yield Problem(path, "type_narrowed", f"{_name(alternative)} is no longer accepted", BACKWARD)
        for alternative in rest:
            yield Problem(path, "type_widened", f"{_name(alternative)} is new, and older readers refuse it", FORWARD)

    def _differ(self, old: Schema, new: Schema) -> bool:
        fresh = _Comparison({"$defs": self._old_definitions}, {"$defs": self._new_definitions})
        return any(True for _ in fresh.compare("", old, new))

    def _fields(self, path: str, old: Schema, new: Schema) -> Iterator[Problem]:
        before, after = old.get("properties", {}), new.get("properties", {})
        needed_before, needed_after = set(old.get("required", ())), set(new.get("required", ()))
        closed_before, closed_after = old.get("additionalProperties") is False, new.get("additionalProperties") is False
        for name in before:
            place = _join(path, name)
            if name not in after:
                breaks = (FORWARD if name in needed_before else NOBODY) | (BACKWARD if closed_after else NOBODY)
                yield Problem(place, "field_removed", "the field is gone or has another name", breaks)
                continue
            if name in needed_before - needed_after:
                yield Problem(place, "made_optional", "the field may now be absent, and older readers need it", FORWARD)
            if name in needed_after - needed_before:
                yield Problem(place, "made_required", "the field is needed now, and older messages lack it", BACKWARD)
            yield from self.compare(place, before[name], after[name])
        for name in after:
            if name in before:
                continue
            place = _join(path, name)
            if name in needed_after:
                message = "a new field must be optional: older messages lack it"
                yield Problem(place, "required_added", message, BACKWARD)
            if closed_before:
                yield Problem(place, "field_added", "older readers refuse fields that they do not know", FORWARD)

    def _elements(self, path: str, old: Schema, new: Schema) -> Iterator[Problem]:
        if "items" in old and "items" in new:
            yield from self.compare(f"{path}[]", old["items"], new["items"])
        elif ("items" in old) != ("items" in new):
            yield Problem(f"{path}[]", "elements_changed", "the rule for elements has come or gone")
        before, after = old.get("prefixItems", ()), new.get("prefixItems", ())
        if len(before) != len(after):
            yield Problem(f"{path}[]", "elements_changed", f"there were {len(before)} places and are {len(after)}")
            return
        for place, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from self.compare(f"{path}[{place}]", one, other)

    def _constraints(self, path: str, old: Schema, new: Schema) -> Iterator[Problem]:
        for name in sorted({*old, *new} - _FREE - _STRUCTURE - {EXTENSION}):
            if old.get(name) != new.get(name):
                message = f"{name} was {_told(old, name)} and is {_told(new, name)}"
                yield Problem(path, "constraint_changed", message, _hurt(name, old.get(name), new.get(name)))
        yield from self._values_of_map(path, old, new)

    def _values_of_map(self, path: str, old: Schema, new: Schema) -> Iterator[Problem]:
        before, after = old.get("additionalProperties", True), new.get("additionalProperties", True)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from self.compare(f"{path}{{}}", before, after)
        elif before != after:
            breaks = BACKWARD if before is True else FORWARD if after is True else BOTH
            yield Problem(path, "constraint_changed", f"additionalProperties was {before!r} and is {after!r}", breaks)


def _types(path: str, old: Schema, new: Schema) -> Iterator[Problem]:
    before, after = _type_names(old), _type_names(new)
    if before == after:
        return
    message = f"the type was {_listed(before)} and is {_listed(after)}"
    holds_before, holds_after = _holding(before), _holding(after)
    if holds_before and (not holds_after or holds_before < holds_after):
        yield Problem(path, "type_widened", message, FORWARD)
    elif holds_after and (not holds_before or holds_after < holds_before):
        yield Problem(path, "type_narrowed", message, BACKWARD)
    else:
        yield Problem(path, "type_changed", message)


def _values(path: str, old: Schema, new: Schema) -> Iterator[Problem]:
    before, after = _allowed(old), _allowed(new)
    if before is None and after is None:
        return
    if before is None or after is None:
        if after is None:
            yield Problem(path, "enum_widened", "the list of values has gone", FORWARD)
        else:
            yield Problem(path, "enum_narrowed", "only some values are left", BACKWARD)
        return
    if gone := [value for value in before if value not in after]:
        yield Problem(path, "enum_narrowed", f"no longer accepted: {_listed(map(repr, gone))}", BACKWARD)
    if added := [value for value in after if value not in before]:
        yield Problem(path, "enum_widened", f"older readers refuse: {_listed(map(repr, added))}", FORWARD)


_UPPER: Final = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains"})
_LOWER: Final = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains"})


def _hurt(keyword: str, before: Any, after: Any) -> frozenset[Direction]:
    """Whom it hurts that a constraint changed: a tighter one those who read older messages, a looser one older code."""
    if before is None or before is False:
        return BACKWARD
    if after is None or after is False:
        return FORWARD
    if keyword in _UPPER:
        return BACKWARD if after < before else FORWARD
    if keyword in _LOWER:
        return BACKWARD if after > before else FORWARD
    return BOTH


def _holding(types: frozenset[str]) -> frozenset[str]:
    """The types that values of `types` have: every integer is a number too."""
    return types | {"integer"} if "number" in types else types


def _resolve(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """The schema behind a reference; what stands beside the reference stays."""
    while "$ref" in schema:
        beside = {name: value for name, value in schema.items() if name != "$ref"}
        schema = {**definitions[str(schema["$ref"]).removeprefix("#/$defs/")], **beside}
    return schema


def _alternatives(schema: Schema) -> list[Schema]:
    return list(schema["anyOf"]) if "anyOf" in schema else [schema]


def _allowed(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    return list(schema["enum"]) if "enum" in schema else None


def _type_names(schema: Schema) -> frozenset[str]:
    kind = schema.get("type", ())
    return frozenset({kind} if isinstance(kind, str) else kind)


def _listed(names: Any) -> str:
    return ", ".join(sorted(names)) or "anything"


def _name(schema: Schema) -> str:
    return str(schema.get("$ref", schema.get("type", schema.get("const", "something")))).removeprefix("#/$defs/")


def _told(schema: Schema, name: str) -> str:
    return repr(schema[name]) if name in schema else "absent"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
