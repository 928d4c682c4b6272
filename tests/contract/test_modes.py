"""Compatibility modes: each change hurts old readers, new readers, both or nobody, and a mode says who matters."""

from __future__ import annotations

from typing import Any

import pytest

from prog_contracts.compatibility import incompatibilities

OPTIONAL = {"type": "object", "properties": {"a": {"type": "string"}}}
REQUIRED = {**OPTIONAL, "required": ["a"]}
EMPTY: dict[str, Any] = {"type": "object", "properties": {}}
CLOSED = {**OPTIONAL, "additionalProperties": False}
CLOSED_EMPTY = {**EMPTY, "additionalProperties": False}


def field(**schema: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": schema}}


def allowed(mode: str, *schemas: dict[str, Any]) -> bool:
    return not incompatibilities(mode, schemas[:-1], schemas[-1])


@pytest.mark.parametrize(
    ("old", "new", "backward", "forward"),
    [
        (EMPTY, OPTIONAL, True, True),
        (OPTIONAL, EMPTY, True, True),
        (EMPTY, REQUIRED, False, True),
        (REQUIRED, EMPTY, True, False),
        (OPTIONAL, REQUIRED, False, True),
        (REQUIRED, OPTIONAL, True, False),
        (CLOSED_EMPTY, CLOSED, True, False),
        (CLOSED, CLOSED_EMPTY, False, True),
        (OPTIONAL, CLOSED, False, True),
        (CLOSED, OPTIONAL, True, False),
        (field(type="integer"), field(type="number"), True, False),
        (field(type="number"), field(type="integer"), False, True),
        (field(type="string"), field(type=["string", "null"]), True, False),
        (field(type="string"), field(type="integer"), False, False),
        (field(type="string"), field(), True, False),
        (field(enum=["x"]), field(enum=["x", "y"]), True, False),
        (field(enum=["x", "y"]), field(enum=["x"]), False, True),
        (field(maxLength=5), field(maxLength=9), True, False),
        (field(maxLength=9), field(maxLength=5), False, True),
        (field(minimum=1), field(minimum=0), True, False),
        (field(pattern="^a$"), field(), True, False),
        (field(pattern="^a$"), field(pattern="^b$"), False, False),
        (field(title="A"), field(title="B", description="better"), True, True),
    ],
)
def test_who_is_hurt_by_a_change(old: dict[str, Any], new: dict[str, Any], backward: bool, forward: bool) -> None:
    assert allowed("BACKWARD", old, new) is backward
    assert allowed("FORWARD", old, new) is forward
    assert allowed("FULL", old, new) is (backward and forward)
    assert allowed("NONE", old, new)


@pytest.mark.parametrize("mode", ["BACKWARD", "FORWARD", "FULL"])
def test_transitive_modes_look_at_all_versions_and_tell_which(mode: str) -> None:
    versions = [field(type="string"), EMPTY]
    again = field(type="integer")
    assert allowed(mode, *versions, again)
    assert [index for index, _ in incompatibilities(f"{mode}_TRANSITIVE", versions, again)] == [0]
