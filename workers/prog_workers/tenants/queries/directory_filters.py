"""SCIM's filters and orders as SQL over the directory's tables.

scim2-models reads a filter and holds it against the model; here its tree becomes one condition that means the same as
`ScimFilter.match` (`tests/component/tenants/test_directory_filters.py` compares the two). Every part is true or false
and never NULL, so that `not` turns it around. Texts are compared in the form in which `sought` keeps them; what a
client sends is a value of the statement, and never part of it.

What asks an index is narrow: `eq` of what providers know people and groups by, and what is asked besides. All else
reads every entry of the directory, and says how much that is (`Search.parts`), so that it can be refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from inspect import isclass
from typing import Any, Final, Literal

from pydantic import BaseModel
from scim2_models import Extension, ScimFilter, SearchRequest
from scim2_models.path import (
    AttributeBinding,
    AttrPath,
    CompareOperator,
    Comparison,
    FilterNode,
    FilterVisitor,
    LogicalExpr,
    LogicalOperator,
    Not,
    Present,
    ValuePath,
    coerce_value,
)

from prog_contracts.errors import Invalid
from prog_contracts.scim import POLICY
from prog_workers.tenants.queries.directory import Kind, Search

FILTER_MAX_LENGTH: Final = 4096

_COLUMNS: Final[Mapping[Kind, Mapping[str, str]]] = {
    "User": {"id": "e.directory_user_id", "user_name": "e.name_key", "external_id": "e.external_id"},
    "Group": {"id": "e.directory_group_id", "display_name": "e.name_key", "external_id": "e.external_id"},
}
"""Attributes that have a column with an index."""
_TIMES: Final = {"created": "e.created_at", "last_modified": "e.updated_at"}
_ITEMS: Final[Mapping[Kind, Mapping[str, str]]] = {
    "User": {
        "emails": "jsonb_array_elements(e.sought -> 'emails') AS i",
        "groups": "(SELECT jsonb_build_object('value', m.directory_group_id) AS i"
        " FROM tenants.directory_group_members AS m"
        " WHERE m.tenant_id = e.tenant_id AND m.directory_user_id = e.directory_user_id) AS items",
    },
    "Group": {
        "members": "(SELECT jsonb_build_object('value', m.directory_user_id, 'type', 'user') AS i"
        " FROM tenants.directory_group_members AS m"
        " WHERE m.tenant_id = e.tenant_id AND m.directory_group_id = e.directory_group_id) AS items",
    },
}
"""Where the values of attributes with several of them are."""
_ORDERINGS: Final = {
    CompareOperator.gt: ">",
    CompareOperator.ge: ">=",
    CompareOperator.lt: "<",
    CompareOperator.le: "<=",
}
_HOLDERS: Final[Mapping[Kind, Mapping[str, str]]] = {
    "User": {
        "emails": "e.directory_user_id = ANY (ARRAY(SELECT a.directory_user_id FROM tenants.directory_addresses AS a"
        " WHERE a.tenant_id = (SELECT bus.current_tenant()) AND a.address = {}))",
        "groups": "e.directory_user_id = ANY (ARRAY(SELECT m.directory_user_id"
        " FROM tenants.directory_group_members AS m"
        " WHERE m.tenant_id = (SELECT bus.current_tenant()) AND m.directory_group_id = {}))",
    },
    "Group": {
        "members": "e.directory_group_id = ANY (ARRAY(SELECT m.directory_group_id"
        " FROM tenants.directory_group_members AS m"
        " WHERE m.tenant_id = (SELECT bus.current_tenant()) AND m.directory_user_id = {}))",
    },
}
"""The same asked from the other side, of an index: which entries have a value among several."""
Shape = Literal["text", "boolean", "time", "object"]


@dataclass(frozen=True, slots=True)
class _Condition:
    """SQL that is true of some entries. They are found by an index where it is `narrow`."""

    sql: str
    narrow: bool = False


def search_of(kind: Kind, request: SearchRequest[Any], *, limit: int) -> Search:
    """The search that a request asks for, at most `limit` entries of it. Raises Invalid for what cannot be sought."""
    order = _order(kind, request)
    condition, values, parts = _Condition("true"), list[object](), 1 if order else 0
    if request.filter is not None:
        if len(request.filter) > FILTER_MAX_LENGTH:
            raise _invalid(f"A filter has at most {FILTER_MAX_LENGTH} characters.")
        writer = _Writer(kind, request.filter)
        condition, values = writer.visit(request.filter.ast), writer.values
        parts = 0 if condition.narrow else parts + writer.parts
    return Search(condition.sql, values, order, (request.start_index or 1) - 1, limit, parts)


class _Writer(FilterVisitor[_Condition]):
    """Writes one filter as a condition with `{}` for each of `values`, in their order."""

    def __init__(self, kind: Kind, whole: ScimFilter[Any]) -> None:
        self.values: list[object] = []
        self.parts = 0
        self._kind = kind
        self._whole = whole

    def visit_not(self, node: Not) -> _Condition:
        return _Condition(f"NOT {self.visit(node.expr).sql}")

    def visit_logical_expr(self, node: LogicalExpr) -> _Condition:
        terms = [self.visit(term) for term in node.terms]
        together = node.op == LogicalOperator.and_
        joined = (" AND " if together else " OR ").join(term.sql for term in terms)
        return _Condition(f"({joined})", (any if together else all)(term.narrow for term in terms))

    def visit_comparison(self, node: Comparison) -> _Condition:
        self.parts += 1
        binding = self._whole.resolve_comparison(node.attr_path)
        assert binding is not None, "a bound filter knows its attributes"
        value = _operand(binding, node)
        items = self._items(binding)
        if items is None:
            place, shape = _place(self._kind, binding)
            narrow = node.op == CompareOperator.eq and value is not None and place in _COLUMNS[self._kind].values()
            return _Condition(self._compared(place, shape, node.op, value), narrow)
        shape, name = _shape(binding), _sub_name(binding)
        if value is None and node.op in (CompareOperator.eq, CompareOperator.ne):
            lacking = f"(NOT EXISTS (SELECT FROM {items}) OR {self._some(items, f'{_in_item(name)} IS NULL')})"
            return _Condition(lacking if node.op == CompareOperator.eq else f"NOT {lacking}")
        if node.op in (CompareOperator.eq, CompareOperator.ne):  # of several values none is it
            holding = self._holding(binding.field_name, name, value)
            if holding is None:
                holding = _Condition(
                    self._some(items, self._compared(_in_item(name), shape, CompareOperator.eq, value))
                )
            return holding if node.op == CompareOperator.eq else _Condition(f"NOT {holding.sql}")
        return _Condition(self._some(items, self._compared(_in_item(name), shape, node.op, value)))

    def visit_present(self, node: Present) -> _Condition:
        self.parts += 1
        binding = self._whole.resolve(node.attr_path)
        assert binding is not None, "a bound filter knows its attributes"
        items = self._items(binding)
        if items is None:
            return _Condition(_present(*_place(self._kind, binding)))
        if binding.sub_field_name is None:
            return _Condition(self._some(items, _present("i", "object")))
        return _Condition(self._some(items, _present(_in_item(_sub_name(binding)), _shape(binding))))

    def visit_value_path(self, node: ValuePath) -> _Condition:
        binding = self._whole.resolve(node.attr_path)
        items = None if binding is None else self._items(binding)
        if binding is None or items is None:
            raise _invalid("There are not several values to pick from.")
        inner = _ItemWriter(node.attr_path, self)
        some = self._some(items, inner.visit(node.val_filter))
        for value in inner.values_sought(node.val_filter):
            holding = self._holding(binding.field_name, "value", value)
            if holding is not None:
                return _Condition(f"({some} AND {holding.sql})", narrow=True)
        return _Condition(some)

    def _holding(self, field_name: str, name: str, value: object) -> _Condition | None:
        """That an entry has this among its values, where an index knows."""
        holders = _HOLDERS[self._kind].get(field_name)
        if holders is None or name != "value" or not isinstance(value, str):
            return None
        self.values.append(value)
        return _Condition(holders, narrow=True)

    def _items(self, binding: AttributeBinding) -> str | None:
        """Where the values of an attribute with several of them are; None for one with a single value."""
        if not binding.is_multivalued:
            return None
        items = _ITEMS[self._kind].get(binding.field_name)
        if items is None:
            raise _invalid(f"One cannot filter by {binding.field_name}.")
        return items

    def _some(self, items: str, condition: str) -> str:
        return f"EXISTS (SELECT FROM {items} WHERE {condition})"

    def _compared(self, place: str, shape: Shape, op: CompareOperator, value: object) -> str:
        if value is None:
            return {"eq": f"{place} IS NULL", "ne": f"{place} IS NOT NULL"}.get(op, "false")
        if shape == "object":
            raise _invalid("A part of it is compared, and not the whole.")
        if op in (CompareOperator.co, CompareOperator.sw, CompareOperator.ew):
            return self._matched(place, shape, op, value)
        self.values.append(value)
        if op == CompareOperator.eq:
            return f"({place} IS NOT NULL AND {place} = {{}})"  # an index is asked for this, and not for coalesce
        if op == CompareOperator.ne:
            return f"({place} IS DISTINCT FROM {{}})"
        collation = ' COLLATE "C"' if shape == "text" else ""
        return f"coalesce({place}{collation} {_ORDERINGS[op]} {{}}, false)"

    def _matched(self, place: str, shape: Shape, op: CompareOperator, value: object) -> str:
        if shape != "text" or not isinstance(value, str):
            return "false"
        self.values.append(value)
        if op == CompareOperator.co:
            return f"coalesce(strpos({place}, {{}}) > 0, false)"
        if op == CompareOperator.sw:
            return f"coalesce(starts_with({place}, {{}}), false)"
        self.values.append(value)
        return f"coalesce(right({place}, length({{}})) = {{}}, false)"


class _ItemWriter(FilterVisitor[str]):
    """Writes the filter within brackets: of one value, whose attributes are named without the attribute itself."""

    def __init__(self, whole: AttrPath, writer: _Writer) -> None:
        self._whole = whole
        self._writer = writer

    def visit_not(self, node: Not) -> str:
        return f"NOT {self.visit(node.expr)}"

    def visit_logical_expr(self, node: LogicalExpr) -> str:
        joined = " AND " if node.op == LogicalOperator.and_ else " OR "
        return f"({joined.join(self.visit(term) for term in node.terms)})"

    def visit_comparison(self, node: Comparison) -> str:
        self._writer.parts += 1
        binding = self._binding(node.attr_path)
        place, shape = _in_item(_sub_name(binding)), _shape(binding)
        return self._writer._compared(place, shape, node.op, _operand(binding, node))

    def visit_present(self, node: Present) -> str:
        self._writer.parts += 1
        binding = self._binding(node.attr_path)
        return _present(_in_item(_sub_name(binding)), _shape(binding))

    def visit_value_path(self, node: ValuePath) -> str:
        raise _invalid("Values are picked once.")

    def values_sought(self, node: FilterNode) -> Iterator[object]:
        """What the `value` has to be of whatever the filter picks."""
        if isinstance(node, LogicalExpr) and node.op == LogicalOperator.and_:
            for term in node.terms:
                yield from self.values_sought(term)
        elif isinstance(node, Comparison) and node.op == CompareOperator.eq:
            binding = self._binding(node.attr_path)
            if _sub_name(binding) == "value":
                yield _operand(binding, node)

    def _binding(self, path: AttrPath) -> AttributeBinding:
        inner = AttrPath(attr=self._whole.attr, sub_attr=path.attr, uri=self._whole.uri)
        binding = self._writer._whole.resolve(inner)
        assert binding is not None, "a bound filter knows its attributes"
        return binding


def _order(kind: Kind, request: SearchRequest[Any]) -> str:
    if request.sort_by is None:
        return ""
    model = request.sort_by.models[0]
    binding = request.sort_binding(model)
    if binding is None:
        raise Invalid("One cannot sort by this.", code="invalid_path")
    if binding.is_multivalued:
        if binding.field_name != "emails":
            raise Invalid("One cannot sort by this.", code="invalid_path")
        place = (
            f"(SELECT i ->> '{_sub_name(binding)}' FROM jsonb_array_elements(e.sought -> 'emails') WITH ORDINALITY"
            " AS items (i, n) ORDER BY coalesce((i ->> 'primary')::boolean, false) DESC, n LIMIT 1)"
        )
        shape: Shape = "text"
    else:
        place, shape = _place(kind, binding)
    collation = ' COLLATE "C"' if shape == "text" else ""
    descending = request.sort_order == SearchRequest.SortOrder.descending
    return f"{place}{collation} {'DESC' if descending else 'ASC'}"


def _place(kind: Kind, binding: AttributeBinding) -> tuple[str, Shape]:
    """Where a single value is, and of what shape."""
    if binding.field_name == "meta":
        column = _TIMES.get(binding.sub_field_name or "")
        if column is None:
            raise _invalid("Of meta one can filter by created and lastModified.")
        return column, "time"
    column = _COLUMNS[kind].get(binding.field_name)
    if column is not None and not issubclass(binding.model, Extension):
        return column, "text"
    shape = _shape(binding)
    holder = "e.sought"
    if issubclass(binding.model, Extension):
        holder += f" -> '{binding.model.__schema__}'"
    name = binding.model._scim_name(binding.field_name)
    if binding.sub_field_name is None:
        return _typed(f"{holder} {'->' if shape == 'object' else '->>'} '{name}'", shape), shape
    return _typed(f"{holder} -> '{name}' ->> '{_sub_name(binding)}'", shape), shape


def _in_item(name: str) -> str:
    return _typed(f"i ->> '{name}'", "boolean" if name == "primary" else "text")


def _typed(place: str, shape: Shape) -> str:
    return f"({place})::boolean" if shape == "boolean" else f"({place})"


def _shape(binding: AttributeBinding) -> Shape:
    target = binding.target_type
    if isclass(target) and issubclass(target, BaseModel):
        return "object"
    if target is bool:
        return "boolean"
    return "time" if target is datetime else "text"


def _sub_name(binding: AttributeBinding) -> str:
    """The name of the sub-attribute, as it is stored. Both come from our models, not from the filter."""
    field_type = binding.field_type
    if not (isclass(field_type) and issubclass(field_type, BaseModel)) or binding.sub_field_name is None:
        raise _invalid(f"A part of {binding.field_name} is compared, and not the whole.")
    name: str = field_type._scim_name(binding.sub_field_name)  # type: ignore[attr-defined]
    return name


def _present(place: str, shape: Shape) -> str:
    if shape == "object":
        parts = f"jsonb_each_text(CASE jsonb_typeof({place}) WHEN 'object' THEN {place} END) AS part (k, v)"
        return f"EXISTS (SELECT FROM {parts} WHERE v <> '')"
    return f"coalesce({place} <> '', false)" if shape == "text" else f"({place} IS NOT NULL)"


def _operand(binding: AttributeBinding, node: Comparison) -> object:
    value = coerce_value(binding, node.value, node.op)
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    return binding.comparable(value, POLICY)


def _invalid(message: str) -> Invalid:
    return Invalid(message, code="invalid_filter")
