"""The rule about changes of a schema: an optional field more is allowed, all that somebody could not read is not."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, create_model

from prog_contracts import schemas
from prog_contracts.compatibility import EXTENSION, problems
from prog_contracts.messages import Message, all_messages


class Inner(BaseModel):
    """Nested."""

    amount: int
    note: str | None = None


class InnerWithMore(BaseModel):
    amount: int
    note: str | None = None
    more: str = ""


class InnerWithLess(BaseModel):
    note: str | None = None


class Tree(BaseModel):
    name: str
    children: tuple[Tree, ...] = ()


class OtherTree(BaseModel):
    name: int
    children: tuple[OtherTree, ...] = ()


def schema(**fields: Any) -> dict[str, Any]:
    """The schema of a model with these fields; a bare type is a required field."""
    wanted: Any = {name: kind if isinstance(kind, tuple) else (kind, ...) for name, kind in fields.items()}
    model: type[BaseModel] = create_model("Body", **wanted)
    return model.model_json_schema()


def rules(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return [f"{problem.path}:{problem.rule}" for problem in problems(old, new)]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"a": str}, {"a": str, "b": (str | None, None)}),
        ({"a": str}, {"a": str, "b": (int, 3)}),
        ({"a": Inner}, {"a": InnerWithMore}),
        ({"a": tuple[Inner, ...]}, {"a": tuple[InnerWithMore, ...]}),
        ({"a": Inner | None}, {"a": InnerWithMore | None}),
        ({"a": dict[str, Inner]}, {"a": dict[str, InnerWithMore]}),
        ({"a": str | int | None}, {"a": None | int | str}),
        ({"a": (int, 3)}, {"a": (int, 4)}),
        ({"a": str}, {"a": Annotated[str, Field(description="told better", title="A")]}),
        ({"a": Literal["x", "y"]}, {"a": Literal["y", "x"]}),
        ({"a": Tree}, {"a": Tree}),
    ],
    ids=str,
)
def test_a_compatible_change_is_allowed(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert rules(schema(**old), schema(**new)) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": str, "b": (str, "")}, {"a": str}, "b:field_removed"),
        ({"a": str}, {"a": str, "b": str}, "b:required_added"),
        ({"a": (str, "")}, {"a": str}, "a:made_required"),
        ({"a": str}, {"a": (str, "")}, "a:made_optional"),
        ({"a": str}, {"a": int}, "a:type_changed"),
        ({"a": float}, {"a": int}, "a:type_narrowed"),
        ({"a": str | None}, {"a": str}, "a:type_narrowed"),
        ({"a": str}, {"a": str | None}, "a:type_widened"),
        ({"a": str | int}, {"a": str | int | bool}, "a:type_widened"),
        ({"a": Any}, {"a": str}, "a:type_narrowed"),
        ({"a": Literal["x"]}, {"a": Literal["x", "y"]}, "a:enum_widened"),
        ({"a": Literal["x", "y"]}, {"a": Literal["x"]}, "a:enum_narrowed"),
        ({"a": Literal["x", "y"]}, {"a": str}, "a:enum_widened"),
        ({"a": str}, {"a": Literal["x", "y"]}, "a:enum_narrowed"),
        ({"a": str}, {"a": Annotated[str, Field(pattern="^x$")]}, "a:constraint_changed"),
        ({"a": Annotated[int, Field(ge=1)]}, {"a": Annotated[int, Field(ge=0)]}, "a:constraint_changed"),
        ({"a": datetime}, {"a": str}, "a:constraint_changed"),
        ({"a": tuple[str, ...]}, {"a": tuple[int, ...]}, "a[]:type_changed"),
        ({"a": tuple[str, str]}, {"a": tuple[str, int]}, "a[1]:type_changed"),
        ({"a": dict[str, str]}, {"a": dict[str, int]}, "a{}:type_changed"),
        ({"a": dict[str, Any]}, {"a": dict[str, int]}, "a:constraint_changed"),
        ({"a": Inner}, {"a": InnerWithLess}, "a.amount:field_removed"),
        ({"a": Inner | None}, {"a": InnerWithLess | None}, "a.amount:field_removed"),
        ({"a": tuple[InnerWithMore, ...]}, {"a": tuple[Inner, ...]}, "a[].more:field_removed"),
        ({"a": Tree}, {"a": OtherTree}, "a.name:type_changed"),
    ],
    ids=str,
)
def test_a_change_that_somebody_could_not_read_is_refused(
    old: dict[str, Any], new: dict[str, Any], expected: str
) -> None:
    assert expected in rules(schema(**old), schema(**new))


def test_a_renamed_field_is_one_gone_and_one_new() -> None:
    assert rules(schema(a=str), schema(b=str)) == ["a:field_removed", "b:required_added"]


def test_the_elements_of_a_tuple_may_not_become_more() -> None:
    found = rules(schema(a=tuple[str, str]), schema(a=tuple[str, str, str]))
    assert "a[]:elements_changed" in found


@pytest.mark.parametrize("fact", ["type", "version", "kind", "topic", "key"])
def test_what_orders_and_routes_a_message_is_fixed(fact: str) -> None:
    facts = {"type": "t", "version": 1, "kind": "event", "topic": "p", "key": "k"}
    old = {**schema(a=str), EXTENSION: facts}
    assert rules(old, old) == []
    assert rules(old, {**schema(a=str), EXTENSION: {**facts, fact: "other"}}) == [f":{fact}_changed"]


def test_a_problem_tells_field_and_reason() -> None:
    [problem] = problems(schema(a=Literal["x", "y"]), schema(a=Literal["x"]))
    assert str(problem) == "a: no longer accepted: 'y' [enum_narrowed]"


@pytest.mark.parametrize("model", list(all_messages()), ids=lambda model: model.TYPE)
def test_no_message_is_incompatible_with_itself(model: type[Message]) -> None:
    assert problems(schemas.schema(model), schemas.schema(model)) == []


kinds = st.sampled_from([str, int, bool, float, datetime, str | None, tuple[str, ...], Inner, Literal["x", "y"]])
bodies = st.dictionaries(st.sampled_from("abcdef"), st.tuples(kinds, st.booleans()), max_size=5)


def body(fields: dict[str, tuple[Any, bool]]) -> dict[str, Any]:
    return schema(**{name: (kind, None) if optional else kind for name, (kind, optional) in fields.items()})


@given(bodies, bodies)
def test_more_optional_fields_are_the_only_change_that_is_allowed(
    old: dict[str, tuple[Any, bool]], new: dict[str, tuple[Any, bool]]
) -> None:
    kept = all(new.get(name) == field for name, field in old.items())
    added_optional = all(optional for name, (_, optional) in new.items() if name not in old)
    assert (problems(body(old), body(new)) == []) == (kept and added_optional)


@given(bodies, bodies)
def test_a_change_and_its_reverse_are_both_allowed_only_when_nothing_changes(
    old: dict[str, tuple[Any, bool]], new: dict[str, tuple[Any, bool]]
) -> None:
    both = not problems(body(old), body(new)) and not problems(body(new), body(old))
    assert both == (old == new)
